package concurrency_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

func TestBulkhead(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 2})
	a, b := mustAcquire(t, l), mustAcquire(t, l)
	if p, err := l.Acquire(context.Background()); p != nil || !errors.Is(err, concurrency.ErrQueueFull) {
		t.Errorf("above the limit: %v, %v", p, err)
	}
	a.Release()
	c := mustAcquire(t, l)
	if s := l.Stats(); s.InFlight != 2 || s.Acquired != 3 || s.Limit != 2 || s.Max != 2 || s.Classes[1].QueueFull != 1 {
		t.Errorf("%+v", s)
	}
	b.Release()
	c.Release()
	wantIdle(t, l)
}

// However late a second Release comes, it gives back nobody else's permit.
func TestReleaseTwice(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 100})
	stale := mustAcquire(t, l)
	stale.Release()
	stale.Release()
	wantIdle(t, l)
	for n := range 1000 { // past the end of any pool of permits
		var out []*concurrency.Permit
		for range 10 {
			out = append(out, mustAcquire(t, l))
		}
		stale.FirstByte()
		stale.Release()
		if s := l.Stats(); s.InFlight != 10 {
			t.Fatalf("after %d others, a second Release left %d of 10 permits", 10*n, s.InFlight)
		}
		for _, p := range out {
			p.Release()
		}
	}
	wantIdle(t, l)
}

func TestReleaseAtOnce(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 10, Adaptive: &concurrency.Adaptive{}})
	other := mustAcquire(t, l)
	for range 1000 {
		p := mustAcquire(t, l)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { p.FirstByte(); p.Release() })
		}
		wg.Wait()
	}
	if s := l.Stats(); s.InFlight != 1 || s.Acquired != 1001 {
		t.Errorf("%d permits are out, %d were given; want 1, 1001", s.InFlight, s.Acquired)
	}
	other.Release()
}

func TestNilPermit(t *testing.T) {
	var p *concurrency.Permit
	p.FirstByte()
	p.Ignore()
	p.Overloaded()
	p.Release()
}

func TestContextThatIsOver(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 2, MaxBytes: 10, MaxQueue: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if p, err := l.Acquire(ctx); p != nil || err != context.Canceled {
		t.Errorf("Acquire = %v, %v", p, err)
	}
	if p, err := l.AcquireBytes(ctx, 1); p != nil || err != context.Canceled {
		t.Errorf("AcquireBytes = %v, %v", p, err)
	}
	wantIdle(t, l)
}

func TestConfig(t *testing.T) {
	for _, cfg := range []concurrency.Config{
		{Max: 1},
		{Max: 1<<20 - 1},
		{Adaptive: &concurrency.Adaptive{}},
		{Max: 5, Adaptive: &concurrency.Adaptive{}},
		{Max: 50, Adaptive: &concurrency.Adaptive{Min: 30}},
	} {
		if _, err := concurrency.New(cfg); err != nil {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
	_, err := concurrency.New(concurrency.Config{
		Max: 1 << 20, MaxQueue: -1, MaxWait: -1, MaxBytes: -1,
		Adaptive: &concurrency.Adaptive{Initial: -1, Min: -1, Tolerance: 1, ProbeInterval: 1},
	})
	if err == nil {
		t.Fatal("no error")
	}
	for _, field := range []string{"Max:", "MaxQueue:", "MaxWait:", "MaxBytes:", "Adaptive.Initial:", "Adaptive.Min:", "Adaptive.Tolerance:", "Adaptive.ProbeInterval:"} {
		if !strings.Contains(err.Error(), "concurrency: Config."+field) {
			t.Errorf("nothing about %s in %q", field, err)
		}
	}
	for _, cfg := range []concurrency.Config{
		{},
		{Max: -1, Adaptive: &concurrency.Adaptive{}},
		{Max: 5, Adaptive: &concurrency.Adaptive{Min: 6}},
		{Adaptive: &concurrency.Adaptive{Tolerance: math.NaN()}},
		{Max: 1, MaxBytes: math.MaxInt64},
		{Max: 1, MaxQueue: 1 << 20},
	} {
		if _, err := concurrency.New(cfg); err == nil {
			t.Errorf("%+v is fine", cfg)
		}
	}
}

func TestSetMax(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 2})
	a, b := mustAcquire(t, l), mustAcquire(t, l)
	if err := l.SetMax(1); err != nil {
		t.Fatal(err)
	}
	a.Release()
	if p, err := l.Acquire(context.Background()); err == nil {
		t.Errorf("a permit above the lowered limit: %v", p)
	}
	b.Release()
	mustAcquire(t, l).Release()
	if err := l.SetMax(3); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		defer mustAcquire(t, l).Release()
	}
	for _, n := range []int{-1, 0, 1 << 20} {
		if err := l.SetMax(n); err == nil {
			t.Errorf("SetMax(%d) is fine", n)
		}
	}
	if s := l.Stats(); s.Limit != 3 || s.Max != 3 {
		t.Errorf("limit %d of %d", s.Limit, s.Max)
	}

	adaptive := newLimiter(t, concurrency.Config{Max: 100, Adaptive: &concurrency.Adaptive{Initial: 50, Min: 5}})
	if err := adaptive.SetMax(4); err == nil {
		t.Error("SetMax below Min is fine")
	}
	for _, n := range []int{10, 200} {
		if err := adaptive.SetMax(n); err != nil {
			t.Fatal(err)
		}
		if s := adaptive.Stats(); s.Limit != 10 || s.Max != n {
			t.Errorf("limit %d, max %d", s.Limit, s.Max)
		}
	}
}

