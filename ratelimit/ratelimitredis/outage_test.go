package ratelimitredis_test

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// slack is what a busy machine may add to a call's deadline. It is well below
// the seconds that the client would wait by itself.
const slack = time.Second

// A load calls a limiter from many goroutines until it is stopped.
type load struct {
	admitted, unavailable, denied atomic.Int64
	longest                       atomic.Int64 // call, in nanoseconds
	stop                          func()
}

func startLoad(t *testing.T, l *ratelimitredis.Limiter, callers int, key string) *load {
	var ld load
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				start := time.Now()
				d, err := l.AllowN(context.Background(), key, 1)
				took := int64(time.Since(start))
				for old := ld.longest.Load(); took > old && !ld.longest.CompareAndSwap(old, took); old = ld.longest.Load() {
				}
				switch {
				case d.OK:
					ld.admitted.Add(1)
				case err != nil:
					ld.unavailable.Add(1)
					if !errors.Is(err, ratelimitredis.ErrUnavailable) {
						t.Errorf("load: %v", err)
					}
				default:
					ld.denied.Add(1)
				}
				runtime.Gosched()
			}
		})
	}
	ld.stop = sync.OnceFunc(func() { cancel(); wg.Wait() })
	t.Cleanup(ld.stop)
	return &ld
}

// until waits for what must come to be.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); runtime.Gosched() {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// pass waits for d, with the load running.
func pass(d time.Duration) { <-time.After(d) }

func (ld *load) check(t *testing.T, timeout time.Duration) {
	t.Helper()
	ld.stop()
	if longest := time.Duration(ld.longest.Load()); longest > timeout+slack {
		t.Errorf("a call took %v with a timeout of %v", longest, timeout)
	}
}

// A silent server with load running: nobody waits above the deadline, nothing is
// let through, and goroutines and round trips are few.
func TestSilent(t *testing.T) {
	for name, mode := range map[string]ratelimitredis.Mode{"exact": ratelimitredis.Exact, "leased": ratelimitredis.Leased} {
		t.Run(name, func(t *testing.T) {
			s := ratelimitredis.StartServer(t)
			const timeout, callers, burst = 50 * time.Millisecond, 32, 1 << 20
			// Without refill within the test.
			l := newLimiter(t, s.Client(t), ratelimitredis.Config{
				Limit: ratelimit.Limit{Rate: rate.Limit(burst) / (365 * 24 * 3600), Burst: burst}, Mode: mode, Timeout: timeout})
			ld := startLoad(t, l, callers, "key")
			until(t, "calls are let through", func() bool { return ld.admitted.Load() > 100 })

			s.Stop(t)
			until(t, "an outage", func() bool { return l.Stats().Outages > 0 })
			// Whatever was decided before, or leased, is used up by now.
			pass(ratelimitredis.LeaseTime + timeout)
			before := ld.admitted.Load()
			goroutines, then := runtime.NumGoroutine(), l.Stats()
			pass(6 * timeout)
			now := l.Stats()
			if waited := now.Timeouts - then.Timeouts; waited > 6 {
				t.Errorf("%d calls waited for a server that is known to be down: more than one every two timeouts", waited)
			}
			if calls := now.FailedClosed - then.FailedClosed; calls < 20*callers {
				t.Errorf("%d calls were decided, which is no more than if all had waited", calls)
			}
			if after := ld.admitted.Load(); after != before {
				t.Errorf("%d calls were let through by a silent server", after-before)
			}
			if n := runtime.NumGoroutine(); n > goroutines+2*ratelimitredis.MaxFlights {
				t.Errorf("%d goroutines, %d before", n, goroutines)
			}
			if st := l.Stats(); st.Down != 1 || st.InFlight > ratelimitredis.MaxFlights || st.Waiting > callers {
				t.Errorf("during the outage: %+v", st)
			}

			s.Resume(t)
			until(t, "calls are let through again", func() bool { return ld.admitted.Load() > before })
			until(t, "recovery", func() bool { return l.Stats().Recovered > 0 })
			ld.check(t, timeout)
			st := l.Stats()
			if st.FailedClosed != uint64(ld.unavailable.Load()) || st.Allowed != uint64(ld.admitted.Load()) || st.Timeouts == 0 {
				t.Errorf("admitted %d, unavailable %d, but %+v", ld.admitted.Load(), ld.unavailable.Load(), st)
			}
			// What Redis has booked is at least what was let through.
			d, err := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.Limit{Rate: rate.Limit(burst) / (365 * 24 * 3600), Burst: burst}, Timeout: patient}).
				AllowN(t.Context(), "key", 0)
			if err != nil || int64(burst-d.Remaining)+1 < ld.admitted.Load() { // one comes back in 30 s
				t.Errorf("%d were let through, Redis has booked %d: %v", ld.admitted.Load(), burst-d.Remaining, err)
			}
		})
	}
}

