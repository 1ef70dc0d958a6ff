package concurrency_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// gets is how many permits the class gets beside each other, all given back.
func gets(l *concurrency.Limiter, c concurrency.Criticality) int {
	var out []*concurrency.Permit
	for {
		p, err := l.Acquire(as(c))
		if err != nil {
			break
		}
		out = append(out, p)
	}
	for _, p := range out {
		p.Release()
	}
	return len(out)
}

// Pressure takes from the lowest class first.
func TestPressure(t *testing.T) {
	for _, tt := range []struct {
		pressure float64
		want     [4]int // of 80; most critical first
	}{
		{0, [4]int{80, 80, 60, 40}},
		{0.25, [4]int{80, 80, 60, 40}},
		{0.5, [4]int{80, 80, 60, 27}},
		{0.75, [4]int{80, 80, 30, 14}},
		{0.9, [4]int{80, 32, 12, 6}},
		{1, [4]int{80, 1, 0, 0}},
		{7, [4]int{80, 1, 0, 0}},
		{math.Inf(1), [4]int{80, 1, 0, 0}},
		{-1, [4]int{80, 80, 60, 40}},
		{math.NaN(), [4]int{80, 80, 60, 40}},
	} {
		l := newLimiter(t, concurrency.Config{Max: 80, Pressure: func() float64 { return tt.pressure }})
		mustAcquire(t, l).Release() // the first call asks
		var got [4]int
		for i := range got {
			got[i] = gets(l, concurrency.CriticalPlus-concurrency.Criticality(i))
		}
		if got != tt.want {
			t.Errorf("pressure %v: %v, want %v", tt.pressure, got, tt.want)
		}
		if s := l.Stats(); s.Limit != 80 || s.Pressure != min(1, max(0, tt.pressure)) && !math.IsNaN(tt.pressure) {
			t.Errorf("pressure %v: %+v", tt.pressure, s)
		}
	}
}

// It is asked now and then, whether calls are let in or not, and what it says
// reaches those that wait.
func TestPressureIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pressure, asked := 1.0, 0
		l := newLimiter(t, concurrency.Config{Max: 8, MaxQueue: 8, MaxWait: time.Hour, Pressure: func() float64 {
			asked++
			return pressure
		}})
		for range 100 {
			mustAcquire(t, l).Release()
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		p := mustAcquire(t, l)
		if _, err := l.Acquire(as(shed)); !errors.Is(err, concurrency.ErrShed) {
			t.Errorf("a class that may have nothing: %v", err) // and does not wait for it
		}
		waits := start(l, critical, 0)
		pass(time.Second)
		if !waits.waits() {
			t.Error("it does not wait")
		}
		pressure = 0
		low := start(l, shed, 0) // found no room, and asks
		waits.wants(t, nil)
		low.wants(t, nil)
		if asked != 2 {
			t.Errorf("asked %d times", asked)
		}
		pressure = 1
		pass(time.Second)
		q := start(l, critical, 0)
		q.wants(t, nil)
		low2 := start(l, shed, 0)
		low2.wants(t, concurrency.ErrShed)
		for _, p := range []*concurrency.Permit{p, waits.permit, low.permit, q.permit} {
			p.Release()
		}
		wantIdle(t, l)
	})
}

// Who waits when its class is shut out is not kept waiting for nothing.
func TestPressureShedsWhoWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pressure := 0.0
		l := newLimiter(t, concurrency.Config{Max: 2, MaxQueue: 8, MaxWait: time.Hour, Pressure: func() float64 { return pressure }})
		p := mustAcquire(t, l)
		low := start(l, shed, 0)
		pressure = 1
		pass(time.Second)
		asks := start(l, critical, 0)
		asks.cancel()
		asks.wants(t, context.Canceled)
		low.wants(t, concurrency.ErrShed)
		p.Release()
		wantIdle(t, l)
		if c := l.Stats().Classes[3]; c.Displaced != 1 {
			t.Errorf("%+v", c)
		}
	})
}

func TestPressureThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		what := any(nil)
		l := newLimiter(t, concurrency.Config{Max: 8, Pressure: func() float64 {
			if what != nil {
				panic(what)
			}
			return 1
		}})
		mustAcquire(t, l).Release()
		if n := gets(l, critical); n != 1 {
			t.Fatalf("under pressure %d", n)
		}
		what = "the driver is gone"
		pass(time.Second)
		mustAcquire(t, l).Release()
		if n := gets(l, critical); n != 8 {
			t.Errorf("afterwards %d of 8", n)
		}
		if s := l.Stats(); s.PressurePanics != 1 || s.Pressure != 0 {
			t.Errorf("%+v", s)
		}
		what = nil
		pass(time.Second)
		mustAcquire(t, l).Release()
		if n := gets(l, critical); n != 1 {
			t.Errorf("and later %d", n)
		}
	})
}

// A Goexit in it must not take the limiter, or a permit, along.
func TestPressureThatExits(t *testing.T) {
	var calls atomic.Int64
	l := newLimiter(t, concurrency.Config{Max: 1, Pressure: func() float64 {
		if calls.Add(1) == 1 {
			runtime.Goexit()
		}
		return 0
	}})
	var wg sync.WaitGroup
	wg.Go(func() { _, _ = l.Acquire(as(critical)) })
	wg.Wait()
	wantIdle(t, l)
	mustAcquire(t, l).Release()
}
