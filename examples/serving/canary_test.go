package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// class answers with the given class.
func class(n int) runFunc {
	return func(_ context.Context, _ []item, out []batching.Slot[answer]) error {
		for i := range out {
			var a answer
			a.probabilities[n] = 1
			out[i].Set(a)
		}
		return nil
	}
}

// takes answers rightly, but after d.
func takes(d time.Duration) runFunc {
	return func(ctx context.Context, in []item, out []batching.Slot[answer]) error {
		<-time.After(d)
		return class(0)(ctx, in, out)
	}
}

func TestCanary(t *testing.T) {
	net, err := digits.Open(digits.Small, digits.Config{})
	if err != nil {
		t.Fatal(err)
	}
	held, err := digits.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		run    runFunc
		queued int
		wrong  string
	}{
		{"well", class(0), 0, ""},
		{"nonsense", class(1), 0, "digits-small takes a 0 for a 1"},
		{"slow", takes(900 * time.Millisecond), 0, ""},
		{"hangs", takes(time.Minute), 0, "deadline exceeded"},
		{"hangs for all", takes(time.Minute), 5, "deadline exceeded"},
		{"overloaded, but moves", takes(300 * time.Millisecond), 15, ""},
		{"hangs behind a full queue", takes(time.Minute), 22, "queue is full"},
		{"fails", func(context.Context, []item, []batching.Slot[answer]) error { return errors.New("no weights") }, 0, "no weights"},
		{"gives up on its own", func(context.Context, []item, []batching.Slot[answer]) error { return context.DeadlineExceeded }, 0, "deadline exceeded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &model{net: net, held: held, batcher: newBatcher(t, batching.Config[item]{MaxBatchSize: 1, MaxQueue: 20, Instances: 2}, tt.run)}
				for range tt.queued {
					go m.batcher.Do(t.Context(), item{})
					synctest.Wait()
				}
				// What package health gives it.
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := m.canary(ctx)
				if ctx.Err() != nil {
					t.Error("health's timeout was first")
				}
				if (err == nil) != (tt.wrong == "") || err != nil && !strings.Contains(err.Error(), tt.wrong) {
					t.Errorf("got %v, want %q", err, tt.wrong)
				}
			})
		})
	}
}

// A full queue is well as long as it moves from one canary to the next.
func TestCanaryAndAFullQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &model{batcher: newBatcher(t, batching.Config[item]{MaxBatchSize: 1, MaxQueue: 20}, takes(3*time.Second)), held: make([]digits.Digit, 1)}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for range 100 { // callers that never tire
			go func() {
				for ctx.Err() == nil {
					if _, err := m.batcher.Do(ctx, item{}); err != nil {
						<-time.After(time.Millisecond)
					}
				}
			}()
		}
		<-time.After(10 * time.Second)
		for range 3 {
			if err := m.canary(t.Context()); err != nil {
				t.Errorf("an overloaded replica: %v", err)
			}
			<-time.After(10 * time.Second)
		}
		m.canary(t.Context())
		synctest.Wait()
		if err := m.canary(t.Context()); !errors.Is(err, batching.ErrQueueFull) {
			t.Errorf("nothing has moved since the last canary: %v", err)
		}
	})
}

// A replica that sheds is well as long as it computes something.
func TestCanaryAndShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hangs := make(chan struct{})
		m := &model{held: make([]digits.Digit, 1), batcher: newBatcher(t, batching.Config[item]{MaxBatchSize: 1, TargetLatency: 100 * time.Millisecond, BatchTimeout: time.Second},
			func(ctx context.Context, in []item, out []batching.Slot[answer]) error {
				if in[0].level == background {
					<-hangs
				}
				return takes(80*time.Millisecond)(ctx, in, out)
			})}
		defer close(hangs)
		canary := func() error {
			err := m.canary(t.Context())
			synctest.Wait()
			return err
		}
		if err := canary(); err != nil {
			t.Errorf("an idle replica: %v", err)
		}
		go m.batcher.Do(t.Context(), item{})
		synctest.Wait()
		if err := canary(); err != nil {
			t.Errorf("a busy replica that sheds the canary: %v", err)
		}
		<-time.After(200 * time.Millisecond)
		if err := canary(); err != nil {
			t.Errorf("then: %v", err)
		}
		go m.batcher.Do(t.Context(), item{level: background})
		synctest.Wait()
		m.canary(t.Context()) // what ended before may count once
		if err := canary(); !errors.Is(err, batching.ErrShed) {
			t.Errorf("a replica that sheds because it hangs: %v", err)
		}
		before := m.finished()
		<-time.After(2 * time.Second)
		if s := m.batcher.Stats(); s.Timeouts != 1 || m.finished() != before {
			t.Errorf("%d runs hang, %d are taken for finished", s.Timeouts, m.finished()-before)
		}
	})
}

// A bad backend makes the replica unready, though its weights are well.
func TestBadBackendIsNotReady(t *testing.T) {
	for name, run := range map[string]runFunc{"hangs": takes(time.Hour), "nonsense": class(1)} {
		for _, id := range digits.IDs() {
			t.Run(name+" "+id, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					s, _ := newTestService(t)
					if resp := ask(t, s.handler(), "GET", "/readyz", ""); resp.StatusCode != http.StatusOK {
						t.Fatalf("it begins with %d", resp.StatusCode)
					}
					replaceBackends(t, s, id, run)
					<-time.After(12 * time.Second)
					if resp := ask(t, s.handler(), "GET", "/readyz", ""); resp.StatusCode != http.StatusServiceUnavailable {
						t.Errorf("readyz says %d", resp.StatusCode)
					}
					if why := s.health.Ready(); why == nil || !strings.Contains(why.Error(), "check canary:"+id) {
						t.Errorf("the reason is %v", why)
					}
					if err := s.health.Started(); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}
