package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func TestStartupPassesOnceAndForGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		model, warm, gpu := failing(io.ErrUnexpectedEOF), failing(errors.New("cold")), new(switchable)
		h := start(t, health.Config{
			Startup: []health.Check{
				{Name: "model", Func: model.check},
				{Name: "warm-up", Func: warm.check},
			},
			Readiness: []health.Check{{Name: "gpu", Func: gpu.check}},
		})
		wantIs(t, "Started before the first results", h.Started(), health.ErrNotStarted)
		synctest.Wait()
		wantIs(t, "Started", h.Started(), health.ErrNotStarted)
		wantIs(t, "Started", h.Started(), io.ErrUnexpectedEOF)
		wantText(t, "Started", h.Started(), "health: not started: check model: unexpected EOF; check warm-up: cold")
		wantIs(t, "Ready", h.Ready(), health.ErrNotStarted)
		if err := h.Live(); err != nil {
			t.Errorf("Live while starting: %v", err)
		}

		model.set(nil)
		advance(time.Second)
		model.set(errors.New("gone again")) // too late to matter
		wantText(t, "Started", h.Started(), "health: not started: check warm-up: cold")
		wantIs(t, "Ready with good readiness checks only", h.Ready(), health.ErrNotStarted)

		warm.set(nil)
		advance(time.Second)
		if err := errors.Join(h.Started(), h.Ready()); err != nil {
			t.Errorf("every startup check has passed once: %v", err)
		}
		runs := model.runs.Load()
		warm.set(errors.New("cold again"))
		gpu.set(errors.New("lost"))
		advance(24 * time.Hour)
		wantIs(t, "Ready", h.Ready(), health.ErrNotReady)
		if err := h.Started(); err != nil || model.runs.Load() != runs {
			t.Errorf("started went back: %v; model check ran %d times, then %d", err, runs, model.runs.Load())
		}
	})
}

func TestReadinessFollowsEveryCheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		first := make(chan struct{})
		b := new(switchable)
		h := start(t, health.Config{Readiness: []health.Check{
			{Name: "a", Func: hangOn(first), Interval: time.Second},
			{Name: "b", Func: b.check, Interval: time.Second},
		}})
		synctest.Wait()
		wantIs(t, "Ready before a's first result", h.Ready(), health.ErrNotReady)
		wantText(t, "Ready before a's first result", h.Ready(), "health: not ready: check a: no result yet")
		close(first)
		synctest.Wait()
		if err := h.Ready(); err != nil {
			t.Fatal(err)
		}
		b.set(io.ErrClosedPipe)
		advance(time.Second)
		wantIs(t, "Ready", h.Ready(), io.ErrClosedPipe)
		wantText(t, "Ready", h.Ready(), "health: not ready: check b: io: read/write on closed pipe")
		if err := h.Live(); err != nil {
			t.Errorf("a dependency failed liveness: %v", err)
		}
		b.set(nil)
		advance(time.Second)
		if err := h.Ready(); err != nil {
			t.Errorf("after recovery: %v", err)
		}
	})
}

func TestFatalIsOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		poisoned := errors.New("CUDA error 700")
		var h *health.Health
		ready := make(chan struct{})
		h = start(t, health.Config{Readiness: []health.Check{{
			Name: "gpu", Func: func(context.Context) error {
				<-ready
				h.Fatal(poisoned) // a check may
				return nil
			},
			Interval: 24 * time.Hour,
		}}})
		close(ready)
		synctest.Wait()
		h.Fatal(errors.New("later"))
		advance(time.Hour)
		for what, err := range map[string]error{"Live": h.Live(), "Ready": h.Ready()} {
			wantIs(t, what, err, health.ErrFatal)
			wantIs(t, what, err, poisoned)
			wantText(t, what, err, "health: fatal: CUDA error 700")
			if fatal, ok := errors.AsType[*health.FatalError](err); !ok || fatal.Cause != poisoned {
				t.Errorf("%s = %v, not the FatalError with the first cause", what, err)
			}
		}
		if err := h.Started(); err != nil {
			t.Errorf("Started = %v", err)
		}
		if s := h.Stats(); s.Live || s.Ready || s.State != health.StateUnhealthy {
			t.Errorf("Stats = %+v", s)
		}
		wantIs(t, "WaitReady", h.WaitReady(t.Context()), health.ErrFatal)
	})
}

func TestFatalWithoutCause(t *testing.T) {
	h := start(t, health.Config{})
	h.Fatal(nil)
	if err := h.Live(); err == nil || err.Error() != "health: fatal" {
		t.Errorf("Live = %v", err)
	}
}

func TestDrainWaitsWhileTrafficIsServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{
			Readiness:  []health.Check{{Name: "a", Func: pass}},
			DrainDelay: 7 * time.Second,
		})
		advance(time.Second)
		began := time.Now()
		ended := make(chan time.Duration, 3)
		drain := func() {
			if err := h.Drain(t.Context()); err != nil {
				t.Error(err)
			}
			ended <- time.Since(began)
		}
		go drain()
		synctest.Wait()
		wantIs(t, "Ready", h.Ready(), health.ErrDraining)
		if err := errors.Join(h.Live(), h.Started()); err != nil {
			t.Errorf("draining touched liveness or startup: %v", err)
		}
		if code, body := get(h.Handler()); code != 503 || body != `{"status":"draining"}` {
			t.Errorf("/health: %d %s", code, body)
		}
		if code, _ := get(h.LiveHandler()); code != 200 {
			t.Errorf("/livez: %d", code)
		}

		advance(3 * time.Second)
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		go drain()
		wantIs(t, "Drain with a short context", h.Drain(short), context.DeadlineExceeded)
		wantIs(t, "Ready after a Drain cut short", h.Ready(), health.ErrDraining)
		advance(time.Minute)
		for range 2 {
			if d := <-ended; d != 7*time.Second {
				t.Errorf("a Drain ended after %v, want 7s", d)
			}
		}
		for range 20 { // were it a matter of chance, it would show
			if err := h.Drain(short); err != nil {
				t.Fatalf("after the end, with an ended context: %v", err)
			}
		}
		wantIs(t, "Ready", h.Ready(), health.ErrDraining)
	})
}

func TestDrainDelayZeroIsFiveSecondsAndNegativeNone(t *testing.T) {
	for delay, want := range map[time.Duration]time.Duration{0: 5 * time.Second, -1: 0} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, health.Config{DrainDelay: delay})
			began := time.Now()
			if err := h.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(began); got != want {
				t.Errorf("DrainDelay %v waited %v, want %v", delay, got, want)
			}
			wantIs(t, "Ready", h.Ready(), health.ErrDraining)
		})
	}
}

func TestDrainWhileStarting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{
			Startup:    []health.Check{{Name: "s", Func: failing(errors.New("no")).check}},
			DrainDelay: -1,
		})
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		wantIs(t, "Ready", h.Ready(), health.ErrDraining)
		wantIs(t, "Started", h.Started(), health.ErrNotStarted)
	})
}

func TestWaitReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := failing(io.ErrNoProgress)
		h := start(t, health.Config{
			Readiness:  []health.Check{{Name: "a", Func: a.check, Interval: time.Second}},
			DrainDelay: -1,
		})
		short, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		err := h.WaitReady(short)
		for _, want := range []error{health.ErrNotReady, io.ErrNoProgress, context.DeadlineExceeded} {
			wantIs(t, "WaitReady", err, want)
		}

		began := time.Now()
		a.set(nil)
		if err := h.WaitReady(t.Context()); err != nil {
			t.Error(err)
		}
		if d := time.Since(began); d != 500*time.Millisecond {
			t.Errorf("returned after %v, want at the result after 500ms", d)
		}
		if err := h.WaitReady(short); err != nil {
			t.Errorf("ready with an ended context: %v", err)
		}

		a.set(io.ErrNoProgress)
		advance(time.Second)
		got := make(chan error)
		go func() { got <- h.WaitReady(context.Background()) }()
		synctest.Wait()
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		wantIs(t, "WaitReady across Drain", <-got, health.ErrDraining)
	})
}

func TestCloseEndsChecksAndReadiness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Many busy checks: were recording them a matter of chance, it would show.
		took := make([]time.Duration, 20)
		readiness := []health.Check{{Name: "idle", Func: pass}}
		for i := range took {
			readiness = append(readiness, health.Check{
				Name: fmt.Sprint("busy", i), Func: untilCancelled(&took[i], time.Now()), Timeout: time.Hour,
			})
		}
		h := start(t, health.Config{
			Startup:   []health.Check{{Name: "s", Func: failing(errors.New("no")).check}},
			Readiness: readiness,
		})
		advance(time.Second)
		before := h.Stats().Checks
		var all sync.WaitGroup
		for range 3 {
			all.Go(func() {
				if err := h.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		for _, d := range took {
			if d != time.Second {
				t.Errorf("a busy check's context ended after %v, want at once", d)
			}
		}
		synctest.Wait() // the last one may still be on its way out of its deferred call
		if n := goroutinesIn("health.(*"); n > 0 {
			t.Errorf("%d goroutines left", n)
		}
		wantIs(t, "Ready", h.Ready(), health.ErrDraining)
		if err := h.Live(); err != nil {
			t.Error(err)
		}
		if after := h.Stats().Checks; !slices.Equal(before, after) {
			t.Errorf("a run that Close ended was recorded:\n%+v\n%+v", before, after)
		}
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		for range 20 { // were it a matter of chance, it would show
			if err := h.Close(ended); err != nil {
				t.Fatalf("nothing to wait for: %v", err)
			}
		}
		began := time.Now()
		if err := h.Drain(t.Context()); err != nil || time.Since(began) != 5*time.Second {
			t.Errorf("Drain after Close: %v after %v", err, time.Since(began))
		}
	})
}

