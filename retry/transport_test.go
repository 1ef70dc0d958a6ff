package retry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

// Only what may be sent twice is.
func TestTransportSendsTwiceWhatItMay(t *testing.T) {
	optIn := func(r *http.Request) bool { return r.URL.Path == "/search" }
	for _, tt := range []struct {
		method, path, key string
		want              int
	}{
		{"GET", "/", "", 3}, {"", "/", "", 3}, {"HEAD", "/", "", 3}, {"OPTIONS", "/", "", 3}, {"TRACE", "/", "", 3},
		{"PUT", "/", "", 3}, {"DELETE", "/", "", 3},
		{"POST", "/", "", 1}, {"PATCH", "/", "", 1}, {"CONNECT", "/", "", 1}, {"get", "/", "", 1}, {"PURGE", "/", "", 1},
		{"POST", "/", "Idempotency-Key", 3}, {"PATCH", "/", "X-Idempotency-Key", 3}, {"POST", "/", "Other-Key", 1},
		{"POST", "/search", "", 3},
	} {
		for _, status := range []int{503, 0} {
			b := &backend{statuses: []int{status}}
			rt := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{Idempotent: optIn})
			r := request(t, t.Context(), "GET", nil)
			r.Method, r.URL.Path = tt.method, tt.path
			if tt.key != "" {
				r.Header.Set(tt.key, "7")
			}
			resp, err := rt.RoundTrip(r)
			if b.calls() != tt.want {
				t.Errorf("%q %s %s: %d calls for status %d, want %d", tt.method, tt.path, tt.key, b.calls(), status, tt.want)
			}
			if status == 0 {
				if e, ok := errors.AsType[*retry.Error](err); !errors.Is(err, errRefused) || ok != (tt.want > 1) || ok && e.Attempts != tt.want {
					t.Errorf("%q: error %v", tt.method, err)
				}
			} else if err != nil || resp.StatusCode != status {
				t.Errorf("%q: %v, %v", tt.method, resp, err)
			}
		}
	}
}

func TestTransportStatuses(t *testing.T) {
	transient := []int{408, 425, 429, 500, 502, 503, 504}
	for status := 200; status < 600; status++ {
		b := &backend{statuses: []int{status}}
		rt := retry.NewTransport(b, quick(t, 2), retry.TransportConfig{})
		resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil))
		if err != nil || resp.StatusCode != status {
			t.Fatalf("%d: %v, %v", status, resp, err)
		}
		if again := b.calls() > 1; again != slices.Contains(transient, status) {
			t.Errorf("%d: sent again: %v", status, again)
		}
	}
	b := &backend{statuses: []int{404, 503}}
	only404 := retry.TransportConfig{Status: func(code int) bool { return code == 404 }}
	if resp, err := retry.NewTransport(b, quick(t, 3), only404).RoundTrip(request(t, t.Context(), "GET", nil)); err != nil || resp.StatusCode != 503 {
		t.Errorf("with a Status of one's own: %v, %v", resp, err)
	}
}

// The last answer is the caller's, whatever it is that ends the attempts, and it is
// whole; all others have been read to their end and closed.
func TestTransportReturnsTheLastAnswer(t *testing.T) {
	short, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	poor := newBudget(t, 0.000001, 1)
	for name, tt := range map[string]struct {
		ctx   context.Context
		cfg   retry.Config
		calls int
	}{
		"attempts":     {t.Context(), retry.Config{MaxAttempts: 3, Backoff: every(0)}, 3},
		"schedule":     {t.Context(), retry.Config{MaxAttempts: 9, Backoff: waits(0, 0, 0)}, 4},
		"budget":       {t.Context(), retry.Config{MaxAttempts: 9, Backoff: every(0), Budget: poor}, 2},
		"time":         {short, retry.Config{MaxAttempts: 9, Backoff: waits(0, 2*time.Hour)}, 2},
		"nested":       {retry.ContextWithAttempt(t.Context(), 2), retry.Config{MaxAttempts: 9, Backoff: every(0)}, 1},
		"one attempt":  {t.Context(), retry.Config{MaxAttempts: 1}, 1},
		"the deadline": {short, retry.Config{MaxAttempts: 9, PerAttempt: time.Minute, Backoff: waits(2 * time.Hour)}, 1},
	} {
		b := &backend{statuses: []int{500, 502, 503, 504}}
		resp, err := retry.NewTransport(b, newRetrier(t, tt.cfg), retry.TransportConfig{}).RoundTrip(request(t, tt.ctx, "GET", nil))
		if err != nil || b.calls() != tt.calls || resp.StatusCode != b.statuses[tt.calls-1] {
			t.Errorf("%s: %v, %v after %d calls, want the answer to the %d.", name, resp, err, b.calls(), tt.calls)
			continue
		}
		for i, answer := range b.answers {
			n, _ := io.Copy(io.Discard, answer)
			if last := i == len(b.answers)-1; last != (answer.closed.Load() == 0) || last != (n > 0) {
				t.Errorf("%s: answer %d of %d: closed %d times, %d bytes left", name, i+1, len(b.answers), answer.closed.Load(), n)
			}
		}
	}
}

