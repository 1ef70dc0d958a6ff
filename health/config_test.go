package health_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func TestNewReportsEveryMistakeAtOnce(t *testing.T) {
	synctest.Test(t, testNewReportsEveryMistakeAtOnce) // which fails if a goroutine is left
}

func testNewReportsEveryMistakeAtOnce(t *testing.T) {
	h, err := health.New(health.Config{
		Startup: []health.Check{
			{Name: "", Func: pass},
			{Name: "model", Func: nil},
			{Name: "fine", Func: pass, Fall: 2},
		},
		Readiness: []health.Check{
			{Name: "model", Func: pass, Interval: -1, Timeout: 25 * time.Hour},
			{Name: "line\nbreak", Func: pass},
			{Name: strings.Repeat("x", 65), Func: pass, Interval: time.Nanosecond},
		},
		Dependencies: []health.Dependency{{Name: "redis", Func: pass, Rise: -1, Fall: 101}},
		Liveness:     []health.LivenessCheck{{Name: "fine"}, {Name: "dog", Func: func() error { return nil }, Timeout: -1}},
		DrainDelay:   48 * time.Hour,
	})
	if h != nil || err == nil {
		t.Fatalf("New = %v, %v", h, err)
	}
	want := []string{
		`health: Config.DrainDelay: 48h0m0s is above 24h0m0s`,
		`health: Config.Startup[0].Name: is empty`,
		`health: Config.Startup[1].Func: is nil`,
		`health: Config.Startup[2].Fall: is 2, but a startup check fails until it passes`,
		`health: Config.Readiness[0].Name: "model" is already the name of Startup[1]`,
		`health: Config.Readiness[0].Interval: -1ns is not between 1ms and 24h0m0s`,
		`health: Config.Readiness[0].Timeout: 25h0m0s is not between 1ms and 24h0m0s`,
		`health: Config.Readiness[1].Name: "line\nbreak" has '\n', which is neither an ASCII letter or digit nor one of "-_.:/"`,
		`health: Config.Readiness[2].Name: has 65 bytes, above 64`,
		`health: Config.Readiness[2].Interval: 1ns is not between 1ms and 24h0m0s`,
		`health: Config.Dependencies[0].Rise: -1 is not between 1 and 100`,
		`health: Config.Dependencies[0].Fall: 101 is not between 1 and 100`,
		`health: Config.Liveness[0].Name: "fine" is already the name of Startup[2]`,
		`health: Config.Liveness[0].Func: is nil`,
		`health: Config.Liveness[1].Timeout: -1ns is not between 1ms and 24h0m0s`,
	}
	if got := err.Error(); got != strings.Join(want, "\n") {
		t.Errorf("got:\n%s\nwant:\n%s", got, strings.Join(want, "\n"))
	}
}

func TestZeroConfigIsReady(t *testing.T) {
	h := start(t, health.Config{})
	if err := errors.Join(h.Started(), h.Ready(), h.Live()); err != nil {
		t.Error(err)
	}
	if got := h.Stats(); got.State != health.StateHealthy || !got.Live || !got.Started || !got.Ready || got.Error != "" {
		t.Errorf("Stats = %+v", got)
	}
}

func TestDefaultIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		startup, readiness := failing(errors.New("not yet")), new(switchable)
		start(t, health.Config{
			Startup:   []health.Check{{Name: "s", Func: startup.check}},
			Readiness: []health.Check{{Name: "r", Func: readiness.check}},
		})
		advance(20*time.Second + 500*time.Millisecond)
		if s, r := startup.runs.Load(), readiness.runs.Load(); s != 21 || r != 3 {
			t.Errorf("in 20.5 s the startup check ran %d times, want 21 (every 1 s); the readiness check %d, want 3 (every 10 s)", s, r)
		}
	})
}

func TestDefaultTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var s, r time.Duration
		h := start(t, health.Config{
			Startup:   []health.Check{{Name: "s", Func: untilCancelled(&s, began)}},
			Readiness: []health.Check{{Name: "r", Func: untilCancelled(&r, began)}},
		})
		advance(5 * time.Minute)
		if s != 5*time.Minute || r != 2*time.Second {
			t.Errorf("timeouts: startup %v, want 5m; readiness %v, want 2s", s, r)
		}
		wantIs(t, "Ready", h.Ready(), health.ErrNotStarted)
	})
}

func TestConfigIsCopied(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		list := []health.Check{{Name: "a", Func: pass}}
		h := start(t, health.Config{Readiness: list})
		list[0] = health.Check{}
		advance(time.Minute)
		if err := h.Ready(); err != nil {
			t.Error(err)
		}
		if got := h.Stats().Checks[0].Name; got != "a" {
			t.Errorf("name = %q", got)
		}
	})
}

func TestChecksAreBounded(t *testing.T) {
	checks := make([]health.Check, 257)
	for i := range checks {
		checks[i] = health.Check{Name: fmt.Sprint(i), Func: pass}
	}
	if _, err := health.New(health.Config{Readiness: checks}); err == nil || err.Error() != "health: Config: 257 checks, above 256" {
		t.Errorf("New = %v", err)
	}
	start(t, health.Config{Readiness: checks[1:]})
}
