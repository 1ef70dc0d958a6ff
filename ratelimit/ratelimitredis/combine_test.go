package ratelimitredis_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// silence stops s when l has nothing under way any more: a round trip that is
// answered still looks for more to send.
func silence(t *testing.T, s *ratelimitredis.Server, l *ratelimitredis.Limiter) {
	t.Helper()
	until(t, "nothing is under way", func() bool { return l.Stats().InFlight == 0 })
	s.Stop(t)
}

// Calls that come while a round trip is under way share the next one, and are
// decided in the order in which they came: as if each had asked alone.
func TestCombining(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	limit := ratelimit.PerDay(20)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: limit, Timeout: patient})
	if _, err := l.AllowN(t.Context(), "other", 1); err != nil { // connects
		t.Fatal(err)
	}
	silence(t, s, l)
	type answer struct {
		ratelimit.Decision
		err error
	}
	asked := []struct {
		key string
		n   int
	}{{"other", 1}, {"a", 8}, {"b", 3}, {"a", 8}, {"a", 8}, {"a", 1}, {"a", 1}, {"b", 3}, {"a", 4}, {"a", 2}, {"a", 1}, {"a", 0}, {"a", 21}}
	answers := make([]answer, len(asked))
	var wg sync.WaitGroup
	for i, q := range asked {
		wg.Go(func() { answers[i].Decision, answers[i].err = l.AllowN(t.Context(), q.key, q.n) })
		until(t, "a call waits", func() bool { st := l.Stats(); return st.InFlight == 1 && st.Waiting == i })
	}
	before := l.Stats()
	s.Resume(t)
	wg.Wait()
	oracle, err := ratelimit.New(ratelimit.Config{Limit: limit})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	oracle.AllowAt(now, "other", 1)
	for i, q := range asked {
		want, got := oracle.AllowAt(now, q.key, q.n), answers[i]
		if got.err != nil || got.OK != want.OK || got.Remaining != want.Remaining ||
			(got.RetryAfter == rate.InfDuration) != (want.RetryAfter == rate.InfDuration) ||
			(got.RetryAfter-want.RetryAfter).Abs() > time.Minute || (got.ResetAfter-want.ResetAfter).Abs() > time.Minute {
			t.Errorf("call %d, %d of %s: %+v, want %+v", i, q.n, q.key, got, want)
		}
	}
	if st := l.Stats(); st.RoundTrips-before.RoundTrips != 2 || st.Combined != uint64(len(asked)-2) {
		t.Errorf("%d calls: %+v", len(asked), st)
	}
}

// Many callers, two limiters, a few keys: what is let through is the burst.
func TestExactUnderLoad(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	const burst, keys = 300, 3
	var mu sync.Mutex
	admitted := make(map[string]int)
	var wg sync.WaitGroup
	for range 2 {
		l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(burst), Timeout: patient})
		for i := range 32 {
			wg.Go(func() {
				for j := range 60 {
					key := string(rune('a' + (i+j)%keys))
					n := 1 + (i+j)%2
					d, err := l.AllowN(t.Context(), key, n)
					if err != nil {
						t.Error(err)
					}
					if d.OK {
						mu.Lock()
						admitted[key] += n
						mu.Unlock()
					}
				}
			})
		}
	}
	wg.Wait()
	for key, n := range admitted {
		if n != burst {
			t.Errorf("%s: %d were let through, want %d", key, n, burst)
		}
	}
}

// More calls than a round trip takes.
func TestManyKeys(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(1), Timeout: patient})
	if _, err := l.AllowN(t.Context(), "", 0); err != nil {
		t.Fatal(err)
	}
	silence(t, s, l)
	var wg sync.WaitGroup
	for i := range 600 {
		if i == 1 {
			until(t, "the first is sent", func() bool { st := l.Stats(); return st.InFlight == 1 && st.Waiting == 0 })
		}
		wg.Go(func() {
			if d, err := l.AllowN(t.Context(), strings.Repeat("k", i), 1); err != nil || !d.OK {
				t.Errorf("key of %d bytes: %+v, %v", i, d, err)
			}
		})
	}
	until(t, "all wait", func() bool { st := l.Stats(); return st.Waiting == 599 })
	s.Resume(t)
	wg.Wait()
	if st := l.Stats(); st.RoundTrips > 5 { // one before, one call, and thrice up to 256
		t.Errorf("%+v", st)
	}
}

