package health_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func TestDependencyThatIsDownDegrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		redis, gpu := new(switchable), new(switchable)
		var mu sync.Mutex
		var told []string
		h := start(t, health.Config{
			Readiness:    []health.Check{{Name: "gpu", Func: gpu.check, Interval: time.Second}},
			Dependencies: []health.Dependency{{Name: "redis", Func: redis.check, Interval: time.Second, Fall: 2}},
			OnStateChange: func(from, to health.State, why error) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, fmt.Sprint(from, " ", to, " ", why))
			},
		})
		check := func(want health.State, why error, code int) {
			t.Helper()
			state, err := h.State()
			if state != want || !errors.Is(err, why) || (err == nil) != (why == nil) {
				t.Errorf("State = %v, %v; want %v, %v", state, err, want, why)
			}
			if s := h.Stats(); s.State != want || s.Ready != (code == 200) || (s.Error == "") != (why == nil) {
				t.Errorf("Stats = %+v", s)
			}
			if (h.Ready() == nil) != (code == 200) {
				t.Errorf("Ready = %v in %v", h.Ready(), want)
			}
			for _, handler := range []func() (int, string){
				func() (int, string) { return get(h.Handler()) },
				func() (int, string) { return get(h.ReadyHandler()) },
			} {
				if got, body := handler(); got != code || body != `{"status":"`+string(want)+`"}` {
					t.Errorf("answered %d %s in %v", got, body, want)
				}
			}
			for _, handler := range []func() (int, string){
				func() (int, string) { return get(h.LiveHandler()) },
				func() (int, string) { return get(h.StartupHandler()) },
			} {
				if got, body := handler(); got != 200 || body != `{"status":"healthy"}` {
					t.Errorf("liveness or startup answered %d %s in %v", got, body, want)
				}
			}
		}
		advance(500 * time.Millisecond)
		check(health.StateHealthy, nil, 200)
		redis.set(io.ErrUnexpectedEOF)
		advance(time.Second)
		check(health.StateHealthy, nil, 200) // once is not Fall
		advance(time.Second)
		check(health.StateDegraded, health.ErrDegraded, 200)
		check(health.StateDegraded, io.ErrUnexpectedEOF, 200)
		if err := h.WaitReady(t.Context()); err != nil {
			t.Errorf("WaitReady: %v", err)
		}
		gpu.set(io.ErrNoProgress)
		advance(time.Second)
		check(health.StateUnhealthy, io.ErrNoProgress, 503)
		gpu.set(nil)
		advance(time.Second)
		check(health.StateDegraded, io.ErrUnexpectedEOF, 200)
		redis.set(nil)
		advance(time.Second)
		check(health.StateHealthy, nil, 200)

		mu.Lock()
		defer mu.Unlock()
		const off = "health: degraded: check redis: unexpected EOF"
		tail := []string{
			"healthy degraded " + off,
			"degraded unhealthy health: not ready: check gpu: " + io.ErrNoProgress.Error(),
			"unhealthy degraded " + off,
			"degraded healthy <nil>",
		}
		if len(told) < len(tail) || !slices.Equal(told[len(told)-len(tail):], tail) {
			t.Errorf("got %q\nwant, in the end, %q", told, tail)
		}
	})
}

func TestDependencyWithoutAnAnswerDegrades(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := make(chan struct{})
		h := start(t, health.Config{Dependencies: []health.Dependency{{Name: "db", Func: hangOn(hang), Timeout: time.Second}}})
		synctest.Wait()
		state, why := h.State()
		if state != health.StateDegraded || h.Ready() != nil {
			t.Errorf("before the first answer: %v, %v", state, h.Ready())
		}
		wantText(t, "why", why, "health: degraded: check db: no result yet")
		advance(2 * time.Second)
		_, why = h.State()
		wantText(t, "why", why, "health: degraded: check db: hangs")
		close(hang)
		advance(20 * time.Second)
		if state, why := h.State(); state != health.StateHealthy {
			t.Errorf("after recovery: %v %v", state, why)
		}
	})
}

// A dependency's result that is overdue degrades; a readiness check's makes
// unready, also while degraded.
func TestStaleDependency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{
			Readiness:    []health.Check{{Name: "gpu", Func: pass, Interval: time.Minute, Timeout: time.Second}},
			Dependencies: []health.Dependency{{Name: "redis", Func: pass, Interval: time.Second, Timeout: time.Second}},
		})
		synctest.Wait()
		h.StopChecking()
		seen := make(chan string, 8)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			began := time.Now()
			for state, why := range h.Changes(ctx) {
				seen <- fmt.Sprint(time.Since(began), " ", state, " ", why)
			}
			close(seen)
		}()
		advance(3 * time.Second)
		if state, _ := h.State(); state != health.StateHealthy {
			t.Errorf("just fresh: %v", state)
		}
		advance(1)
		if s := h.Stats(); s.State != health.StateDegraded || !s.Ready || !s.Checks[1].Stale || s.Checks[1].OK || s.Checks[0].Stale {
			t.Errorf("Stats = %+v", s)
		}
		advance(59 * time.Second)
		if state, _ := h.State(); state != health.StateUnhealthy {
			t.Errorf("all stale: %v", state)
		}
		cancel()
		want := []string{
			"0s healthy <nil>",
			"3.000000001s degraded health: degraded: check redis: no result for more than 3s",
			"1m2.000000001s unhealthy health: not ready: check gpu: no result for more than 1m2s",
		}
		var got []string
		for s := range seen {
			got = append(got, s)
		}
		if !slices.Equal(got, want) {
			t.Errorf("Changes told %q\nwant %q", got, want)
		}
	})
}

func TestChangesTellsOfFatalDrainAndCloseInAnyCase(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{
			Readiness:  []health.Check{{Name: "a", Func: failing(io.EOF).check}},
			DrainDelay: -1,
		})
		var got []health.State
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for state := range h.Changes(t.Context()) {
				got = append(got, state)
			}
		}()
		synctest.Wait()
		h.Fatal(io.EOF)
		synctest.Wait()
		_ = h.Drain(t.Context())
		synctest.Wait()
		select {
		case <-h.Draining():
		default:
			t.Error("Draining is open after Drain")
		}
		if err := h.Context().Err(); err != nil {
			t.Errorf("Context ended with Drain: %v", err)
		}
		_ = h.Close(t.Context())
		<-ended
		u := health.StateUnhealthy
		if want := []health.State{u, u, u}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v: of the check, Fatal and Drain", got, want)
		}
		wantIs(t, "the cause of Context's end", context.Cause(h.Context()), health.ErrDraining)
		for state := range h.Changes(t.Context()) { // ends by itself
			if state != u {
				t.Error(state)
			}
		}
		for range h.Changes(t.Context()) {
			break // is allowed
		}
	})
}

func TestCloseWithoutDrainSaysDraining(t *testing.T) {
	h := start(t, health.Config{DrainDelay: -1})
	for range 2 {
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	<-h.Draining()
	if err := h.Drain(t.Context()); err != nil { // and closes nothing twice
		t.Error(err)
	}
}
