package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/retry"
)

var errBroken = errors.New("broken")

func newBreaker(t *testing.T, failures int) *breaker.Breaker {
	t.Helper()
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: failures, OpenFor: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func newRetrier(t *testing.T, attempts int) *retry.Retrier {
	t.Helper()
	r, err := retry.New(retry.Config{MaxAttempts: attempts, Backoff: retry.FullJitter(time.Millisecond, time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// Both take the same functions, so that one goes around the other without an
// adapter, and both take what the other gives.
func TestFunctionTypes(t *testing.T) {
	b, r := newBreaker(t, 3), newRetrier(t, 3)
	type pair struct{ a, b int }
	get := func(context.Context) (pair, error) { return pair{1, 2}, nil }
	do := func(context.Context) error { return nil }

	around := func(ctx context.Context) (pair, error) { return breaker.Call(ctx, b, get) }
	if p, err := retry.Call(t.Context(), r, around); err != nil || p != (pair{1, 2}) {
		t.Errorf("retry around breaker: %v %v", p, err)
	}
	around = func(ctx context.Context) (pair, error) { return retry.Call(ctx, r, get) }
	if p, err := breaker.Call(t.Context(), b, around); err != nil || p != (pair{1, 2}) {
		t.Errorf("breaker around retry: %v %v", p, err)
	}
	if p, err := breaker.Fallback(t.Context(), around, get); err != nil || p != (pair{1, 2}) {
		t.Errorf("fallback around both: %v %v", p, err)
	}
	if err := r.Do(t.Context(), func(ctx context.Context) error { return b.Do(ctx, do) }); err != nil {
		t.Error(err)
	}
	if err := b.Do(t.Context(), func(ctx context.Context) error { return r.Do(ctx, do) }); err != nil {
		t.Error(err)
	}
}

// A retrier around a breaker: each attempt is one that the breaker counts, and
// none follows its refusal.
func TestRetryAroundBreaker(t *testing.T) {
	b, r := newBreaker(t, 5), newRetrier(t, 3)
	calls := 0
	broken := func(ctx context.Context) error {
		return b.Do(ctx, func(context.Context) error { calls++; return errBroken })
	}
	if err := r.Do(t.Context(), broken); !errors.Is(err, retry.ErrExhausted) || !errors.Is(err, errBroken) {
		t.Errorf("the first call: %v", err)
	}
	if calls != 3 || b.Stats().Failures != 3 {
		t.Errorf("%d calls in three attempts, and the breaker counts %d", calls, b.Stats().Failures)
	}

	// The second attempt opens the breaker, and the third meets it open.
	var open *breaker.OpenError
	if err := r.Do(t.Context(), broken); !errors.As(err, &open) {
		t.Errorf("the second call: %v", err)
	}
	if calls != 5 || b.Stats().Rejected != 1 {
		t.Errorf("%d calls, want 5; %d refusals, want 1", calls, b.Stats().Rejected)
	}

	before := r.Stats()
	if err := r.Do(t.Context(), broken); !errors.As(err, &open) {
		t.Errorf("the third call: %v", err)
	}
	after := r.Stats()
	if calls != 5 || b.Stats().Rejected != 2 || after.Retries != before.Retries || after.Permanent != before.Permanent+1 {
		t.Errorf("a refusal was retried: %d calls, %+v and then %+v", calls, before, after)
	}
}

// A breaker around a retrier counts calls, not attempts.
func TestBreakerAroundRetry(t *testing.T) {
	b, r := newBreaker(t, 5), newRetrier(t, 3)
	_ = b.Do(t.Context(), func(ctx context.Context) error {
		return r.Do(ctx, func(context.Context) error { return errBroken })
	})
	_ = b.Do(t.Context(), func(ctx context.Context) error {
		return r.Do(ctx, func(ctx context.Context) error {
			if retry.Attempt(ctx) == 1 {
				return errBroken
			}
			return nil
		})
	})
	if s := b.Stats(); s.Failures != 1 || s.Successes != 1 {
		t.Errorf("%+v", s)
	}
}

// The caller's cancel ends both, and is nobody's failure.
func TestCancel(t *testing.T) {
	b, r := newBreaker(t, 1), newRetrier(t, 3)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	err := r.Do(ctx, func(ctx context.Context) error {
		return b.Do(ctx, func(context.Context) error { calls++; cancel(); return errBroken })
	})
	if s := b.Stats(); !errors.Is(err, context.Canceled) || calls != 1 || s.Ignored != 1 || s.State != breaker.Closed {
		t.Errorf("%v after %d calls, %+v", err, calls, s)
	}
}

// A fallback's second option is asked when the first is refused, and knows why.
func TestFallbackKnowsWhy(t *testing.T) {
	b, r := newBreaker(t, 1), newRetrier(t, 3)
	b.ForceOpen()
	got, err := breaker.Fallback(t.Context(),
		func(ctx context.Context) (string, error) {
			return retry.Call(ctx, r, func(ctx context.Context) (string, error) {
				return breaker.Call(ctx, b, func(context.Context) (string, error) { return "live", nil })
			})
		},
		func(ctx context.Context) (string, error) {
			if !errors.Is(breaker.CauseFromContext(ctx), breaker.ErrOpen) {
				t.Errorf("the cause is %v", breaker.CauseFromContext(ctx))
			}
			return "cached", nil
		})
	if err != nil || got != "cached" {
		t.Errorf("%q %v", got, err)
	}
}

// serve answers with the statuses in turn, and with the last one from then on.
func serve(t *testing.T, statuses ...int) (url string, reached *atomic.Int64) {
	t.Helper()
	reached = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		i := int(reached.Add(1)) - 1
		w.WriteHeader(statuses[min(i, len(statuses)-1)])
	}))
	t.Cleanup(s.Close)
	return s.URL, reached
}

// through returns a client whose attempts r makes and b counts.
func through(t *testing.T, b *breaker.Breaker, r *retry.Retrier) *http.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	return &http.Client{Transport: retry.NewTransport(breaker.NewTransport(base, b, breaker.TransportConfig{}), r, retry.TransportConfig{})}
}

func get(t *testing.T, c *http.Client, url string) (status int, err error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	return resp.StatusCode, resp.Body.Close()
}

func TestTransports(t *testing.T) {
	b, r := newBreaker(t, 4), newRetrier(t, 3)
	url, reached := serve(t, 503, 500, 200, 404, 503)
	c := through(t, b, r)
	for _, want := range []int{200, 404} { // after two failures; the client's fault, and no failure
		if status, err := get(t, c, url); err != nil || status != want {
			t.Errorf("%d %v, want %d", status, err, want)
		}
	}
	if s := b.Stats(); s.Failures != 2 || s.Successes != 2 || reached.Load() != 4 {
		t.Errorf("%d requests reached the server, and the breaker says %+v", reached.Load(), s)
	}

	// All attempts fail: the last answer is the caller's.
	if status, err := get(t, c, url); err != nil || status != 503 || reached.Load() != 7 {
		t.Errorf("%d %v after %d requests", status, err, reached.Load())
	}
	// The next failure opens the breaker, and no attempt follows its refusal.
	var open *breaker.OpenError
	if status, err := get(t, c, url); !errors.As(err, &open) {
		t.Errorf("%d %v, want an OpenError", status, err)
	}
	before := r.Stats().Retries
	for range 5 {
		if status, err := get(t, c, url); !errors.Is(err, breaker.ErrOpen) {
			t.Errorf("%d %v, want ErrOpen", status, err)
		}
	}
	if s := b.Stats(); reached.Load() != 8 || r.Stats().Retries != before || s.Rejected != 6 || s.Failures != 6 {
		t.Errorf("%d requests reached the server, %d retries and %d before, %+v", reached.Load(), r.Stats().Retries, before, s)
	}
}

// Nobody listens: an error is a failure too, and each attempt is one.
func TestNobodyListens(t *testing.T) {
	b, r := newBreaker(t, 5), newRetrier(t, 3)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	c := through(t, b, r)
	if _, err := get(t, c, gone.URL); err == nil || errors.Is(err, breaker.ErrOpen) || b.Stats().Failures != 3 {
		t.Errorf("%v, %+v", err, b.Stats())
	}
	if _, err := get(t, c, gone.URL); !errors.Is(err, breaker.ErrOpen) || b.Stats().Failures != 5 {
		t.Errorf("%v, %+v", err, b.Stats())
	}
}

// A group's other hosts are called on.
func TestGroupByHost(t *testing.T) {
	c, err := newClient(func(string, breaker.State, breaker.State) {})
	if err != nil {
		t.Fatal(err)
	}
	defer c.http.CloseIdleConnections()
	ill, _ := serve(t, 500)
	well, reached := serve(t, 200)
	for range 30 { // 20 failures in a row open the breaker
		_, _ = c.fetch(t.Context(), ill)
	}
	if _, err := c.fetch(t.Context(), ill); !errors.Is(err, breaker.ErrOpen) {
		t.Errorf("the host that is ill: %v", err)
	}
	for range 10 {
		if _, err := c.fetch(t.Context(), well); err != nil {
			t.Errorf("the other: %v", err)
		}
	}
	if reached.Load() != 10 {
		t.Errorf("%d requests reached it, want 10", reached.Load())
	}
}