// Killed and restarted, under load: what is let through is a burst for each of
// its lives at most, for it keeps nothing.
func TestKilled(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	const timeout, burst = 50 * time.Millisecond, 500
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(burst), Timeout: timeout})
	ld := startLoad(t, l, 16, "key")
	until(t, "the burst is used up, and all know", func() bool { return ld.denied.Load() > 500 })
	first := ld.admitted.Load()
	s.Kill()
	until(t, "an outage", func() bool { return l.Stats().Outages > 0 })
	pass(4 * timeout)
	if got := ld.admitted.Load(); got != first || first > burst {
		t.Errorf("%d were let through while it lived, %d with those after", first, got)
	}
	s.Restart(t)
	until(t, "calls are let through again", func() bool { return ld.admitted.Load() > first })
	denied := ld.denied.Load()
	until(t, "the burst is used up", func() bool { return ld.denied.Load() > denied })
	ld.check(t, timeout)
	if got := ld.admitted.Load(); got > 2*burst+1 { // one of the day comes back
		t.Errorf("%d were let through in two lives of %d", got, burst)
	}
	if st := l.Stats(); st.Recovered == 0 || st.FailedClosed == 0 {
		t.Errorf("%+v", st)
	}
}

// A server that answers, but too late.
func TestSlow(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	const timeout = 50 * time.Millisecond
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(1e6), Timeout: timeout})
	ld := startLoad(t, l, 8, "key")
	until(t, "calls are let through", func() bool { return ld.admitted.Load() > 0 })
	if err := s.Client(t).ClientPause(t.Context(), 8*timeout).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "an outage", func() bool { return l.Stats().Outages > 0 })
	until(t, "recovery", func() bool { return l.Stats().Recovered > 0 })
	before := ld.admitted.Load()
	until(t, "calls are let through again", func() bool { return ld.admitted.Load() > before })
	ld.check(t, timeout)
}

