package batching_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// over reports whether ctx's Done is closed.
func over(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return true
	default:
		return false
	}
}

// wantOver checks everything that a context says after its end.
func wantOver(t *testing.T, what string, ctx context.Context, err, cause error) {
	t.Helper()
	if got := ctx.Err(); got != err {
		t.Errorf("%s: Err = %v, want %v", what, got, err)
	}
	if !over(ctx) {
		t.Errorf("%s: Done is open", what)
	}
	if got := context.Cause(ctx); got != cause {
		t.Errorf("%s: Cause = %v, want %v", what, got, cause)
	}
	if got := ctx.Err(); got != err {
		t.Errorf("%s: Err = %v after Done, want %v", what, got, err)
	}
}

// ends are the ways for a run's context to end.
var ends = []struct {
	name       string
	limit      time.Duration // BatchTimeout
	after      time.Duration // when the context ends
	returns    bool          // by run's return
	leaves     bool          // by its caller's leaving
	err, cause error
}{
	{"run returns", 0, timeout / 2, true, false, context.Canceled, context.Canceled},
	{"run returns before BatchTimeout", timeout, timeout / 2, true, false, context.Canceled, context.Canceled},
	{"everybody leaves", 0, timeout / 2, false, true, context.Canceled, context.Canceled},
	{"everybody leaves before BatchTimeout", timeout, timeout / 2, false, true, context.Canceled, context.Canceled},
	{"BatchTimeout", timeout, timeout, false, false, context.DeadlineExceeded, batching.ErrBatchTimeout},
}

func TestRunContext(t *testing.T) {
	type key struct{}
	for _, end := range ends {
		for _, early := range []bool{false, true} {
			name := end.name + ", Done asked for late"
			if early {
				name = end.name + ", Done asked for early"
			}
			t.Run(name, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					runs := make(chan context.Context, 1)
					hold := make(chan struct{})
					b := newBatcher(t, func(ctx context.Context, _ []int, _ []batching.Slot[int]) error {
						runs <- ctx
						<-hold
						return nil
					}, batching.Config[int]{BatchTimeout: end.limit})
					begin := time.Now()
					c := start(b, 1)
					ctx := <-runs
					deadline, ok := ctx.Deadline()
					if ok != (end.limit > 0) || ok && !deadline.Equal(begin.Add(end.limit)) {
						t.Errorf("Deadline = %v, %t, %v after the run began", deadline, ok, deadline.Sub(begin))
					}
					if ctx.Err() != nil || early && (over(ctx) || context.Cause(ctx) != nil || ctx.Value(key{}) != nil) {
						t.Error("over before the end")
					}
					pass(end.after)
					if end.returns {
						close(hold)
					}
					if end.leaves {
						c.cancel()
					}
					synctest.Wait()
					if early {
						wantOver(t, "at the end", ctx, end.err, end.cause)
					} else if got := ctx.Err(); got != end.err {
						t.Errorf("Err = %v, want %v", got, end.err)
					}
					pass(2 * timeout) // past the deadline, whatever ended it
					if !end.returns {
						close(hold)
					}
					<-c.done
					closeBatcher(t, b)
					wantOver(t, "later", ctx, end.err, end.cause)
					if ctx.Value(key{}) != nil {
						t.Error("a value that nobody has set")
					}
					if got, gotOK := ctx.Deadline(); got != deadline || gotOK != ok {
						t.Errorf("Deadline changed to %v, %t", got, gotOK)
					}
				})
			})
		}
	}
}

// Contexts made from a run's end with it, for its reason, and cost no
// goroutine: package context knows the run's for one of its own.
func TestContextsMadeFromRuns(t *testing.T) {
	for _, end := range ends {
		for _, early := range []bool{false, true} {
			if end.returns && !early {
				continue // it makes none any more
			}
			bubble(t, func(t *testing.T) {
				const each = 50
				var called atomic.Int64
				var children []context.Context
				var cancels []context.CancelFunc
				made, hold := make(chan struct{}), make(chan struct{})
				b := newBatcher(t, func(ctx context.Context, _ []int, _ []batching.Slot[int]) error {
					if !early {
						pass(3 * timeout)
					}
					before := runtime.NumGoroutine()
					for range each {
						child, cancel := context.WithCancel(ctx)
						timed, cancelTimed := context.WithTimeout(context.WithValue(child, leakMark{}, 2), time.Hour)
						context.AfterFunc(ctx, func() { called.Add(1) })
						if early {
							context.AfterFunc(ctx, func() { t.Error("stopped, but called") })()
						}
						children = append(children, child, timed)
						cancels = append(cancels, cancel, cancelTimed)
					}
					for i := 0; early && runtime.NumGoroutine() > before && i < 100_000; i++ {
						runtime.Gosched() // others' end; the children's would stay
					}
					if n := runtime.NumGoroutine(); early && n > before {
						t.Errorf("%d goroutines for %d children", n-before, each)
					}
					close(made)
					<-hold
					return nil
				}, batching.Config[int]{BatchTimeout: end.limit})
				c := start(b, 1)
				pass(end.after)
				if end.leaves {
					c.cancel()
				}
				if end.returns {
					close(hold)
				}
				<-made
				synctest.Wait()
				for _, child := range children {
					wantOver(t, end.name, child, end.err, end.cause)
				}
				if called.Load() != each {
					t.Errorf("%s: %d of %d functions called", end.name, called.Load(), each)
				}
				if !end.returns {
					close(hold)
				}
				<-c.done
				closeBatcher(t, b)
				for _, cancel := range cancels {
					cancel()
				}
			})
		}
	}
}

// Whoever looks while a context ends, and makes it a standard one at that
// moment, sees one end: Done is closed if and only if Err is set, and neither
// is taken back.
func TestRunContextUnderConcurrency(t *testing.T) {
	for _, end := range ends {
		for range 40 {
			bubble(t, func(t *testing.T) {
				var watching sync.WaitGroup
				hold := make(chan struct{})
				b := newBatcher(t, func(ctx context.Context, _ []int, _ []batching.Slot[int]) error {
					for i := range 8 {
						watching.Go(func() {
							pass(end.after) // at the moment of the end
							var first error
							for range 20 {
								err := ctx.Err()
								if first != nil && err != first || err != nil && !over(ctx) {
									t.Errorf("%s: Err = %v, before %v, Done closed %t", end.name, err, first, over(ctx))
								}
								if i%2 == 0 && over(ctx) && ctx.Err() == nil {
									t.Errorf("%s: Done is closed, but Err nil", end.name)
								}
								first = err
								runtime.Gosched()
							}
							<-ctx.Done()
							if cause := context.Cause(ctx); ctx.Err() != end.err || cause != end.cause {
								t.Errorf("%s: ended with %v, cause %v", end.name, ctx.Err(), cause)
							}
						})
					}
					if end.returns {
						pass(end.after)
						return nil
					}
					<-hold
					return nil
				}, batching.Config[int]{BatchTimeout: end.limit})
				c := start(b, 1)
				pass(end.after)
				if end.leaves {
					c.cancel()
				}
				watching.Wait()
				close(hold)
				if got := <-c.done; end.returns && !errors.Is(got.err, batching.ErrNoResult) {
					t.Errorf("Do = %v", got.err)
				}
				closeBatcher(t, b)
			})
		}
	}
}