func TestBytes(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 10, MaxBytes: 100})
	ctx := context.Background()
	a, err := l.AcquireBytes(ctx, 60)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.AcquireBytes(ctx, 41); !errors.Is(err, concurrency.ErrQueueFull) {
		t.Errorf("above the budget: %v", err)
	}
	b, err := l.AcquireBytes(ctx, 40)
	if err != nil {
		t.Fatal(err)
	}
	c := mustAcquire(t, l) // of no bytes
	if s := l.Stats(); s.BytesInFlight != 100 || s.MaxBytes != 100 || s.InFlight != 3 {
		t.Errorf("%+v", s)
	}
	for _, n := range []int64{101, math.MaxInt64} {
		if _, err := l.AcquireBytes(ctx, n); !errors.Is(err, concurrency.ErrTooLarge) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	for _, p := range []*concurrency.Permit{a, b, c} {
		p.Release()
	}
	wantIdle(t, l)

	// A class has its share; and any may have what fits the budget, alone.
	if p, err := l.AcquireBytes(as(concurrency.Sheddable), 100); err != nil {
		t.Error(err)
	} else {
		p.Release()
	}
	a, _ = l.AcquireBytes(ctx, 20)
	if _, err := l.AcquireBytes(as(concurrency.Sheddable), 31); err == nil {
		t.Error("Sheddable has more than half of the bytes")
	}
	b, err = l.AcquireBytes(as(concurrency.Sheddable), 30)
	if err != nil {
		t.Error(err)
	}
	a.Release()
	b.Release()
	wantIdle(t, l)
	if s := l.Stats(); s.Classes[1].TooLarge != 2 {
		t.Errorf("%d too large", s.Classes[1].TooLarge)
	}
	defer func() {
		if recover() == nil {
			t.Error("AcquireBytes(-1) does not panic")
		}
	}()
	_, _ = l.AcquireBytes(ctx, -1)
}

func TestShares(t *testing.T) {
	for c, want := range map[concurrency.Criticality]int{
		concurrency.CriticalPlus: 8, concurrency.Critical: 8, concurrency.SheddablePlus: 6, concurrency.Sheddable: 4,
	} {
		l := newLimiter(t, concurrency.Config{Max: 8})
		got := 0
		for ; ; got++ {
			if _, err := l.Acquire(as(c)); err != nil {
				break
			}
		}
		if got != want {
			t.Errorf("%v gets %d of 8", c, got)
		}
	}
	l := newLimiter(t, concurrency.Config{Max: 1})
	if _, err := l.Acquire(as(concurrency.Sheddable)); err != nil {
		t.Errorf("of a limit of 1, Sheddable gets nothing: %v", err)
	}
}

func TestCriticality(t *testing.T) {
	ctx := context.Background()
	if c := concurrency.CriticalityFromContext(ctx); c != concurrency.Critical {
		t.Errorf("by default %v", c)
	}
	for c, name := range map[concurrency.Criticality]string{
		concurrency.CriticalPlus: "critical-plus", concurrency.Critical: "critical",
		concurrency.SheddablePlus: "sheddable-plus", concurrency.Sheddable: "sheddable",
	} {
		if got := concurrency.CriticalityFromContext(as(c)); got != c || c.String() != name {
			t.Errorf("%v: from the context %v", c, got)
		}
		if got, ok := concurrency.ParseCriticality(name); got != c || !ok {
			t.Errorf("ParseCriticality(%q) = %v, %t", name, got, ok)
		}
	}
	for _, name := range []string{"", "Critical", " critical", "critical\x00"} {
		if _, ok := concurrency.ParseCriticality(name); ok {
			t.Errorf("%q is a class", name)
		}
	}
	for c, want := range map[concurrency.Criticality]string{127: "critical-plus", -128: "sheddable"} {
		if c.String() != want {
			t.Errorf("%d is %v", int8(c), c)
		}
		if p, err := newLimiter(t, concurrency.Config{Max: 1}).Acquire(as(c)); err != nil {
			t.Errorf("%d: %v", int8(c), err)
		} else {
			p.Release()
		}
	}
}

