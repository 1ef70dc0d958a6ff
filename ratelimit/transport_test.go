package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
	"golang.org/x/time/rate"
)

// A peer answers what it is told to, and notes when it was called.
type peer struct {
	answer func(r *http.Request) *http.Response // nil: 200

	mu    sync.Mutex
	start time.Time
	calls []time.Duration
	idle  int
}

func newPeer(answer func(*http.Request) *http.Response) *peer {
	return &peer{answer: answer, start: time.Now()}
}

func (p *peer) RoundTrip(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	p.calls = append(p.calls, time.Since(p.start))
	p.mu.Unlock()
	if r.Body != nil {
		_ = r.Body.Close()
	}
	if p.answer == nil {
		return respond(200, ""), nil
	}
	return p.answer(r), nil
}

func (p *peer) CloseIdleConnections() { p.idle++ }

// got is when p was called.
func (p *peer) got() []time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.calls
}

func respond(status int, retryAfter string) *http.Response {
	h := http.Header{}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Header: h, Body: http.NoBody}
}

// firstThen answers with first, then 200.
func firstThen(first *http.Response) func(*http.Request) *http.Response {
	var again atomic.Bool
	return func(*http.Request) *http.Response {
		if again.Swap(true) {
			return respond(200, "")
		}
		return first
	}
}

// A closer is a request body that knows whether it was closed.
type closer struct {
	io.Reader
	closed int
}

func (c *closer) Close() error { c.closed++; return nil }

func call(t *testing.T, ctx context.Context, rt http.RoundTripper, url string) (*http.Response, error) {
	t.Helper()
	body := &closer{Reader: strings.NewReader("body")}
	r, err := http.NewRequestWithContext(ctx, "POST", url, body)
	if err != nil {
		t.Fatal(err)
	}
	before := r.Clone(ctx)
	before.Body = r.Body
	resp, err := rt.RoundTrip(r)
	if body.closed == 0 {
		t.Error("the request's body was left open")
	}
	if !reflect.DeepEqual(before, r) {
		t.Error("the request was changed")
	}
	return resp, err
}

func mustCall(t *testing.T, rt http.RoundTripper, url string) {
	t.Helper()
	if _, err := call(t, t.Context(), rt, url); err != nil {
		t.Fatal(err)
	}
}

func TestTransportPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(nil)
		rt := ratelimit.NewTransport(p, rate.NewLimiter(10, 2), ratelimit.TransportConfig{})
		for range 5 {
			mustCall(t, rt, "http://a.example/")
		}
		want := []time.Duration{0, 0, 100 * time.Millisecond, 200 * time.Millisecond, 300 * time.Millisecond}
		if got := p.got(); !reflect.DeepEqual(got, want) {
			t.Errorf("called at %v, want %v", got, want)
		}
	})
}

// wantLimited wants err to say that the call would have had to wait for delay.
func wantLimited(t *testing.T, err error, delay time.Duration) {
	t.Helper()
	var hint interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	if !errors.Is(err, ratelimit.ErrLimited) || !errors.As(err, &hint) {
		t.Fatalf("error %v", err)
	}
	if delay == rate.InfDuration {
		if hint.Retryable() || hint.RetryDelay() != 0 {
			t.Errorf("%v can be retried in %v", err, hint.RetryDelay())
		}
		return
	}
	if d := hint.RetryDelay(); !hint.Retryable() || d < delay-time.Microsecond || d > delay+time.Microsecond {
		t.Errorf("RetryDelay %v of %v, want %v", d, err, delay)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v does not keep its cause", err)
	}
}

