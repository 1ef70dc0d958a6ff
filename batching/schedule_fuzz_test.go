package batching_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// plot is a batcher and what happens to it. Things happen at moments of their
// own: arrivals at whole tenths of a millisecond, leaves 30 µs and their id in
// nanoseconds later, and ends of runs in between.
type plot struct {
	instances, maxBatch, maxQueue, levels, maxCost int
	grouped, tenanted                              bool
	tasks                                          []task
}

const grain = 100 * time.Microsecond

// service returns how long a batch runs.
func service(items, cost int) time.Duration {
	return time.Duration(60+30*items+15*cost)*grain + 7
}

// weight returns the weight of a task's tenant.
func (v task) weight() int { return 1 + len(v.tenant) }

// plotOf makes a plot of bytes: any bytes are one.
func plotOf(data []byte) plot {
	take := func(n byte) int {
		if len(data) == 0 {
			return 0
		}
		v := data[0] % n
		data = data[1:]
		return int(v)
	}
	p := plot{
		instances: 1 + take(3), maxBatch: 1 + take(9), maxQueue: 1 + take(40), levels: 1 + take(4),
		maxCost: take(20), grouped: take(2) == 1, tenanted: take(2) == 1,
	}
	at := time.Duration(0)
	for len(data) > 0 && len(p.tasks) < 200 {
		v := task{id: len(p.tasks), cost: take(24) - 3}
		if take(32) == 0 {
			at += 1000 * grain // a lull
		}
		at += time.Duration(1+take(60)) * grain
		v.arrive = at
		if p.levels > 1 {
			v.level = take(6) - 1
		}
		if p.grouped {
			v.group = string('a' + rune(take(4)))
		}
		if p.tenanted {
			v.tenant = []string{"", "", "", "x", "yy", "zzz"}[take(6)]
		}
		if kind := take(8); kind < 4 {
			v.leave = at + time.Duration(take(255))*40*grain + 30*time.Microsecond + time.Duration(v.id)
			v.deadline = kind > 0
		}
		p.tasks = append(p.tasks, v)
	}
	return p
}

func (p plot) config() batching.Config[task] {
	cfg := batching.Config[task]{
		Instances: p.instances, MaxBatchSize: p.maxBatch, MaxQueue: p.maxQueue,
		Cost: taskCost, MaxBatchCost: p.maxCost,
	}
	if p.levels > 1 {
		cfg.Priorities, cfg.Priority = p.levels, taskLevel
	}
	if p.grouped {
		cfg.Group = taskGroup
	}
	if p.tenanted {
		cfg.Tenant = taskTenant
		cfg.TenantWeight = func(tenant string) int { return task{tenant: tenant}.weight() }
	}
	return cfg
}

// perform drives a real batcher through the plot.
func perform(t *testing.T, p plot) (outcomes, batches []string) {
	t.Helper()
	bubble(t, func(t *testing.T) {
		begin := time.Now()
		var mu sync.Mutex
		b := newBatcher(t, func(_ context.Context, in []task, out []batching.Slot[int]) error {
			text, cost := fmt.Sprint(time.Since(begin)), 0
			for _, v := range in {
				text += fmt.Sprint(" ", v.id)
				cost += max(1, v.cost)
			}
			mu.Lock()
			batches = append(batches, text)
			mu.Unlock()
			pass(service(len(in), cost))
			for i := range in {
				out[i].Set(in[i].id)
			}
			return nil
		}, p.config())
		outcomes = make([]string, len(p.tasks))
		var wg sync.WaitGroup
		for i, v := range p.tasks {
			wg.Go(func() {
				pass(v.arrive)
				ctx, cancel := context.WithCancel(context.Background())
				defer cancel()
				switch {
				case v.deadline:
					ctx, cancel = context.WithDeadline(ctx, begin.Add(v.leave))
					defer cancel()
				case v.leave > 0:
					defer time.AfterFunc(v.leave-v.arrive, cancel).Stop()
				}
				out, err := b.Do(ctx, v)
				outcomes[i] = fmt.Sprintf("task %d: %s at %v", v.id, named(out == v.id, err), time.Since(begin))
				s := b.Stats()
				checkSums(t, s)
				if s.Queued > p.maxQueue {
					t.Errorf("%d are queued, want at most %d", s.Queued, p.maxQueue)
				}
			})
		}
		wg.Wait()
		closeBatcher(t, b)
		checkBooks(t, b.Stats(), outcomes)
	})
	slices.Sort(batches) // two that begin at the same moment are in no order
	return outcomes, batches
}

// named gives an outcome the name that it has in a simulation.
func named(right bool, err error) string {
	switch {
	case err == nil && right:
		return "answered"
	case errors.Is(err, batching.ErrQueueFull):
		return "full"
	case errors.Is(err, batching.ErrTooLarge):
		return "too large"
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "left"
	}
	return fmt.Sprint(err)
}

// checkBooks compares the batcher's books with what became of the calls.
func checkBooks(t *testing.T, s batching.Stats, outcomes []string) {
	t.Helper()
	checkSums(t, s)
	counts := make(map[string]uint64)
	for _, outcome := range outcomes {
		var id int
		var what string
		fmt.Sscanf(outcome, "task %d: %s", &id, &what)
		counts[what]++
	}
	if s.Answered != counts["answered"] || s.RejectedFull+s.Displaced != counts["full"] ||
		s.CancelledQueued+s.CancelledRunning != counts["left"] || s.Queued != 0 || s.Running != 0 {
		t.Errorf("calls %v, batcher %+v", counts, s)
	}
}

// compareWithSimulation fails at the first difference between the real and the
// simulated batcher.
func compareWithSimulation(t *testing.T, seed uint64, data []byte) {
	t.Helper()
	p := plotOf(data)
	wantOutcomes, wantBatches := simulate(p)
	gotOutcomes, gotBatches := perform(t, p)
	same(t, seed, gotBatches, wantBatches)
	same(t, seed, gotOutcomes, wantOutcomes)
}

func TestScheduleAgainstSimulation(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 7))
		data := make([]byte, 1500)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		compareWithSimulation(t, seed, data)
	}
}

// Any schedule has the batches and outcomes of the simulation, and its books
// add up.
func FuzzSchedule(f *testing.F) {
	for seed := range uint64(8) {
		rng := rand.New(rand.NewPCG(seed, 8))
		data := make([]byte, 60)
		for i := range data {
			data[i] = byte(rng.Uint32())
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) { compareWithSimulation(t, 0, data) })
}
