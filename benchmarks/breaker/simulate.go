package breakbench

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A call is what became of one.
type call struct {
	at      time.Duration // since the simulation began
	took    time.Duration
	replica int
	reached bool // the backend
	ok      bool
}

// A trace is a simulation's calls, in the order in which they came.
type trace struct {
	calls  []call
	opened []opening
}

// An opening is when the breaker for a replica has opened, if it is one that does.
type opening struct {
	at      time.Duration
	replica int // 0 where there is one breaker for all
}

// peersEpoch is as far as time must have come in a bubble, where it begins in the
// year 2000: go-zero counts from the day of its process's start, and takes what
// was before that for never.
const peersEpoch = 40 * 365 * 24 * time.Hour

// simulate runs a scenario with rate calls a second, in virtual time, in which
// every breaker's own time.Now is the simulation's. Nothing else runs on that clock, so a noisy
// machine does not show.
func simulate(t *testing.T, s scenario, c guardMaker, rate float64, seed uint64) (tr trace) {
	synctest.Test(t, func(*testing.T) {
		time.Sleep(peersEpoch)
		r := &run{scenario: s, begin: time.Now(), calls: make([]call, 0, int(1.1*rate*s.length.Seconds())+100)}
		r.start(c, rate, seed)
		arrivals := rand.New(rand.NewPCG(seed, 1))
		for i := 0; ; i++ {
			time.Sleep(time.Duration(arrivals.ExpFloat64() / rate * float64(time.Second)))
			now := time.Since(r.begin)
			if now >= s.length {
				break
			}
			r.offer(call{at: now, replica: i % len(r.backends)})
		}
		r.running.Wait()
		tr = trace{r.calls, r.opened}
	})
	return tr
}

// A run is a simulation that is running.
type run struct {
	scenario
	begin    time.Time
	guards   []guard
	backends []*backend
	running  sync.WaitGroup

	mu     sync.Mutex
	calls  []call
	opened []opening
}

func (r *run) start(c guardMaker, rate float64, seed uint64) {
	n := max(r.replicas, 1)
	for i := range n {
		r.backends = append(r.backends, &backend{rand: rand.New(rand.NewPCG(seed, uint64(i)+2)), rate: headroom * rate / float64(n)})
	}
	if !r.eachOne {
		n = 1
	}
	r.guards = c.make(n, r.settings, func(replica int) {
		at := time.Since(r.begin)
		r.mu.Lock()
		r.opened = append(r.opened, opening{at, replica})
		r.mu.Unlock()
	})
}

// offer makes a call, and notes it in the end.
func (r *run) offer(c call) {
	r.mu.Lock()
	place := len(r.calls)
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	r.running.Go(func() {
		err := r.guards[c.replica%len(r.guards)](context.Background(), func(context.Context) error {
			now := time.Since(r.begin)
			c.reached = true
			took, err := r.backends[c.replica].serve(now, r.health(now, c.replica))
			time.Sleep(took)
			return err
		})
		c.ok, c.took = err == nil, time.Since(r.begin)-c.at
		r.mu.Lock()
		r.calls[place] = c
		r.mu.Unlock()
	})
}