// Of an answer that nobody gets no more than 64 KiB are read.
func TestTransportDrainsALittle(t *testing.T) {
	long := &body{Reader: &zeros{left: 1 << 20}}
	b := &backend{statuses: []int{200}}
	rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		if long.closed.Load() > 0 {
			return b.RoundTrip(r)
		}
		return &http.Response{StatusCode: 503, Body: long}, nil
	}), quick(t, 2), retry.TransportConfig{})
	if resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil)); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if n, _ := io.Copy(io.Discard, long); n != 1<<20-64<<10 {
		t.Errorf("%d bytes were read", 1<<20-n)
	}
}

func TestTransportRecovers(t *testing.T) {
	b := &backend{statuses: []int{0, 503, 200}}
	r := quick(t, 3)
	resp, err := retry.NewTransport(b, r, retry.TransportConfig{}).RoundTrip(request(t, t.Context(), "GET", nil))
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	if s := r.Stats(); s.Recovered != 1 || s.Retries != 2 {
		t.Errorf("%+v", s)
	}
}

// An error that says so itself is not tried again, such as an open breaker's.
func TestTransportHearsErrors(t *testing.T) {
	calls := 0
	want := retry.Permanent(errRefused)
	rt := retry.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, want
	}), quick(t, 3), retry.TransportConfig{})
	if _, err := rt.RoundTrip(request(t, t.Context(), "GET", nil)); err != want || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// Nor is a certificate that is wrong, for it will be so the next time.
func TestTransportBadCertificate(t *testing.T) {
	calls := 0
	rt := retry.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) {
		calls++
		return nil, &tls.CertificateVerificationError{Err: errRefused}
	}), quick(t, 3), retry.TransportConfig{})
	if _, err := rt.RoundTrip(request(t, t.Context(), "GET", nil)); !errors.Is(err, errRefused) || calls != 1 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// What is sent tells of its attempt and the time that is left, in requests of its own.
func TestTransportTellsOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		b := &backend{statuses: []int{503, 503, 200}}
		rt := retry.NewTransport(b, newRetrier(t, retry.Config{Backoff: every(1500 * time.Millisecond)}), retry.TransportConfig{})
		r := request(t, ctx, "GET", nil)
		r.Header.Set("X-Own", "1")
		before, header := *r, r.Header.Clone()
		if _, err := rt.RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&before, r) || !reflect.DeepEqual(header, r.Header) {
			t.Errorf("the caller's request has changed: %+v", r)
		}
		for i, want := range []struct{ attempt, left string }{{"", "10000"}, {"2", "8500"}, {"3", "7000"}} {
			h := b.requests[i].Header
			if h.Get(retry.AttemptHeader) != want.attempt || h.Get(retry.TimeoutHeader) != want.left || h.Get("X-Own") != "1" {
				t.Errorf("attempt %d: %v, want %v", i+1, h, want)
			}
			if n := retry.Attempt(b.requests[i].Context()); n != i+1 {
				t.Errorf("attempt %d: its context says %d", i+1, n)
			}
		}
	})
}

func TestTransportTimeoutHeaderOfTheCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		for sent, want := range map[string]string{"1500": "1500", "10001": "10000", "soon": "10000", "99999999999999999999": "10000"} {
			b := &backend{statuses: []int{200}}
			r := request(t, ctx, "POST", nil)
			r.Header.Set(retry.TimeoutHeader, sent)
			if _, err := retry.NewTransport(b, quick(t, 1), retry.TransportConfig{}).RoundTrip(r); err != nil {
				t.Fatal(err)
			}
			if got := b.requests[0].Header.Get(retry.TimeoutHeader); got != want || r.Header.Get(retry.TimeoutHeader) != sent {
				t.Errorf("%q was sent as %q, want %q; the caller's is %q", sent, got, want, r.Header.Get(retry.TimeoutHeader))
			}
		}
	})
}