// A wait past the deadline is none, and takes nothing from the others.
func TestTransportFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(nil)
		l := rate.NewLimiter(1, 1)
		rt := ratelimit.NewTransport(p, l, ratelimit.TransportConfig{})
		mustCall(t, rt, "http://a.example/")
		<-time.After(250 * time.Millisecond)
		ctx, cancel := context.WithTimeout(t.Context(), 700*time.Millisecond)
		defer cancel()
		for range 3 {
			_, err := call(t, ctx, rt, "http://a.example/")
			wantLimited(t, err, 750*time.Millisecond)
			if w := get(failing(err), httptest.NewRequest("GET", "/", nil)); w.Code != 503 || w.Header().Get("Retry-After") == "" {
				t.Errorf("WriteError answers %d, %q", w.Code, w.Header())
			}
		}
		if d := time.Since(p.start); d != 250*time.Millisecond {
			t.Errorf("failed only after %v", d)
		}
		mustCall(t, rt, "http://a.example/")
		if got := p.got(); len(got) != 2 || got[1] != time.Second {
			t.Errorf("called at %v", got)
		}
	})
}

func TestTransportNever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, l := range map[string]*rate.Limiter{"no burst": rate.NewLimiter(1, 0), "no rate": rate.NewLimiter(0, 1)} {
			l.Allow()
			p := newPeer(nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			defer cancel()
			_, err := call(t, ctx, ratelimit.NewTransport(p, l, ratelimit.TransportConfig{}), "http://a.example/")
			wantLimited(t, err, rate.InfDuration)
			if len(p.got()) != 0 {
				t.Errorf("%s: called", name)
			}
		}
	})
}

// Both kinds of waits end with the context, with its cause.
func TestTransportCanceled(t *testing.T) {
	errStop := errors.New("stop")
	for name, l := range map[string]*rate.Limiter{"paced": rate.NewLimiter(0.1, 1), "held": nil} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPeer(firstThen(respond(429, "10")))
				cfg := ratelimit.TransportConfig{}
				if l != nil {
					cfg.MaxRetryAfter = -1
				}
				rt := ratelimit.NewTransport(p, l, cfg)
				mustCall(t, rt, "http://a.example/")
				ctx, cancel := context.WithCancelCause(t.Context())
				time.AfterFunc(3*time.Second, func() { cancel(errStop) })
				for i := range 2 { // the second when it is over already
					if _, err := call(t, ctx, rt, "http://a.example/"); !errors.Is(err, errStop) || errors.Is(err, ratelimit.ErrLimited) {
						t.Errorf("%d: error %v", i, err)
					}
				}
				if d := time.Since(p.start); d != 3*time.Second || len(p.got()) != 1 {
					t.Errorf("after %v, called at %v", d, p.got())
				}
			})
		})
	}
}

// A deadline that has passed is the caller's own, and not a limit's.
func TestTransportAfterTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, l := range map[string]*rate.Limiter{"paced": rate.NewLimiter(0.1, 1), "held": nil} {
			rt := ratelimit.NewTransport(newPeer(firstThen(respond(429, "10"))), l, ratelimit.TransportConfig{})
			mustCall(t, rt, "http://a.example/")
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			<-ctx.Done()
			cancel()
			if _, err := call(t, ctx, rt, "http://a.example/"); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ratelimit.ErrLimited) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
}

func TestTransportHonoursRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for status, want := range map[int]time.Duration{429: 3 * time.Second, 503: 3 * time.Second, 500: 0, 200: 0, 301: 0} {
			first := respond(status, "3")
			p := newPeer(firstThen(first))
			rt := ratelimit.NewTransport(p, nil, ratelimit.TransportConfig{})
			if got, err := call(t, t.Context(), rt, "http://a.example/"); err != nil || got != first {
				t.Errorf("%d: not the peer's own answer: %v, %v", status, got, err)
			}
			mustCall(t, rt, "http://b.example/")
			mustCall(t, rt, "http://a.example:8080/")
			if d := time.Since(p.start); d != 0 {
				t.Errorf("%d: others were held back, too, for %v", status, d)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			if _, err := call(t, ctx, rt, "http://a.example/"); want > 0 {
				wantLimited(t, err, want)
			}
			cancel()
			mustCall(t, rt, "http://A.example/other")
			if got := p.got(); got[len(got)-1] != want {
				t.Errorf("%d: called again after %v, want %v", status, got[len(got)-1], want)
			}
		}
	})
}