func TestCloseNamesWhatHangs(t *testing.T) {
	for name, before := range map[string]time.Duration{"before the timeout": 0, "before hung": 2 * time.Second, "hung": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				h := start(t, health.Config{
					Readiness: []health.Check{
						{Name: "good", Func: pass},
						{Name: "nfs", Func: hangOn(release)},
					},
					OnStateChange: func(_, _ health.State, _ error) { <-release },
				})
				advance(before)
				short, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				err := h.Close(short)
				wantIs(t, "Close", err, context.DeadlineExceeded)
				wantText(t, "Close", err, "health: close: still running: check nfs, Config.OnStateChange: ")
				synctest.Wait()
				if n := goroutinesIn("health.(*"); n != 2 {
					t.Errorf("%d goroutines after Close, want the check's and the hook's only", n)
				}
				close(release)
				if err := h.Close(t.Context()); err != nil {
					t.Errorf("second Close: %v", err)
				}
			})
		})
	}
}

func TestCloseDoesNotNameAHookThatHasEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		h := start(t, health.Config{
			Readiness:     []health.Check{{Name: "nfs", Func: hangOn(release)}},
			OnStateChange: func(_, _ health.State, _ error) {},
		})
		synctest.Wait()
		short, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := h.Close(short)
		wantText(t, "Close", err, "still running: check nfs: context")
		close(release)
	})
}

func TestOnStateChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var got []string
		a, s := new(switchable), failing(errors.New("no"))
		h := start(t, health.Config{
			Startup:   []health.Check{{Name: "s", Func: s.check}},
			Readiness: []health.Check{{Name: "a", Func: a.check, Interval: time.Second}},
			OnStateChange: func(from, to health.State, why error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, fmt.Sprint(from, " ", to, " ", why))
			},
		})
		for _, change := range []func(){
			func() {},
			func() { s.set(nil) },
			func() { a.set(errors.New("off")) },
			func() { a.set(errors.New("still off")) },
			func() { a.set(nil) },
			func() { go func() { _ = h.Drain(context.Background()) }() },
			func() { h.Fatal(errors.New("dead")) },
		} {
			change()
			advance(3 * time.Second)
		}
		want := []string{
			"starting healthy <nil>",
			"healthy unhealthy health: not ready: check a: off",
			"unhealthy healthy <nil>",
			"healthy draining health: draining",
			"draining unhealthy health: fatal: dead",
		}
		mu.Lock()
		defer mu.Unlock()
		if !slices.Equal(got, want) {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

func TestOnStateChangeHearsOfFatalWhenUnhealthyAndOfClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []string
		hook := func(from, to health.State, why error) { got = append(got, fmt.Sprint(from, " ", to, " ", why)) }
		h := start(t, health.Config{OnStateChange: hook})
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if n := len(got); n == 0 || got[n-1] != "healthy draining health: draining" && got[n-1] != "starting draining health: draining" {
			t.Errorf("Close: %q", got)
		}
		got = nil
		h = start(t, health.Config{
			Readiness:     []health.Check{{Name: "a", Func: failing(errors.New("off")).check}},
			OnStateChange: hook,
		})
		synctest.Wait()
		h.Fatal(errors.New("dead"))
		synctest.Wait()
		if want := "unhealthy unhealthy health: fatal: dead"; len(got) == 0 || got[len(got)-1] != want {
			t.Errorf("got %q, want %q last", got, want)
		}
	})
}

func TestHookThatBlocksHoldsNothingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		defer close(release)
		a := new(switchable)
		h := start(t, health.Config{
			Readiness:     []health.Check{{Name: "a", Func: a.check, Interval: time.Second}},
			OnStateChange: func(_, _ health.State, _ error) { <-release },
		})
		advance(time.Hour)
		if err := h.Ready(); err != nil {
			t.Error(err)
		}
		a.set(errors.New("off"))
		advance(time.Second)
		wantIs(t, "Ready", h.Ready(), health.ErrNotReady)
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		h := start(t, health.Config{
			Startup: []health.Check{{Name: "s", Func: pass}},
			Readiness: []health.Check{{Name: "r", Timeout: 5 * time.Second, Func: func(context.Context) error {
				<-time.After(3 * time.Second)
				return errors.New("off")
			}}},
		})
		advance(time.Second)
		want := []health.CheckStats{
			{Name: "s", Kind: health.KindStartup, Startup: true, OK: true, Runs: 1, Ended: began},
			{Name: "r", Kind: health.KindReadiness, Error: "check r: no result yet"},
		}
		compare := func() {
			t.Helper()
			got := h.Stats().Checks
			for i := range got {
				if !got[i].Ended.Equal(want[i].Ended) {
					t.Errorf("%s ended %v, want %v", want[i].Name, got[i].Ended, want[i].Ended)
				}
				got[i].Ended = want[i].Ended
			}
			if !slices.Equal(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		}
		compare()
		h.Stats().Checks[0].Name = "the caller's own"
		advance(5 * time.Second)
		want[1] = health.CheckStats{Name: "r", Kind: health.KindReadiness, Error: "check r: off", LastError: "check r: off", Runs: 1, Failures: 1, Ended: began.Add(3 * time.Second), Took: 3 * time.Second}
		compare()
		if s := h.Stats(); s.State != health.StateUnhealthy || s.Error != "health: not ready: check r: off" || !s.Live || !s.Started || s.Ready {
			t.Errorf("Stats = %+v", s)
		}
	})
}

// model is health in the most naive words.
type model struct {
	passed          [2]bool
	ready           [3]bool
	fatal, draining bool
}

func (m *model) verdict() (health.State, error) {
	switch {
	case m.fatal:
		return health.StateUnhealthy, health.ErrFatal
	case m.draining:
		return health.StateDraining, health.ErrDraining
	case !m.passed[0] || !m.passed[1]:
		return health.StateStarting, health.ErrNotStarted
	case !m.ready[0] || !m.ready[1] || !m.ready[2]:
		return health.StateUnhealthy, health.ErrNotReady
	}
	return health.StateHealthy, nil
}

func TestAgainstNaiveModel(t *testing.T) {
	off := errors.New("off")
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			var c health.Config
			var m model
			startup, readiness := make([]*switchable, len(m.passed)), make([]*switchable, len(m.ready))
			for i := range startup {
				startup[i] = failing(off)
				c.Startup = append(c.Startup, health.Check{Name: fmt.Sprint("s", i), Func: startup[i].check, Interval: time.Second})
			}
			for i := range readiness {
				readiness[i] = failing(off)
				c.Readiness = append(c.Readiness, health.Check{Name: fmt.Sprint("r", i), Func: readiness[i].check, Interval: time.Second})
			}
			c.DrainDelay = -1
			h := start(t, c)
			for step := range 40 {
				switch n := rng.IntN(100); {
				case n < 30:
					i := rng.IntN(len(startup))
					startup[i].set(nil)
					m.passed[i] = true
				case n < 40:
					startup[rng.IntN(len(startup))].set(off)
				case n < 80:
					i := rng.IntN(len(readiness))
					readiness[i].set(nil)
					m.ready[i] = true
				case n < 97:
					i := rng.IntN(len(readiness))
					readiness[i].set(off)
					m.ready[i] = false
				case n < 98:
					h.Fatal(off)
					m.fatal = true
				default:
					_ = h.Drain(t.Context())
					m.draining = true
				}
				advance(time.Second)
				state, err := m.verdict()
				s := h.Stats()
				started := m.passed[0] && m.passed[1]
				if s.State != state || s.Ready != (err == nil) || !errors.Is(h.Ready(), err) ||
					(h.Live() != nil) != m.fatal || (h.Started() == nil) != started {
					t.Fatalf("seed %d, step %d: %+v\nmodel: %+v, %v %v", seed, step, s, m, state, err)
				}
			}
		})
	}
}

func TestEverythingAtOnce(t *testing.T) {
	a := new(switchable)
	h := start(t, health.Config{
		Startup:       []health.Check{{Name: "s", Func: pass, Interval: time.Millisecond}},
		Readiness:     []health.Check{{Name: "a", Func: a.check, Interval: time.Millisecond}},
		DrainDelay:    time.Millisecond,
		OnStateChange: func(_, _ health.State, _ error) {},
	})
	if err := h.WaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	handler := h.Handler()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 2000 {
				_, _, _ = h.Live(), h.Started(), h.Ready()
				_ = h.Stats()
				if code, _ := get(handler); code != 200 && code != 503 {
					t.Errorf("code %d", code)
				}
				switch {
				case i == 0:
					a.set([]error{nil, io.EOF}[j%2])
				case i == 1 && j == 1000:
					if err := h.Drain(t.Context()); err != nil {
						t.Error(err)
					}
				case i == 2 && j == 1500:
					h.Fatal(io.EOF)
				case i > 5 && j == 1800:
					if err := h.Close(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	all.Wait()
	wantIs(t, "Ready", h.Ready(), health.ErrFatal)
}
