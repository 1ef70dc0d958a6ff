package concurrency_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// The whole of it, in front of a service with 40 slots and calls of 100 ms that
// is asked for 800 calls a second: the controller alone has tests of its own.
func TestAdaptiveLimiterUnderOverload(t *testing.T) {
	const slots, call, rate = 40, 100 * time.Millisecond, 800
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
		rng := rand.New(rand.NewPCG(1, 2))
		service := make(chan struct{}, slots)
		var done, latency atomic.Int64
		var wg sync.WaitGroup
		load := func(d time.Duration) {
			done.Store(0)
			latency.Store(0)
			for end := time.Now().Add(d); time.Now().Before(end); {
				pass(max(1, time.Duration(rng.ExpFloat64()/rate*1e9)))
				p, err := l.Acquire(context.Background())
				if err != nil {
					continue
				}
				began := time.Now()
				wg.Go(func() {
					defer p.Release()
					service <- struct{}{}
					pass(call)
					<-service
					done.Add(1)
					latency.Add(int64(time.Since(began)))
				})
			}
		}
		load(15 * time.Second)
		load(time.Minute)
		perSecond, mean := float64(done.Load())/60, time.Duration(latency.Load()/done.Load())
		s := l.Stats()
		wg.Wait()
		t.Logf("%.0f/s of 400, %v each, %+v", perSecond, mean, s)
		if perSecond < 380 || mean > 150*time.Millisecond {
			t.Errorf("%.0f/s of 400, %v each", perSecond, mean)
		}
		if s.Baseline < 99*time.Millisecond || s.Baseline > 105*time.Millisecond || s.Latency < call || s.Latency > 2*call {
			t.Errorf("baseline %v, latency %v", s.Baseline, s.Latency)
		}
		wantIdle(t, l)
	})
}

// Permits that are held for good, as those of WebSockets are, leave less than
// half of the limit to others. A probe, which wants half of it free, must not
// keep these out until they end.
func TestProbeDoesNotWaitForStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
		var streams []*concurrency.Permit
		for range 14 { // of 20
			p := mustAcquire(t, l)
			pass(100 * time.Millisecond) // as others take for all
			p.FirstByte()
			streams = append(streams, p)
		}
		var done atomic.Int64
		var wg sync.WaitGroup
		end := time.Now().Add(10 * time.Minute)
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					p, err := l.Acquire(context.Background())
					pass(100 * time.Millisecond)
					if err == nil {
						done.Add(1)
						p.Release()
					}
				}
			})
		}
		pass(10 * time.Second)
		for range 118 {
			before := done.Load()
			pass(5 * time.Second)
			if n := done.Load() - before; n < 100 {
				t.Errorf("%d calls of 20 callers in 5s, with a limit of %d", n, l.Stats().Limit)
			}
		}
		wg.Wait()
		t.Logf("%d calls; %+v", done.Load(), l.Stats())
		for _, p := range streams {
			p.Release()
		}
		wantIdle(t, l)
	})
}

// An overload may take the limit below the permits that are held for good. When
// it is over it must be noticed.
func TestLimitComesBackBesideStreams(t *testing.T) {
	for class, held := range map[concurrency.Criticality]int{critical: 14, shed: 7} { // of 20, or of half of that
		t.Run(class.String(), func(t *testing.T) { limitComesBack(t, class, held) })
	}
}

func limitComesBack(t *testing.T, class concurrency.Criticality, held int) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
		var streams []*concurrency.Permit
		for range held {
			p := mustAcquire(t, l)
			pass(100 * time.Millisecond)
			p.FirstByte()
			streams = append(streams, p)
		}
		overload, end := time.Now().Add(10*time.Second), time.Now().Add(time.Minute)
		var done atomic.Int64
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				for time.Now().Before(end) {
					p, err := l.Acquire(as(class))
					pass(100 * time.Millisecond)
					if err != nil {
						continue
					}
					if time.Now().Before(overload) {
						p.Overloaded()
					} else {
						done.Add(1)
					}
					p.Release()
				}
			})
		}
		wg.Wait()
		if s := l.Stats(); done.Load() < 20*10*15 || s.Limit < 20+held {
			t.Errorf("%d calls in the 50s after it; %+v", done.Load(), s)
		}
		for _, p := range streams {
			p.Release()
		}
		wantIdle(t, l)
	})
}

// Where all calls hang nothing is gained by letting in more.
func TestLimitOfHangingCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
		var hanging []*concurrency.Permit
		for end := time.Now().Add(time.Hour); time.Now().Before(end); pass(50 * time.Millisecond) {
			if p, err := l.Acquire(context.Background()); err == nil {
				hanging = append(hanging, p)
			}
		}
		if n := len(hanging); n > 20+12 {
			t.Errorf("after an hour %d calls hang", n)
		}
		for _, p := range hanging {
			p.Release()
		}
		wantIdle(t, l)
	})
}
