package retrybench

import (
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"time"
)

func httpTries() []try {
	all := []try{postFacts}
	for _, c := range retryAfters() {
		all = append(all, c.facts)
	}
	return append(all, nestedHTTPFacts)
}

// exchange sends r through a peer's transport and reads the answer, if it is
// one: how a peer says that all attempts have failed is not at issue here.
func exchange(p httpPeer, b backend, r *http.Request) error {
	transport, err := p.new(b, usual())
	if err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	resp, err := transport.RoundTrip(r)
	if err == nil {
		_, err = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return err
	}
	return nil
}

// postFacts counts how often a request reaches a server that answers 503, which
// may have done what was asked of it before. RFC 9110, section 9.2.2: a client
// should not repeat one automatically whose method is not idempotent, unless it
// knows that its meaning is. An Idempotency-Key says so.
func postFacts() ([]fact, error) {
	const about = "A server that answers 503, and transports with up to three attempts: how often it gets the same request"
	var all []fact
	for _, p := range httpPeers() {
		get, err := sent(p, http.MethodGet, "")
		if err != nil {
			return nil, err
		}
		post, err := sent(p, http.MethodPost, "")
		if err != nil {
			return nil, err
		}
		keyed, err := sent(p, http.MethodPost, "7f3c")
		if err != nil {
			return nil, err
		}
		saw := fmt.Sprintf("POST %d, POST with an Idempotency-Key %d, GET %d", post, keyed, get)
		most := usual().attempts
		all = append(all, fact{about, p.name, saw, post == 1 && keyed == most && get == most})
	}
	return all, nil
}

func sent(p httpPeer, method, key string) (times int, err error) {
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader(`{"prompt":"hello"}`)
	}
	r := request(context.Background(), method, body)
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	err = exchange(p, func(r *http.Request) *http.Response {
		times++
		return answer(r, http.StatusServiceUnavailable, http.Header{})
	}, r)
	return times, err
}

// retryAfter is a Retry-After header, and when a client may come back.
type retryAfter struct {
	what        string
	value       func(now time.Time) string
	least, most time.Duration
}

// retryAfters are what servers send, or a hostile one could. A minute is what a
// caller may be made to wait at most that has set no deadline. What is no delay
// is as if it were not there, so that the schedule's own counts.
func retryAfters() []retryAfter {
	text := func(s string) func(time.Time) string { return func(time.Time) string { return s } }
	const most = time.Minute
	return []retryAfter{
		{"2", text("2"), 2 * time.Second, 3 * time.Second},
		{"the date in 3 s", func(now time.Time) string {
			return now.Add(3 * time.Second).UTC().Format(http.TimeFormat)
		}, 2 * time.Second, 4 * time.Second},
		{"-1, which is none", text("-1"), time.Microsecond, 2 * usual().base},
		{"86400, a day", text("86400"), usual().base, most},
		{"9223372036854775807, the largest int64", text(strconv.Itoa(math.MaxInt64)), usual().base, most},
	}
}

// facts are how long transports wait after a 503 that says so.
func (c retryAfter) facts() ([]fact, error) {
	about := fmt.Sprintf("503 with Retry-After: %s. The next attempt comes", c.what)
	var all []fact
	for _, p := range httpPeers() {
		var came []time.Time
		header := http.Header{"Retry-After": {c.value(time.Now())}}
		err := exchange(p, func(r *http.Request) *http.Response {
			if came = append(came, time.Now()); len(came) == 1 {
				return answer(r, http.StatusServiceUnavailable, header)
			}
			return answer(r, http.StatusOK, http.Header{})
		}, request(context.Background(), http.MethodGet, nil))
		if err != nil {
			return nil, err
		}
		f := fact{About: about, Who: p.name, Saw: "never"}
		if len(came) > 1 {
			waited := came[1].Sub(came[0])
			f.Saw = "after " + waited.Round(time.Microsecond).String()
			f.Right = waited >= c.least && waited <= c.most
		}
		all = append(all, f)
	}
	return all, nil
}

// nestedHTTPFacts has a call go through servers that all retry, and know of each
// other what the requests say.
func nestedHTTPFacts() ([]fact, error) {
	about := fmt.Sprintf("%d servers in a row that call the next one with up to three attempts, and a last one that answers 503: requests that it gets",
		layers)
	var all []fact
	for _, p := range httpPeers() {
		reached := 0
		var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			reached++
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		for range layers {
			next, err := p.new(overTheWire(h), usual())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			h = forward(next)
			if p.server != nil {
				h = p.server(h)
			}
		}
		h.ServeHTTP(httptest.NewRecorder(), request(context.Background(), http.MethodGet, nil))
		all = append(all, fact{about, p.name, strconv.Itoa(reached), reached <= layers*usual().attempts})
	}
	return all, nil
}

// overTheWire takes a request to a server as a connection does: the headers
// arrive, and nothing of the context.
func overTheWire(h http.Handler) backend {
	return func(r *http.Request) *http.Response {
		in := request(context.Background(), r.Method, nil)
		in.Header = r.Header.Clone()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, in)
		return w.Result()
	}
}

// forward calls the next server on behalf of the one before.
func forward(next http.RoundTripper) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := next.RoundTrip(request(r.Context(), r.Method, nil))
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	})
}
