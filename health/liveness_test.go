package health_test

import (
	"context"
	"errors"
	"reflect"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

// A dependency cannot be registered on liveness, not even by a conversion.
func TestDependencyIsNoLivenessCheck(t *testing.T) {
	liveness := reflect.TypeFor[health.LivenessCheck]()
	for _, other := range []reflect.Type{reflect.TypeFor[health.Dependency](), reflect.TypeFor[health.Check]()} {
		if other.ConvertibleTo(liveness) {
			t.Errorf("a %v converts to a %v", other, liveness)
		}
		mine, _ := liveness.FieldByName("Func")
		theirs, _ := other.FieldByName("Func")
		if theirs.Type.ConvertibleTo(mine.Type) {
			t.Errorf("the Func of a %v fits a %v", other, liveness)
		}
	}
}

func TestWatchdogIsFatalOnlyAfterFallInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stuck := errors.New("the device has finished nothing for 30 s")
		dog := new(switchable)
		loaded := failing(errors.New("loading"))
		h := start(t, health.Config{
			Startup: []health.Check{{Name: "model", Func: loaded.check}},
			Liveness: []health.LivenessCheck{{
				Name: "gpu", Func: func() error { return dog.check(context.Background()) }, Interval: time.Second,
			}},
		})
		dog.set(stuck)
		advance(time.Minute)
		if err := h.Live(); err != nil || dog.runs.Load() != 0 {
			t.Fatalf("watched while starting, %d times: %v", dog.runs.Load(), err)
		}
		loaded.set(nil)
		advance(2 * time.Second) // startup passes; the watchdog has run twice
		if err := h.Live(); err != nil {
			t.Fatalf("after %d failures: %v", dog.runs.Load(), err)
		}
		if c := h.Stats().Checks[1]; !c.OK || c.LastError == "" || c.Kind != health.KindLiveness {
			t.Errorf("Stats = %+v", c)
		}
		dog.set(nil)
		advance(time.Second)
		dog.set(stuck)
		advance(2 * time.Second)
		if err := errors.Join(h.Live(), h.Ready()); err != nil {
			t.Fatalf("two failures after a pass: %v", err)
		}
		advance(time.Second)
		wantIs(t, "Live", h.Live(), health.ErrFatal)
		wantIs(t, "Live", h.Live(), stuck)
		wantIs(t, "Ready", h.Ready(), health.ErrFatal)
		dog.set(nil)
		advance(time.Minute)
		wantIs(t, "Live once the watchdog is content again", h.Live(), health.ErrFatal)
	})
}

// A process that is not scheduled is not restarted for it: the whole fleet may be
// short of CPU.
func TestWatchdogThatIsLateIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{Liveness: []health.LivenessCheck{{Name: "loop", Func: func() error { return nil }}}})
		synctest.Wait()
		h.StopChecking()
		advance(time.Hour)
		if err := errors.Join(h.Live(), h.Ready()); err != nil {
			t.Error(err)
		}
	})
}

func TestCloseEndsWatchdogsThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var ran atomic.Bool
		h := start(t, health.Config{
			Startup:  []health.Check{{Name: "never", Func: failing(errors.New("no")).check}},
			Liveness: []health.LivenessCheck{{Name: "loop", Func: func() error { ran.Store(true); return nil }}},
		})
		advance(time.Minute)
		if err := h.Close(t.Context()); err != nil || ran.Load() {
			t.Errorf("Close: %v; the watchdog ran: %v", err, ran.Load())
		}
	})
}
