package ratelimitredis_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// warm calls until a lease decides.
func warm(t *testing.T, l *ratelimitredis.Limiter, key string) (admitted int) {
	t.Helper()
	until(t, "a lease decides", func() bool {
		d, err := l.AllowN(t.Context(), key, 1)
		if err != nil || !d.OK {
			t.Fatalf("%+v, %v", d, err)
		}
		admitted++
		return l.Stats().Leased > 0
	})
	return admitted
}

// booked is how much of a key's limit Redis has booked as taken.
func booked(t *testing.T, s *ratelimitredis.Server, limit ratelimit.Limit, key string) int {
	t.Helper()
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: limit, Timeout: patient})
	d, err := l.AllowN(t.Context(), key, 0)
	if err != nil {
		t.Fatal(err)
	}
	return limit.Burst - d.Remaining
}

// What an idle key has leased comes back by itself, and the key is forgotten.
func TestIdleLease(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	limit := ratelimit.PerDay(100000)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: limit, Mode: ratelimitredis.Leased, Timeout: patient})
	admitted := warm(t, l, "key")
	until(t, "the key is forgotten", func() bool { return l.Stats().LeasedKeys == 0 })
	until(t, "all is settled", func() bool { st := l.Stats(); return st.InFlight == 0 && st.Waiting == 0 })
	// One comes back in 0.86 s. A machine that stalls is too late to give back.
	st := l.Stats()
	if got := booked(t, s, limit, "key"); got < admitted-2 || got > admitted && st.LeasesLost == 0 {
		t.Errorf("%d were let through, %d are booked", admitted, got)
	}
	if st.LeasesTaken == 0 || st.LeasesReturned+st.LeasesLost == 0 || int(st.Allowed) != admitted || st.Holders != 1 {
		t.Errorf("%+v", st)
	}
}

// Close gives back what busy keys have leased, and leaves no goroutine and no
// holder behind.
func TestClose(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	client := s.Client(t)
	limit := ratelimit.PerDay(100000)
	if err := client.Ping(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	goroutines := runtime.NumGoroutine()
	l, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: limit, Mode: ratelimitredis.Leased, Timeout: patient})
	if err != nil {
		t.Fatal(err)
	}
	admitted := warm(t, l, "key")
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if err := l.Close(t.Context()); err != nil {
		t.Errorf("again: %v", err)
	}
	until(t, "its goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if got := booked(t, s, limit, "key"); got < admitted-2 || got > admitted {
		t.Errorf("%d were let through, %d are booked", admitted, got)
	}
	keys := client.Keys(t.Context(), "*").Val()
	if len(keys) != 1 || strings.Contains(keys[0], "holders") {
		t.Errorf("left in Redis: %q", keys)
	}
}

// Close with a silent server returns when its context ends, and says why.
func TestCloseSilent(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(100000), Mode: ratelimitredis.Leased})
	if _, err := l.AllowN(t.Context(), "key", 1); err != nil {
		t.Fatal(err)
	}
	s.Stop(t)
	if _, err := l.AllowN(t.Context(), "key", 1); err == nil {
		t.Error("a silent server answered")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := l.Close(ctx); err == nil || !strings.Contains(err.Error(), "under way") {
		t.Errorf("Close: %v", err)
	}
	s.Resume(t)
}

// Closing while calls are made: each has an answer or ErrClosed, and what Redis
// has booked is no less than what was let through.
func TestCloseUnderLoad(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	limit := ratelimit.PerDay(1 << 20)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: limit, Mode: ratelimitredis.Leased, Timeout: patient})
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for {
				d, err := l.AllowN(context.Background(), "key", 1)
				if err == ratelimitredis.ErrClosed {
					return
				}
				if err != nil || !d.OK {
					t.Errorf("%+v, %v", d, err)
					return
				}
				admitted.Add(1)
			}
		})
	}
	until(t, "calls are let through", func() bool { return admitted.Load() > 1000 })
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
	wg.Wait()
	got, want := booked(t, s, limit, "key"), int(admitted.Load())
	if lost := int(l.Stats().LeasesLost); got < want-200 || lost == 0 && got > want { // 12 a second come back
		t.Errorf("%d were let through, %d are booked: %+v", want, got, l.Stats())
	}
}

