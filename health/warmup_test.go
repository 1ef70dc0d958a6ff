package health_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func TestWarmUpPassesAfterAllSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		oom := errors.New("out of memory")
		broken := true
		var ran []int
		sizes := []int{1, 8, 32}
		warm := health.WarmUp("warm-up", sizes, func(_ context.Context, size int) error {
			ran = append(ran, size)
			<-time.After(10 * time.Second)
			if size == 32 && broken {
				broken = false
				return oom
			}
			return nil
		})
		sizes[0] = 99 // the caller's own
		h := start(t, health.Config{Startup: []health.Check{warm}})
		advance(29 * time.Second)
		wantIs(t, "Started before the last size", h.Started(), health.ErrNotStarted)
		advance(time.Second)
		wantIs(t, "Started", h.Started(), oom)
		wantText(t, "Started", h.Started(), "check warm-up: size 32: out of memory")
		if code, body := get(h.StartupHandler()); code != 503 || body != `{"status":"starting"}` {
			t.Errorf("/startupz: %d %s", code, body)
		}
		advance(31 * time.Second)
		if err := errors.Join(h.Started(), h.Ready()); err != nil {
			t.Error(err)
		}
		if want := []int{1, 8, 32, 1, 8, 32}; !slices.Equal(ran, want) {
			t.Errorf("ran %v, want %v", ran, want)
		}
	})
}

func TestWarmUpHeedsItsTimeoutBetweenSizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ran := 0
		warm := health.WarmUp("warm-up", []int{1, 2, 3}, func(context.Context, int) error {
			ran++
			<-time.After(10 * time.Second)
			return nil
		})
		warm.Timeout, warm.Interval = 15*time.Second, time.Hour
		h := start(t, health.Config{Startup: []health.Check{warm}})
		advance(time.Minute)
		wantIs(t, "Started", h.Started(), context.DeadlineExceeded)
		if ran != 2 {
			t.Errorf("%d sizes ran, want 2", ran)
		}
	})
}

func TestWarmUpWithNothingToDo(t *testing.T) {
	if _, err := health.New(health.Config{Startup: []health.Check{health.WarmUp("w", []int{1}, nil)}}); err == nil {
		t.Error("a nil run was accepted")
	}
	synctest.Test(t, func(t *testing.T) {
		h := start(t, health.Config{Startup: []health.Check{health.WarmUp("w", nil, func(context.Context, int) error { return nil })}})
		advance(time.Second)
		wantText(t, "Started", h.Started(), "check w: there are no sizes to warm up")
	})
}
