package health_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

// untilCancelled is a check that heeds its context; the first run's length goes
// to took.
func untilCancelled(took *time.Duration, began time.Time) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		if *took == 0 {
			*took = time.Since(began)
		}
		return ctx.Err()
	}
}

// hangOn ignores its context.
func hangOn(release <-chan struct{}) func(context.Context) error {
	return func(context.Context) error {
		<-release
		return nil
	}
}

func TestTimeoutCountsAsFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var took time.Duration
		h := start(t, health.Config{Readiness: []health.Check{
			{Name: "db", Func: untilCancelled(&took, time.Now()), Interval: time.Minute, Timeout: 3 * time.Second},
		}})
		advance(3 * time.Second)
		err := h.Ready()
		wantIs(t, "Ready", err, health.ErrNotReady)
		wantIs(t, "Ready", err, context.DeadlineExceeded)
		wantText(t, "Ready", err, "check db: no answer within 3s")
		advance(10 * time.Second)
		got := h.Stats().Checks[0]
		if got.Hung || got.Failures != 1 || got.Runs != 1 || got.Took != 3*time.Second {
			t.Errorf("a check that heeded its context: %+v", got)
		}
	})
}

func TestTimeoutTellsWhatTheCheckSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{Readiness: []health.Check{{
			Name: "db", Interval: time.Minute, Timeout: time.Second,
			Func: func(ctx context.Context) error {
				<-ctx.Done()
				<-time.After(time.Millisecond)
				return io.ErrNoProgress
			},
		}}})
		advance(2 * time.Second)
		wantIs(t, "Ready", h.Ready(), io.ErrNoProgress)
		wantText(t, "Ready", h.Ready(), "health: not ready: check db: no answer within 1s: multiple Read calls")
	})
}

func TestHungCheckIsReportedAndCostsOneGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := start(t, health.Config{Readiness: []health.Check{
			{Name: "driver", Func: hangOn(release), Interval: time.Second, Timeout: time.Second},
		}})
		advance(time.Second)
		wantText(t, "Ready at the timeout", h.Ready(), "check driver: no answer within 1s")
		if h.Stats().Checks[0].Hung {
			t.Error("hung already at the timeout")
		}
		advance(time.Second)
		wantText(t, "Ready 1 s after the timeout", h.Ready(), "check driver: hangs")
		wantIs(t, "Ready", h.Ready(), health.ErrNotReady)
		advance(time.Hour)
		if n := goroutinesIn(".hangOn."); n != 1 {
			t.Errorf("%d goroutines hang after an hour, want 1", n)
		}
		if got := h.Stats().Checks[0]; !got.Hung || got.OK || got.Runs != 1 || got.Failures != 1 {
			t.Errorf("Stats = %+v", got)
		}

		close(release)
		synctest.Wait()
		wantText(t, "Ready after a nil that came too late", h.Ready(), "check driver: no answer within 1s")
		if h.Stats().Checks[0].Hung {
			t.Error("still hung after the return")
		}
		advance(time.Second)
		if err := h.Ready(); err != nil {
			t.Errorf("the next run passed, but Ready = %v", err)
		}
	})
}

func TestLateReturnWithinGraceIsNotHung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		h := start(t, health.Config{Readiness: []health.Check{{
			Name: "slow", Interval: time.Minute, Timeout: time.Second,
			Func: func(context.Context) error {
				runs++
				<-time.After(1500 * time.Millisecond)
				return nil
			},
		}}})
		advance(30 * time.Second)
		got := h.Stats().Checks[0]
		if got.Hung || got.OK || runs != 1 {
			t.Errorf("a run of 1.5 s with a timeout of 1 s: %+v, %d runs", got, runs)
		}
	})
}

func TestChecksAreSingleFlightWhateverTheProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most, runs atomic.Int64
		h := start(t, health.Config{Readiness: []health.Check{{
			Name: "x", Interval: time.Second, Timeout: time.Minute,
			Func: func(context.Context) error {
				runs.Add(1)
				most.Store(max(most.Load(), now.Add(1)))
				<-time.After(10 * time.Second)
				now.Add(-1)
				return nil
			},
		}}})
		for range 60 {
			for range 50 {
				_ = h.Ready()
			}
			advance(time.Second)
		}
		// A run takes 10 s and the pause 1 s: runs begin at 0, 11, 22, 33, 44, 55.
		if most.Load() != 1 || runs.Load() != 6 {
			t.Errorf("%d runs, at most %d at once; want 6 and 1", runs.Load(), most.Load())
		}
	})
}

// A peer runs a check of 50 ms 50 times for 50 probes.
func TestFiftyProbesAtOnceRunNoCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		h := start(t, health.Config{Readiness: []health.Check{{
			Name: "x", Interval: time.Hour,
			Func: func(context.Context) error {
				runs.Add(1)
				<-time.After(50 * time.Millisecond)
				return nil
			},
		}}})
		began := time.Now()
		var probes sync.WaitGroup
		for range 50 {
			probes.Go(func() {
				if code, _ := get(h.ReadyHandler()); code != 503 {
					t.Errorf("before the first result: %d", code)
				}
			})
		}
		probes.Wait()
		if took := time.Since(began); runs.Load() > 1 || took > 0 {
			t.Errorf("50 probes took %v and ran the check %d times", took, runs.Load())
		}
	})
}

