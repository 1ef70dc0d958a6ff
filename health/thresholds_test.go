package health_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

// reference is the thresholds as Kubernetes words them: how many of the latest
// results are the same is counted anew from the whole history.
func reference(history []bool, rise, fall int) bool {
	up := false
	for i := range history {
		same := 0
		for j := i; j >= 0 && history[j] == history[i]; j-- {
			same++
		}
		if history[i] && same >= rise {
			up = true
		}
		if !history[i] && same >= fall {
			up = false
		}
	}
	return up
}

func TestThresholdsAgainstReference(t *testing.T) {
	for seed := range uint64(30) {
		random := rand.New(rand.NewPCG(seed, 1))
		rise, fall := 1+random.IntN(4), 1+random.IntN(4)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := new(switchable)
				off := errors.New("off")
				var history []bool
				next := func() {
					passes := random.IntN(3) > 0
					history = append(history, passes)
					a.set(nil)
					if !passes {
						a.set(off)
					}
				}
				next()
				h := start(t, health.Config{Readiness: []health.Check{
					{Name: "a", Func: a.check, Interval: time.Second, Rise: rise, Fall: fall},
				}})
				synctest.Wait()
				for range 60 {
					got, want := h.Ready() == nil, reference(history, rise, fall)
					if got != want {
						t.Fatalf("rise %d, fall %d: %v: ready is %v, want %v", rise, fall, history, got, want)
					}
					c := h.Stats().Checks[0]
					if last := history[len(history)-1]; (c.LastError == "") != last || c.OK != want || (c.Error == "") != want {
						t.Fatalf("%v: %+v", history, c)
					}
					next()
					advance(time.Second)
				}
			})
		})
	}
}

func TestThresholdsSayWhatIsMissing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := failing(errors.New("off"))
		h := start(t, health.Config{Readiness: []health.Check{
			{Name: "a", Func: a.check, Interval: time.Second, Rise: 3},
		}})
		advance(time.Second)
		a.set(nil)
		advance(2 * time.Second)
		wantText(t, "Ready", h.Ready(), "check a: has passed 2 of 3 times since: check a: off")
		advance(time.Second)
		if err := h.Ready(); err != nil {
			t.Error(err)
		}
	})
}

func TestStartupRises(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := new(switchable)
		h := start(t, health.Config{Startup: []health.Check{{Name: "a", Func: a.check, Rise: 3}}})
		advance(time.Second)
		wantIs(t, "Started after 2 runs", h.Started(), health.ErrNotStarted)
		advance(time.Minute)
		if err := h.Started(); err != nil || a.runs.Load() != 3 {
			t.Errorf("%v after %d runs", err, a.runs.Load())
		}
	})
}

// A run that hangs is the last one: each further Interval counts for Fall.
func TestHungRunFallsInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		defer close(hang)
		h := start(t, health.Config{
			Liveness: []health.LivenessCheck{{
				Name: "lock", Func: func() error { <-hang; return nil },
				Interval: 10 * time.Second, Timeout: time.Second, Fall: 3,
			}},
		})
		advance(21 * time.Second) // the timeout and one more
		if err := h.Live(); err != nil {
			t.Fatalf("after two of three: %v", err)
		}
		advance(time.Second)
		wantIs(t, "Live", h.Live(), health.ErrFatal)
		wantText(t, "Live", h.Live(), "check lock: hangs")
		if n := goroutinesIn("TestHungRunFallsInTheEnd.func1.1"); n != 1 {
			t.Errorf("%d goroutines hang, want 1", n)
		}
	})
}

// A run that hangs, or returns late, is a result that is known: Fall decides, and
// staleness does not come before it.
func TestFallOutlastsStaleness(t *testing.T) {
	for name, hung := range map[string]time.Duration{"hangs": 25 * time.Second, "returns late": 13500 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				runs := 0
				h := start(t, health.Config{Readiness: []health.Check{{
					Name: "device", Interval: 10 * time.Second, Timeout: time.Second, Fall: 4,
					Func: func(context.Context) error {
						if runs++; runs == 2 {
							<-time.After(hung)
						}
						return nil
					},
				}}})
				advance(10 * time.Second) // the second run begins
				for range int(hung/time.Second) + 12 {
					if err := h.Ready(); err != nil {
						t.Fatalf("before Fall: %v", err)
					}
					advance(time.Second)
				}
				if s := h.Stats().Checks[0]; s.Runs != 3 || s.LastError != "" || s.Hung {
					t.Errorf("after it came back: %+v", s)
				}
			})
		})
	}
}