// Nobody is there, or somebody who accepts and says nothing, or all of the
// client's connections are in use: the deadline is the same.
func TestUnreachable(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel accepts
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	refusing, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refusing.Close()
	s := ratelimitredis.StartServer(t)
	busy := redis.NewClient(&redis.Options{Addr: s.Addr, PoolSize: 1})
	defer busy.Close()
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	wg.Go(func() { busy.BLPop(ctx, 4*time.Second, "never") })
	until(t, "the connection is in use", func() bool { st := busy.PoolStats(); return st.TotalConns == 1 && st.IdleConns == 0 })

	for name, client := range map[string]*redis.Client{
		"silent":   redis.NewClient(&redis.Options{Addr: silent.Addr().String(), ReadTimeout: time.Second}),
		"refusing": redis.NewClient(&redis.Options{Addr: refusing.Addr().String()}),
		"busy":     busy,
	} {
		t.Run(name, func(t *testing.T) {
			defer client.Close()
			l := newLimiter(t, client, ratelimitredis.Config{Limit: ratelimit.PerSecond(10)})
			for range 3 {
				start := time.Now()
				d, err := l.AllowN(t.Context(), "key", 1)
				if took := time.Since(start); took > 50*time.Millisecond+slack {
					t.Errorf("took %v", took)
				}
				var retryable interface {
					Retryable() bool
					RetryDelay() time.Duration
				}
				if d.OK || !errors.Is(err, ratelimitredis.ErrUnavailable) || !errors.As(err, &retryable) ||
					!retryable.Retryable() || retryable.RetryDelay() <= 0 || d.RetryAfter != retryable.RetryDelay() {
					t.Errorf("%+v, %v", d, err)
				}
				if errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the caller's context has no deadline: %v", err)
				}
			}
			if err := l.Return(t.Context(), "key", 1); !errors.Is(err, ratelimitredis.ErrUnavailable) {
				t.Errorf("Return: %v", err)
			}
			if st := l.Stats(); st.FailedClosed != 3 || st.ReturnedLost != 1 || st.Outages != 1 || st.Down != 1 || st.Allowed != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// A connection that hangs keeps its own calls until their deadline, and nobody
// else: the next round trip has another one.
func TestHungConnection(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	var dialed atomic.Int64
	client := redis.NewClient(&redis.Options{
		ReadTimeout: time.Minute, WriteTimeout: time.Minute,
		Dialer: func(ctx context.Context, _, _ string) (net.Conn, error) {
			if dialed.Add(1) == 1 {
				ours, theirs := net.Pipe() // which nobody reads
				t.Cleanup(func() { ours.Close(); theirs.Close() })
				return ours, nil
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", s.Addr)
		},
	})
	t.Cleanup(func() { _ = client.Close() })
	l, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: ratelimit.PerDay(100)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AllowN(t.Context(), "key", 1); !errors.Is(err, ratelimitredis.ErrUnavailable) {
		t.Errorf("on a connection that hangs: %v", err)
	}
	until(t, "another connection is used", func() bool {
		d, err := l.AllowN(t.Context(), "key", 1)
		return err == nil && d.OK
	})
	for range 10 {
		if d, err := l.AllowN(t.Context(), "key", 1); err != nil || !d.OK {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if st := l.Stats(); st.InFlight == 0 || st.Down != 0 || st.Recovered != 1 {
		t.Errorf("the first still hangs, the server is up: %+v", st)
	}
}

// What was sent and not answered in time stays charged; what was not sent is not.
// And an answer that comes too late is reason enough to ask again.
func TestLateAnswer(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(10), Timeout: 500 * time.Millisecond})
	until(t, "the server answers", func() bool { _, err := l.AllowN(t.Context(), "key", 0); return err == nil })
	silence(t, s, l)
	var wg sync.WaitGroup
	for i := range 4 {
		if i == 1 {
			until(t, "the first is sent", func() bool { st := l.Stats(); return st.InFlight == 1 && st.Waiting == 0 })
		}
		wg.Go(func() {
			if d, err := l.AllowN(t.Context(), "key", 1); d.OK || !errors.Is(err, ratelimitredis.ErrUnavailable) {
				t.Errorf("silent: %+v, %v", d, err)
			}
		})
	}
	wg.Wait()
	if st := l.Stats(); st.Waiting != 0 || st.Timeouts != 4 || st.FailedClosed != 4 || st.Outages != 1 {
		t.Errorf("%+v", st)
	}
	s.Resume(t)
	until(t, "the answer has come", func() bool { return l.Stats().InFlight == 0 })
	if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.Remaining != 8 {
		t.Errorf("the first of four is charged, and this one: %+v, %v", d, err)
	}
}

func TestFailOpen(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerDay(2), OnOutage: ratelimitredis.FailOpen})
	s.Kill()
	for range 5 {
		if d, err := l.AllowN(t.Context(), "key", 1); !d.OK || !errors.Is(err, ratelimitredis.ErrUnavailable) {
			t.Errorf("%+v, %v", d, err)
		}
	}
	if d, err := l.AllowN(t.Context(), "key", 3); d.OK || err != nil || d.RetryAfter != rate.InfDuration {
		t.Errorf("more than the burst needs no Redis: %+v, %v", d, err)
	}
	if st := l.Stats(); st.FailedOpen != 5 || st.Denied != 1 {
		t.Errorf("%+v", st)
	}
}

// Each of the replicas lets its share through, and no more.
func TestLocalFallback(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{
		Limit:    ratelimit.PerDay(20),
		LimitFor: func(key string) (ratelimit.Limit, bool) { return ratelimit.PerDay(2), key == "small" },
		OnOutage: ratelimitredis.LocalFallback, Replicas: 4})
	s.Kill()
	for key, want := range map[string]int{"key": 5, "small": 1} {
		got := 0
		for range 30 {
			d, err := l.AllowN(t.Context(), key, 1)
			if err != nil {
				t.Fatal(err)
			}
			if d.OK {
				got++
			} else if d.RetryAfter <= 0 || d.RetryAfter == rate.InfDuration {
				t.Errorf("denied for %v", d.RetryAfter)
			}
		}
		if got != want {
			t.Errorf("%s: %d were let through, want %d", key, got, want)
		}
	}
	if d, err := l.AllowN(t.Context(), "key", 6); d.OK || err != nil || d.RetryAfter == rate.InfDuration {
		t.Errorf("more than the share, not more than the limit: %+v, %v", d, err)
	}
	if err := l.Return(t.Context(), "key", 2); err != nil {
		t.Errorf("Return: %v", err)
	}
	if d, err := l.AllowN(t.Context(), "key", 2); !d.OK || err != nil {
		t.Errorf("what was returned: %+v, %v", d, err)
	}
	if st := l.Stats(); st.FallbackAllowed != 7 || st.FallbackDenied != 55 {
		t.Errorf("%+v", st)
	}
	s.Restart(t)
	until(t, "Redis decides again", func() bool {
		d, err := l.AllowN(t.Context(), "other", 1)
		return err == nil && d.Limit.Burst == 20
	})
}

// A server that was restarted, or whose scripts were flushed, is told again.
func TestScriptFlush(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	c := s.Client(t)
	l := newLimiter(t, c, ratelimitredis.Config{Limit: ratelimit.PerDay(10), Timeout: patient})
	for i := range 3 {
		if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.Remaining != 9-i {
			t.Errorf("%+v, %v", d, err)
		}
		if err := c.ScriptFlush(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
	}
	if st := l.Stats(); st.Outages != 0 || st.RoundTrips != 3 {
		t.Errorf("%+v", st)
	}
}