// What cannot be given back because Redis is silent is lost: it stays charged.
func TestLostLease(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	limit := ratelimit.PerDay(1 << 20)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: limit, Mode: ratelimitredis.Leased, Timeout: 20 * time.Millisecond})
	admitted := 0
	until(t, "a lease", func() bool {
		if d, _ := l.AllowN(t.Context(), "key", 1000); d.OK {
			admitted += 1000
		}
		return l.Stats().Leased > 0
	})
	s.Stop(t)
	until(t, "the lease is used up or has expired, and that is noticed", func() bool {
		if d, _ := l.AllowN(t.Context(), "key", 1000); d.OK {
			admitted += 1000
		}
		return l.Stats().Down == 1
	})
	until(t, "the key is forgotten", func() bool { return l.Stats().LeasedKeys == 0 })
	s.Resume(t)
	if got := booked(t, s, limit, "key"); got+20 < admitted {
		t.Errorf("%d were let through, %d are booked: %+v", admitted, got, l.Stats())
	}
}

// A cost that is more than what is left of a lease is paid by both: the last of
// a limit is had in any mode.
func TestLastTokens(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	const burst = 400
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(burst), Mode: ratelimitredis.Leased, Timeout: patient})
	left := burst
	for _, n := range []int{1, 1, 1, 1, 1, 1, 1, 7, 1, 30, 1, 1, 200, 1, 1, 90} {
		if d, err := l.AllowN(t.Context(), "key", burst); err != nil || d.OK && left < burst {
			t.Errorf("all of it, %d are left: %+v, %v", left, d, err) // and what it had of a lease is there again
		} else if d.OK {
			if err := l.Return(t.Context(), "key", burst); err != nil {
				t.Fatal(err)
			}
		}
		d, err := l.AllowN(t.Context(), "key", n)
		if left -= n; err != nil || !d.OK || d.Remaining > left {
			t.Errorf("%d of it, %d then left: %+v, %v", n, left, d, err)
		}
	}
	until(t, "leases come back", func() bool {
		d, err := l.AllowN(t.Context(), "key", 0)
		if l.Stats().LeasesLost > 0 { // the machine stalled
			left = d.Remaining
		}
		return err == nil && d.Remaining == left && l.Stats().LeasedKeys == 0
	})
	if d, err := l.AllowN(t.Context(), "key", left+1); err != nil || d.OK || d.RetryAfter <= 0 {
		t.Errorf("one more than there is: %+v, %v", d, err)
	}
	if d, err := l.AllowN(t.Context(), "key", left); err != nil || !d.OK || d.Remaining != 0 {
		t.Errorf("all there is: %+v, %v", d, err)
	}
}

// Keys beyond MaxKeys are decided by Redis.
func TestMaxKeys(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(3), Mode: ratelimitredis.Leased, Timeout: patient, MaxKeys: 10})
	for i := range 200 {
		if d, err := l.AllowN(t.Context(), fmt.Sprint(i), 1); err != nil || !d.OK || d.Remaining != 2 {
			t.Errorf("%+v, %v", d, err)
		}
		if st := l.Stats(); st.LeasedKeys > 10 {
			t.Fatalf("%d keys", st.LeasedKeys)
		}
	}
}

func TestLeasedAllocs(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerSecond(1e8), Mode: ratelimitredis.Leased, Timeout: patient})
	warm(t, l, "key")
	ctx := context.Background()
	for range 1000 {
		_, _ = l.AllowN(ctx, "key", 1)
	}
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.AllowN(ctx, "key", 1) }); n > 0 {
		t.Errorf("%v allocations a call", n)
	}
}