func TestTransportReadsRetryAfter(t *testing.T) {
	const (
		second = time.Second
		format = http.TimeFormat
	)
	synctest.Test(t, func(t *testing.T) {
		in := func(d time.Duration) string { return time.Now().Add(d).UTC().Format(format) }
		for _, tt := range []struct {
			name, value, date string
			longest, want     time.Duration
		}{
			{"seconds", "7", "", 0, 7 * second},
			{"zero", "0", "", 0, 0},
			{"zeros", "0007", "", 0, 7 * second},
			{"negative", "-7", "", 0, 0},
			{"plus", "+7", "", 0, 0},
			{"fraction", "1.5", "", 0, 0},
			{"hexadecimal", "0x7", "", 0, 0},
			{"garbage", "soon", "", 0, 0},
			{"missing", "", "", 0, 0},
			{"long", "86400", "", 0, 600 * second},
			{"beyond a Duration", "9223372037", "", 0, 600 * second},
			{"beyond an int64", strings.Repeat("9", 1000), "", 0, 600 * second},
			{"date", in(7 * second), "", 0, 7 * second},
			{"date by the peer's clock", in(3607 * second), in(3600 * second), 0, 7 * second},
			{"date, and a Date of no use", in(7 * second), "today", 0, 7 * second},
			{"date in the past", in(-7 * second), "", 0, 0},
			{"date before the peer's", in(7 * second), in(8 * second), 0, 0},
			{"date of far away", "Fri, 31 Dec 9999 23:59:59 GMT", "", 0, 600 * second},
			{"date in another zone", time.Now().Add(7 * second).Format(time.RFC1123Z), "", 0, 0},
			{"old date", time.Now().Add(7 * second).UTC().Format(time.ANSIC), "", 0, 7 * second},
			{"above the limit", "7", "", 5 * second, 5 * second},
			{"above a high limit", "86400", "", 48 * 3600 * second, 86400 * second},
			{"ignored", "7", "", -1, 0},
		} {
			first := respond(429, tt.value)
			if tt.date != "" {
				first.Header.Set("Date", tt.date)
			}
			p := newPeer(firstThen(first))
			rt := ratelimit.NewTransport(p, nil, ratelimit.TransportConfig{MaxRetryAfter: tt.longest})
			mustCall(t, rt, "http://a.example/")
			ctx, cancel := context.WithTimeout(t.Context(), 1) // who must wait at all learns for how long
			if _, err := call(t, ctx, rt, "http://a.example/"); tt.want > 0 {
				wantLimited(t, err, tt.want)
			} else if err != nil {
				t.Errorf("%s: %v", tt.name, err)
			}
			cancel()
		}
	})
}

// Whoever waits for a host waits on when an answer asks for more time, and a
// shorter wait in a later answer takes nothing back.
func TestTransportHoldsGrow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := map[string]string{"/1": "2", "/2": "5", "/3": "1"}
		p := newPeer(func(r *http.Request) *http.Response {
			switch r.URL.Path {
			case "/1":
				<-time.After(100 * time.Millisecond)
			case "/2": // comes back while the hold of /1 lasts
				<-time.After(time.Second)
			case "/3":
				<-time.After(1500 * time.Millisecond)
			}
			if v := asked[r.URL.Path]; v != "" {
				return respond(429, v)
			}
			return respond(200, "")
		})
		rt := ratelimit.NewTransport(p, nil, ratelimit.TransportConfig{})
		var wg sync.WaitGroup
		for path := range asked {
			wg.Go(func() { mustCall(t, rt, "http://a.example"+path) })
		}
		<-time.After(200 * time.Millisecond)
		mustCall(t, rt, "http://a.example/")
		if got := p.got(); got[len(got)-1] != 6*time.Second {
			t.Errorf("called at %v, want at 6s", got)
		}
		wg.Wait()
	})
}

// After a hold calls are paced as before it.
func TestTransportPacesAfterAHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(firstThen(respond(503, "10")))
		rt := ratelimit.NewTransport(p, rate.NewLimiter(1, 1), ratelimit.TransportConfig{})
		for range 5 {
			mustCall(t, rt, "http://a.example/")
		}
		want := []time.Duration{0, 10 * time.Second, 11 * time.Second, 12 * time.Second, 13 * time.Second}
		if got := p.got(); !reflect.DeepEqual(got, want) {
			t.Errorf("called at %v, want %v", got, want)
		}
	})
}