// A peer leaks a goroutine a probe on a check that hangs.
func TestProbesOfAHungCheckLeakNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		h := start(t, health.Config{Readiness: []health.Check{{Name: "x", Func: hangOn(hang), Interval: time.Second, Timeout: time.Second}}})
		for range 50 {
			if code, _ := get(h.ReadyHandler()); code != 503 {
				t.Errorf("a check that hangs: %d", code)
			}
			advance(time.Minute)
		}
		if n := goroutinesIn(".hangOn."); n != 1 {
			t.Errorf("%d goroutines hang after 50 probes, want 1", n)
		}
	})
}

type unprintable struct{ why string }

func (u *unprintable) Error() string { return u.why }

func TestMisbehavingChecksCountAsFailures(t *testing.T) {
	var nilMap map[string]int
	for name, test := range map[string]struct {
		check func(context.Context) error
		is    error
		says  []string
	}{
		"panic":        {check: func(context.Context) error { panic("boom") }, says: []string{"panicked: boom (", "check_test.go:"}},
		"panic(error)": {check: func(context.Context) error { panic(io.ErrUnexpectedEOF) }, is: io.ErrUnexpectedEOF, says: []string{"panicked: unexpected EOF ("}},
		"panic(nil)":   {check: func(context.Context) error { panic(nil) }, says: []string{"panicked: panic called with nil argument"}},
		"nil dereference": {
			check: func(context.Context) error { return (*unprintable)(nil).deref() },
			says:  []string{"nil pointer dereference (", "deref", "check_test.go:"},
		},
		"nil map":        {check: func(context.Context) error { nilMap["a"] = 1; return nil }, says: []string{"nil map (", "check_test.go:"}},
		"Goexit":         {check: func(context.Context) error { runtime.Goexit(); return nil }, says: []string{"runtime.Goexit"}},
		"panicking text": {check: func(context.Context) error { return (*unprintable)(nil) }, says: []string{"check bad: "}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "-"), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				h := start(t, health.Config{Readiness: []health.Check{{
					Name: "bad", Interval: time.Second,
					Func: func(ctx context.Context) error {
						if broken.Load() {
							return test.check(ctx)
						}
						return nil
					},
				}}})
				synctest.Wait()
				err := h.Ready()
				wantIs(t, "Ready", err, health.ErrNotReady)
				if test.is != nil {
					wantIs(t, "Ready", err, test.is)
				}
				wantText(t, "Ready", err, test.says...)
				if h.Live() != nil {
					t.Error("a check failed liveness")
				}

				broken.Store(false)
				advance(time.Second)
				if err := h.Ready(); err != nil {
					t.Errorf("after recovery: %v", err)
				}
				if got := h.Stats().Checks[0]; got.Runs != 2 || got.Failures != 1 {
					t.Errorf("Stats = %+v", got)
				}
			})
		})
	}
}

func (u *unprintable) deref() error { return errors.New(u.why) }

// The first result to be overdue counts, wherever its check stands in the list.
func TestStaleResultCountsAsFailure(t *testing.T) {
	slow := health.Check{Name: "slow", Func: pass, Interval: time.Minute, Timeout: 2 * time.Second}
	quick := health.Check{Name: "quick", Func: pass, Interval: 3 * time.Second, Timeout: 2 * time.Second}
	t.Run("the last", func(t *testing.T) { testStaleResult(t, slow, quick) })
	t.Run("the first", func(t *testing.T) { testStaleResult(t, quick, slow) })
}

func testStaleResult(t *testing.T, readiness ...health.Check) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{
			Startup:   []health.Check{{Name: "warm-up", Func: pass, Interval: time.Millisecond, Timeout: time.Millisecond}},
			Readiness: readiness,
		})
		synctest.Wait()
		h.StopChecking()
		const fresh = 3*time.Second + 2*time.Second + time.Second

		advance(fresh)
		if err := h.Ready(); err != nil {
			t.Fatalf("just fresh: %v", err)
		}
		advance(1)
		wantIs(t, "Ready", h.Ready(), health.ErrNotReady)
		wantText(t, "Ready", h.Ready(), "check quick: no result for more than 6s")
		if err := errors.Join(h.Started(), h.Live()); err != nil {
			t.Errorf("startup and liveness do not age: %v", err)
		}
		s := h.Stats()
		if s.Ready || s.State != health.StateUnhealthy || s.Error != h.Ready().Error() {
			t.Errorf("Stats = %+v", s)
		}
		for _, c := range s.Checks {
			if stale := c.Name == "quick"; c.Stale != stale || c.OK == stale || (c.Error == "") == stale {
				t.Errorf("Stats = %+v", c)
			}
		}
		if code, body := get(h.ReadyHandler()); code != 503 || body != `{"status":"unhealthy"}` {
			t.Errorf("probe: %d %s", code, body)
		}
	})
}