// Less than a millisecond is not sent as none.
func TestTransportTellsOfLittleTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Microsecond)
		defer cancel()
		b := &backend{statuses: []int{200}}
		if _, err := retry.NewTransport(b, quick(t, 1), retry.TransportConfig{}).RoundTrip(request(t, ctx, "GET", nil)); err != nil {
			t.Fatal(err)
		}
		if got := b.requests[0].Header.Get(retry.TimeoutHeader); got != "1" {
			t.Errorf("sent %q ms, want 1", got)
		}
	})
}

// Without a deadline, a retry or a time for attempts, base gets the request itself.
func TestTransportLeavesPlainRequestsAlone(t *testing.T) {
	b := &backend{statuses: []int{200}}
	r := request(t, t.Context(), "GET", nil)
	if _, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(r); err != nil || b.requests[0] != r {
		t.Errorf("base got another request, or %v", err)
	}
}

// A retry that is passed on stays one, and earns no budget.
func TestTransportNested(t *testing.T) {
	budget := newBudget(t, 1, 1)
	r := newRetrier(t, retry.Config{Budget: budget, Backoff: every(0)})
	spend := retry.NewTransport(&backend{statuses: []int{503, 200}}, r, retry.TransportConfig{})
	if _, err := spend.RoundTrip(request(t, t.Context(), "GET", nil)); err != nil || budget.Stats().Tokens != 0 {
		t.Fatalf("%v, %+v", err, budget.Stats())
	}
	b := &backend{statuses: []int{0}}
	_, err := retry.NewTransport(b, r, retry.TransportConfig{}).
		RoundTrip(request(t, retry.ContextWithAttempt(t.Context(), 4), "GET", nil))
	if e := givenUp(t, err, retry.ErrNested); !e.Retryable() || b.calls() != 1 {
		t.Errorf("%v after %d calls: want one that the caller may retry", err, b.calls())
	}
	if got := b.requests[0].Header.Get(retry.AttemptHeader); got != "4" {
		t.Errorf("AttemptHeader %q: want the 4 of the request that is served", got)
	}
	if budget.Stats().Tokens != 0 {
		t.Errorf("a retry has paid into the budget: %+v", budget.Stats())
	}
}

func TestTransportUpgradePassesUntouched(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for connection, want := range map[string]int{"Upgrade": 1, "keep-alive, upgrade": 1, "keep-alive": 3, "": 3} {
		b := &backend{statuses: []int{503}}
		r := request(t, ctx, "GET", nil)
		r.Header.Set("Upgrade", "websocket")
		r.Header.Set("Connection", connection)
		if _, err := retry.NewTransport(b, quick(t, 3), retry.TransportConfig{}).RoundTrip(r); err != nil {
			t.Fatal(err)
		}
		if b.calls() != want || want == 1 && b.requests[0] != r {
			t.Errorf("Connection %q: %d calls, want %d, and the very request", connection, b.calls(), want)
		}
	}
}

func TestTransportPanicsOnMisuse(t *testing.T) {
	for name, f := range map[string]func(){
		"nil Retrier":         func() { retry.NewTransport(nil, nil, retry.TransportConfig{}) },
		"negative MaxBody":    func() { retry.NewTransport(nil, quick(t, 1), retry.TransportConfig{MaxBody: -1}) },
		"negative MaxTimeout": func() { retry.Middleware(retry.MiddlewareConfig{MaxTimeout: -1}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
}

// A panic of base's goes through, and the attempt's context ends.
func TestTransportPanicOfBase(t *testing.T) {
	var ctx context.Context
	rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		ctx = r.Context()
		panic(http.ErrAbortHandler)
	}), newRetrier(t, retry.Config{PerAttempt: time.Hour}), retry.TransportConfig{})
	defer func() {
		if v := recover(); v != http.ErrAbortHandler || ctx.Err() == nil {
			t.Errorf("recovered %v; context: %v", v, ctx.Err())
		}
	}()
	_, _ = rt.RoundTrip(request(t, t.Context(), "GET", nil))
}
