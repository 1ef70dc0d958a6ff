package retry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// eager returns a Hedger that hedges after 1 ms.
func eager(t *testing.T, cfg HedgeConfig) *Hedger {
	t.Helper()
	h, err := NewHedger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range enough {
		h.latency.observe(1)
	}
	return h
}

// A winner's context lives until release, the losers' end at once.
func TestReleaseOfTheWinner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := eager(t, HedgeConfig{})
		unlearnt, err := NewHedger(HedgeConfig{})
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range []*Hedger{h, unlearnt} {
			for winner := 1; winner <= 2; winner++ {
				if h == unlearnt && winner == 2 {
					continue
				}
				var loser context.Context
				won, release, err := hedge(t.Context(), h, func(ctx context.Context) (context.Context, error) {
					if Attempt(ctx) != winner {
						loser = ctx
						<-ctx.Done()
					}
					return ctx, nil
				}, func(ctx context.Context) {
					if ctx != loser {
						t.Error("another's value is discarded")
					}
				})
				if err != nil || won.Err() != nil || loser != nil && loser.Err() == nil {
					t.Errorf("winner %d: %v; the winner's context: %v", winner, err, won.Err())
				}
				release()
				if won.Err() != context.Canceled {
					t.Errorf("winner %d: after release: %v", winner, won.Err())
				}
				synctest.Wait()
			}
		}
		_, release, err := hedge(t.Context(), h, func(context.Context) (int, error) { return 1, errors.New("no") }, nil)
		if err == nil || release == nil {
			t.Errorf("%v, release is nil: %v", err, release == nil)
		}
	})
}

// Whatever happens at the same time, each value is returned or discarded, once;
// nothing goes on after Close.
func TestHedgeUnderStress(t *testing.T) {
	before := runtime.NumGoroutine()
	budget, err := NewBudget(BudgetConfig{Ratio: 1, Floor: 1000})
	if err != nil {
		t.Fatal(err)
	}
	h := eager(t, HedgeConfig{MaxHedges: 3, Budget: budget})
	h.cfg.MinDelay, h.cfg.MaxDelay = time.Microsecond, 20*time.Microsecond
	var made, returned, discarded atomic.Int64
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 2))
			for range 300 {
				seed := random.Uint64()
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(random.IntN(200))*time.Microsecond)
				call := func() (ok bool) {
					defer func() {
						if v := recover(); v != nil && v != "boom" {
							t.Errorf("panicked with %v", v)
						}
					}()
					_, err := Hedge(ctx, h, func(ctx context.Context) (int, error) {
						return behave(ctx, rand.New(rand.NewPCG(seed, uint64(Attempt(ctx)))), &made)
					}, func(int) { discarded.Add(1) })
					return err == nil
				}
				if call() {
					returned.Add(1)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if err := h.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if made.Load() != returned.Load()+discarded.Load() {
		t.Errorf("%d values, %d returned, %d discarded", made.Load(), returned.Load(), discarded.Load())
	}
	s := h.Stats()
	if s.Running != 0 || h.running != 0 || s.Calls > 2400 || s.Hedges != budget.Stats().Spent {
		t.Errorf("%+v, %d in goroutines, budget %+v", s, h.running, budget.Stats())
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; { // a goroutine ends a little after it has left
		if runtime.NumGoroutine() <= before {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("%d goroutines: there were %d", runtime.NumGoroutine(), before)
}

// behave takes its time, and then succeeds, fails or panics.
func behave(ctx context.Context, random *rand.Rand, made *atomic.Int64) (int, error) {
	for range random.IntN(200) {
		runtime.Gosched()
	}
	switch random.IntN(8) {
	case 0:
		return 0, errors.New("no")
	case 1:
		panic("boom")
	case 2, 3:
		<-ctx.Done()
		return 0, ctx.Err()
	}
	made.Add(1)
	return 1, nil
}

// If nobody recovers, the program ends with both: the value, and where it came from.
func TestPanicOfAHedgedCallShowsItsStack(t *testing.T) {
	if os.Getenv("RETRY_PANICS") != "" {
		h := eager(t, HedgeConfig{})
		_, _ = Hedge(context.Background(), h, func(context.Context) (int, error) { return culprit() }, nil)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), "RETRY_PANICS=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "retry.culprit(") || !strings.Contains(string(out), "panic: value 42") {
		t.Errorf("%v\n%s", err, out)
	}
}

//go:noinline
func culprit() (int, error) { panic(fmt.Sprint("value ", 42)) }