// A hold that comes while a call is being paced counts, too.
func TestTransportHeldWhilePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(func(*http.Request) *http.Response {
			<-time.After(500 * time.Millisecond)
			return respond(429, "10")
		})
		rt := ratelimit.NewTransport(p, rate.NewLimiter(1, 1), ratelimit.TransportConfig{})
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { mustCall(t, rt, "http://a.example/") })
		}
		wg.Wait()
		if got, want := p.got(), []time.Duration{0, 10500 * time.Millisecond}; !reflect.DeepEqual(got, want) {
			t.Errorf("called at %v, want %v", got, want)
		}
	})
}

// The table of hosts is full at 1024; the hold that ends first makes room.
func TestTransportRemembersSoManyHosts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPeer(nil)
		next := 100
		p.answer = func(*http.Request) *http.Response { next++; return respond(503, fmt.Sprint(next)) }
		rt := ratelimit.NewTransport(p, nil, ratelimit.TransportConfig{MaxRetryAfter: time.Hour})
		for i := range 1024 {
			mustCall(t, rt, fmt.Sprintf("http://h%d.example/", i))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 1)
		defer cancel()
		held := func(host string) bool {
			_, err := call(t, ctx, rt, "http://"+host+"/")
			return errors.Is(err, ratelimit.ErrLimited)
		}
		if !held("h0.example") || !held("h1023.example") {
			t.Fatal("not all of 1024 are remembered")
		}
		mustCall(t, rt, "http://another.example/")
		p.answer = nil
		if held("h0.example") || !held("h1.example") || !held("h1023.example") || !held("another.example") {
			t.Error("the wrong host was forgotten")
		}
	})
}

// Every call is made, once, however many run at a time and run into holds.
func TestTransportConcurrently(t *testing.T) {
	var n atomic.Int32
	p := newPeer(func(*http.Request) *http.Response { return respond(429, fmt.Sprint(n.Add(1)%3)) })
	rt := ratelimit.NewTransport(p, rate.NewLimiter(rate.Inf, 0), ratelimit.TransportConfig{MaxRetryAfter: time.Microsecond})
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				if _, err := call(t, t.Context(), rt, fmt.Sprintf("http://h%d.example/", (i*(g+1))%2000)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if got := len(p.got()); got != 4000 {
		t.Errorf("%d calls, want 4000", got)
	}
}

// A server that is there, and the transport that an http.Client has by itself.
func TestTransportOverANetwork(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = w.Write(b)
	}))
	defer srv.Close()
	client := &http.Client{Transport: ratelimit.NewTransport(nil, nil, ratelimit.TransportConfig{}), Timeout: time.Minute}
	defer client.CloseIdleConnections()
	resp, err := client.Post(srv.URL, "text/plain", strings.NewReader("hello"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if err != nil || string(b) != "hello" || resp.StatusCode != 429 {
		t.Errorf("%d %q, %v", resp.StatusCode, b, err)
	}
	_, err = client.Get(srv.URL) // 10 minutes are more than the client's Timeout
	if !errors.Is(err, ratelimit.ErrLimited) {
		t.Errorf("error %v", err)
	}
}

func TestTransportOfABrokenRequest(t *testing.T) {
	rt := ratelimit.NewTransport(nil, nil, ratelimit.TransportConfig{})
	if _, err := rt.RoundTrip((&http.Request{}).WithContext(t.Context())); err == nil {
		t.Error("no error")
	}
}

func TestTransportClosesIdleConnections(t *testing.T) {
	p := newPeer(nil)
	client := &http.Client{Transport: ratelimit.NewTransport(p, nil, ratelimit.TransportConfig{})}
	client.CloseIdleConnections()
	if p.idle != 1 {
		t.Error("the base does not hear of it")
	}
	type bare struct{ http.RoundTripper }
	client.Transport = ratelimit.NewTransport(bare{p}, nil, ratelimit.TransportConfig{})
	client.CloseIdleConnections() // a base that cannot
}