func TestReturn(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	for name, mode := range map[string]ratelimitredis.Mode{"exact": ratelimitredis.Exact, "leased": ratelimitredis.Leased} {
		l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerHour(10), Mode: mode, Timeout: patient, Prefix: name})
		remaining := func() int {
			t.Helper()
			d, err := l.AllowN(t.Context(), "key", 0)
			if err != nil || !d.OK {
				t.Errorf("%s: look: %+v, %v", name, d, err)
			}
			return d.Remaining
		}
		give := func(n int) {
			t.Helper()
			if err := l.Return(t.Context(), "key", n); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if _, err := l.AllowN(t.Context(), "key", 10); err != nil {
			t.Fatal(err)
		}
		if give(4); remaining() != 4 {
			t.Errorf("%s: %d remain after 4 were returned", name, remaining())
		}
		if give(100); remaining() != 10 {
			t.Errorf("%s: %d remain after more was returned than taken", name, remaining())
		}
		give(-15)
		d, err := l.AllowN(t.Context(), "key", 1)
		if err != nil || d.OK || d.Remaining != 0 || d.RetryAfter <= 35*time.Minute || d.RetryAfter > 36*time.Minute {
			t.Errorf("%s: 5 in debt: %+v, %v", name, d, err)
		}
		if give(6); remaining() != 1 {
			t.Errorf("%s: %d remain after the debt", name, remaining())
		}
		// As much debt as there is: it ends some day, and nothing overflows.
		for _, n := range []int{-1 << 62, -1 << 62, -1 << 63, -1 << 63} {
			give(n)
			if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.OK || d.RetryAfter < 100*365*24*time.Hour {
				t.Errorf("%s: after %d in debt for good: %+v, %v", name, n, d, err)
			}
		}
		if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.OK || d.RetryAfter < 100*365*24*time.Hour {
			t.Errorf("%s: in debt for good: %+v, %v", name, d, err)
		}
		if st := l.Stats(); st.Returned != 8 {
			t.Errorf("%s: %+v", name, st)
		}
	}
}

func TestRefused(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerHour(10), Timeout: patient,
		LimitFor: func(key string) (ratelimit.Limit, bool) { return ratelimit.Limit{}, key == "bad" }})
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.AllowN(t.Context(), "key", -1); !errors.Is(err, ratelimit.ErrCost) {
		t.Errorf("negative cost: %v", err)
	}
	if _, err := l.AllowN(t.Context(), "bad", 1); err == nil || !strings.Contains(err.Error(), "LimitFor") {
		t.Errorf("bad limit: %v", err)
	}
	if err := l.Return(t.Context(), "bad", 1); err == nil {
		t.Error("bad limit: returned")
	}
	if d, err := l.AllowN(canceled, "key", 1); d.OK || err != context.Canceled {
		t.Errorf("canceled: %+v, %v", d, err)
	}
	if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.Remaining != 9 {
		t.Errorf("nothing of all that was charged: %+v, %v", d, err)
	}

	// A call whose context ends while it waits leaves at once.
	silence(t, s, l)
	leaving, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i := range 3 {
		if i == 1 {
			until(t, "the first is sent", func() bool { st := l.Stats(); return st.InFlight == 1 && st.Waiting == 0 })
		}
		wg.Go(func() {
			if d, err := l.AllowN(leaving, "key", 1); d.OK || err != context.Canceled {
				t.Errorf("left: %+v, %v", d, err)
			}
		})
	}
	until(t, "they wait", func() bool { return l.Stats().Waiting == 2 })
	leave()
	wg.Wait()
	if st := l.Stats(); st.Waiting != 0 || st.Canceled != 4 || st.Refused != 2 || st.Outages != 0 {
		t.Errorf("%+v", st)
	}
	s.Resume(t)
	if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.Remaining != 7 {
		t.Errorf("only what was sent is charged: %+v, %v", d, err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := l.AllowN(t.Context(), "key", 1); err != ratelimitredis.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
	if err := l.Return(t.Context(), "key", 1); err != ratelimitredis.ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// A limit that changes counts from the next call on, with what was taken before
// as the time that it takes to come back.
func TestLimitChanges(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	for name, mode := range map[string]ratelimitredis.Mode{"exact": ratelimitredis.Exact, "leased": ratelimitredis.Leased} {
		limit := ratelimit.PerHour(10)
		l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerHour(1), Timeout: patient, Mode: mode, Prefix: name,
			LimitFor: func(string) (ratelimit.Limit, bool) { return limit, true }})
		oracle, err := ratelimit.New(ratelimit.Config{Limit: limit, LimitFor: func(string) (ratelimit.Limit, bool) { return limit, true }})
		if err != nil {
			t.Fatal(err)
		}
		now := time.Now()
		for i, to := range []ratelimit.Limit{limit, ratelimit.PerHour(5), ratelimit.PerHour(100), ratelimit.PerSecond(1000), ratelimit.PerDay(3)} {
			limit = to
			for range 4 {
				got, err := l.AllowN(t.Context(), "key", 1)
				want := oracle.AllowAt(now, "key", 1)
				if err != nil || got.OK != want.OK || got.Limit != to {
					t.Errorf("%s: limit %d: %+v, %v; want %+v", name, i, got, err, want)
				}
			}
		}
	}
}