// Whatever happens at the same time, never are more permits or bytes out than
// may be, everything comes back, and the counts add up.
func TestStress(t *testing.T) {
	const limit, budget, callers, calls = 7, 1000, 16, 1500
	for name, cfg := range map[string]concurrency.Config{
		"static": {Max: limit},
		"adaptive under pressure": {Max: limit, Adaptive: &concurrency.Adaptive{},
			Pressure: func() float64 { return 0.9 * rand.Float64() }},
	} {
		t.Run(name, func(t *testing.T) {
			cfg.MaxQueue, cfg.MaxBytes, cfg.MaxWait = 6, budget, 3*time.Millisecond
			l := newLimiter(t, cfg)
			var inFlight, bytes atomic.Int64
			var admitted, full, shed, timedOut, gone atomic.Uint64
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(uint64(i), 7))
					for range calls {
						ctx, cancel := context.WithTimeout(as(concurrency.Criticality(rng.IntN(4)-2)), time.Duration(rng.IntN(int(8*time.Millisecond))))
						n := int64(rng.IntN(budget / 3))
						p, err := l.AcquireBytes(ctx, n)
						switch {
						case err == nil:
							admitted.Add(1)
							if a, b := inFlight.Add(1), bytes.Add(n); a > limit || b > budget {
								t.Errorf("%d permits, %d bytes", a, b)
							}
							for range rng.IntN(200) {
								_ = rng.Uint64()
							}
							if rng.IntN(3) == 0 {
								p.FirstByte()
							}
							if rng.IntN(3) == 0 {
								p.Overloaded()
							}
							inFlight.Add(-1)
							bytes.Add(-n)
							p.Release()
							p.Release()
						case errors.Is(err, concurrency.ErrQueueFull):
							full.Add(1)
						case errors.Is(err, concurrency.ErrShed):
							shed.Add(1)
						case errors.Is(err, concurrency.ErrTimeout):
							timedOut.Add(1)
						case errors.Is(err, context.DeadlineExceeded):
							gone.Add(1)
						default:
							t.Error(err)
						}
						cancel()
						if rng.IntN(100) == 0 && cfg.Adaptive == nil {
							_ = l.SetMax(1 + rng.IntN(limit))
						}
						if s := l.Stats(); s.InFlight > limit || s.Queued > 6 || s.Limit > limit {
							t.Errorf("%+v", s)
						}
					}
				})
			}
			wg.Wait()
			wantIdle(t, l)
			s := l.Stats()
			var sum concurrency.ClassStats
			for _, c := range s.Classes {
				sum.QueueFull += c.QueueFull
				sum.Shed += c.Shed + c.Displaced
				sum.TimedOut += c.TimedOut
				sum.Gone += c.Gone
			}
			if s.Acquired != admitted.Load() || sum.QueueFull != full.Load() || sum.Shed != shed.Load() || sum.TimedOut != timedOut.Load() || sum.Gone > gone.Load() {
				t.Errorf("counted %d admitted, %+v; want %d admitted, %d full, %d shed, %d timed out, up to %d gone", s.Acquired, sum,
					admitted.Load(), full.Load(), shed.Load(), timedOut.Load(), gone.Load())
			}
			t.Logf("%d admitted, %+v", s.Acquired, sum)
		})
	}
}

// Whoever waits is woken by the release that makes room for it, at whatever
// moment that comes: with one permit there may be no other.
func TestNobodyIsForgotten(t *testing.T) {
	for name, cfg := range map[string]concurrency.Config{
		"permits": {Max: 1},
		"bytes":   {Max: 2, MaxBytes: 1},
	} {
		cfg.MaxQueue, cfg.MaxWait = 100, 5*time.Second
		l := newLimiter(t, cfg)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for range 20_000 {
					p, err := l.AcquireBytes(context.Background(), 1)
					if err != nil {
						t.Errorf("%s: %v", name, err)
						return
					}
					p.Release()
				}
			})
		}
		wg.Wait()
		wantIdle(t, l)
	}
}

func TestAllocations(t *testing.T) {
	ctx := context.Background()
	for name, cfg := range map[string]concurrency.Config{
		"static":   {Max: 10},
		"adaptive": {Adaptive: &concurrency.Adaptive{}, Pressure: func() float64 { return 0 }},
	} {
		l := newLimiter(t, cfg)
		if n := testing.AllocsPerRun(1000, func() {
			p, err := l.Acquire(ctx)
			if err != nil {
				t.Fatal(err)
			}
			p.FirstByte()
			p.Release()
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
		mustAcquire(t, l)
	}
	l := newLimiter(t, concurrency.Config{Max: 1})
	mustAcquire(t, l)
	if n := testing.AllocsPerRun(1000, func() { _, _ = l.Acquire(ctx) }); n != 0 {
		t.Errorf("a refusal: %v allocations", n)
	}
}
