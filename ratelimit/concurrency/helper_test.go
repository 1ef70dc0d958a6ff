package concurrency_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

func newLimiter(t testing.TB, cfg concurrency.Config) *concurrency.Limiter {
	t.Helper()
	l, err := concurrency.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustAcquire(t testing.TB, l *concurrency.Limiter) *concurrency.Permit {
	t.Helper()
	p, err := l.Acquire(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func as(c concurrency.Criticality) context.Context {
	return concurrency.ContextWithCriticality(context.Background(), c)
}

// wantIdle fails the test if l still counts anything as there.
func wantIdle(t testing.TB, l *concurrency.Limiter) {
	t.Helper()
	if s := l.Stats(); s.InFlight != 0 || s.BytesInFlight != 0 || s.Queued != 0 {
		t.Errorf("%d permits and %d bytes are still out, %d calls wait", s.InFlight, s.BytesInFlight, s.Queued)
	}
}

// pass lets d of a bubble's time go by. It uses no timer's own channel: whoever
// receives from one may run a bubble's timers beside the bubble, which crashes
// the race detector now and then (golang/go#78156).
func pass(d time.Duration) {
	passed := make(chan struct{})
	time.AfterFunc(d, func() { close(passed) })
	<-passed
}

// A call is an Acquire that goes on in the background of a bubble.
type call struct {
	cancel context.CancelFunc
	done   chan struct{}
	permit *concurrency.Permit
	err    error
	at     time.Time
}

func start(l *concurrency.Limiter, c concurrency.Criticality, n int64) *call {
	ctx, cancel := context.WithCancel(as(c))
	w := &call{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		w.permit, w.err = l.AcquireBytes(ctx, n)
		w.at = time.Now()
	}()
	synctest.Wait()
	return w
}

// waits reports whether the call has no answer yet.
func (w *call) waits() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return false
	default:
		return true
	}
}

// wants waits for the call's answer and checks it; nil wants a permit.
func (w *call) wants(t *testing.T, want error) {
	t.Helper()
	<-w.done
	w.cancel()
	if !errors.Is(w.err, want) || (w.permit != nil) != (want == nil) {
		t.Errorf("Acquire = %v, %v; want error %v", w.permit, w.err, want)
	}
}
