package retry

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// HedgeConfig configures [NewHedger]. The zero value is useful: one hedge, for
// calls slower than 95 of 100, within a budget of its own.
type HedgeConfig struct {
	// Name tells this Hedger from others, in Stats' series and in errors.
	Name string

	// Quantile of the latencies observed is how long a call is waited for before
	// a second one is made: above 0 and below 1. 0 means 0.95, with which one
	// call in 20 is hedged. It is taken from the last 128 calls, and there are
	// no hedges before 32 of them.
	Quantile float64

	// MinDelay and MaxDelay are the least and the most that is waited before a
	// hedge, whatever the quantile. 0 means 1 ms and 1 s.
	MinDelay, MaxDelay time.Duration

	// MaxHedges is how many calls are made besides the first, each after another
	// delay: 0 means 1; at most 8.
	MaxHedges int

	// Budget is shared with the Retriers in front of the same service. Nil means
	// one of its own, of the zero BudgetConfig.
	Budget *Budget

	_ struct{}
}

const (
	defaultQuantile = 0.95
	defaultMinDelay = time.Millisecond
	defaultMaxHedge = time.Second
	maxHedges       = 8
)

func (c HedgeConfig) validate() error {
	f := faults{config: "HedgeConfig"}
	if c.Quantile != 0 && !(c.Quantile > 0 && c.Quantile < 1) {
		f.add("Quantile", "%v is not above 0 and below 1", c.Quantile)
	}
	if c.MinDelay < 0 {
		f.add("MinDelay", "%v is below 0", c.MinDelay)
	}
	if c.MaxDelay < 0 {
		f.add("MaxDelay", "%v is below 0", c.MaxDelay)
	}
	if c.MaxDelay > 0 && c.MinDelay > c.MaxDelay {
		f.add("MinDelay", "%v is above MaxDelay, %v", c.MinDelay, c.MaxDelay)
	}
	if c.MaxHedges < 0 || c.MaxHedges > maxHedges {
		f.add("MaxHedges", "%d is not between 1 and %d", c.MaxHedges, maxHedges)
	}
	return errors.Join(f.errs...)
}

func (c HedgeConfig) withDefaults() HedgeConfig {
	if c.Quantile == 0 {
		c.Quantile = defaultQuantile
	}
	if c.MaxDelay == 0 {
		c.MaxDelay = max(defaultMaxHedge, c.MinDelay)
	}
	if c.MinDelay == 0 {
		c.MinDelay = min(defaultMinDelay, c.MaxDelay)
	}
	if c.MaxHedges == 0 {
		c.MaxHedges = 1
	}
	return c
}

// A Hedger knows how long calls of one kind take, and owns the goroutines in
// which [Hedge] makes them. It is safe for concurrent use. Close it when it is
// not needed any more.
type Hedger struct {
	cfg     HedgeConfig
	budget  *Budget
	latency quantile

	calls, hedges, wins, overBudget, panics atomic.Uint64
	orphans                                 atomic.Int64 // attempts that run though their call is over

	mu      sync.Mutex
	running int           // attempts in goroutines
	closed  bool          // no more goroutines
	idle    chan struct{} // closed when none runs any more; nil if nobody waits for that
}

// NewHedger returns a Hedger, or all that is wrong with cfg.
func NewHedger(cfg HedgeConfig) (*Hedger, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	h := &Hedger{cfg: cfg, budget: cfg.Budget}
	h.latency.q = cfg.Quantile
	if h.budget == nil {
		budget, err := NewBudget(BudgetConfig{})
		if err != nil {
			return nil, err
		}
		h.budget = budget
	}
	return h, nil
}

// Name is HedgeConfig.Name.
func (h *Hedger) Name() string { return h.cfg.Name }

// HedgeStats is what a Hedger has counted, and its state.
type HedgeStats struct {
	Calls      uint64 // of Hedge, but for those whose context had ended before
	Hedges     uint64 // further calls of their functions
	Wins       uint64 // calls that a hedge answered
	OverBudget uint64 // hedges not made for want of budget
	Panics     uint64 // of losers, and of their discard: nobody else hears of them

	Running int           // losers that have not returned yet
	Delay   time.Duration // before a hedge, at present; 0 while too little is known
}

// Stats returns the numbers, read one after the other while calls go on.
func (h *Hedger) Stats() HedgeStats {
	return HedgeStats{
		Calls:      h.calls.Load(),
		Hedges:     h.hedges.Load(),
		Wins:       h.wins.Load(),
		OverBudget: h.overBudget.Load(),
		Panics:     h.panics.Load(),
		Running:    int(h.orphans.Load()),
		Delay:      h.delay(),
	}
}

// Close waits until every goroutine that calls of Hedge have started is over,
// or until ctx has ended: then the error is ctx's, and says how many still run.
// There are no hedges after Close: calls are made as they would be without.
func (h *Hedger) Close(ctx context.Context) error {
	h.mu.Lock()
	h.closed = true
	if h.running == 0 {
		h.mu.Unlock()
		return nil
	}
	if h.idle == nil {
		h.idle = make(chan struct{})
	}
	idle := h.idle
	h.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.running == 0 {
		return nil
	}
	return fmt.Errorf("retry: hedger %q: calls still running: %d: %w", h.cfg.Name, h.running, ended(ctx))
}

// enter is to be called before a goroutine is started; if it returns false,
// none may be.
func (h *Hedger) enter() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.running++
	}
	return !h.closed
}

func (h *Hedger) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running--
	if h.running == 0 && h.idle != nil {
		close(h.idle)
	}
}

// delay is how long to wait for a call before hedging it, 0 if that is not known.
func (h *Hedger) delay() time.Duration {
	d := h.latency.get()
	if d == 0 {
		return 0
	}
	return min(max(d, h.cfg.MinDelay), h.cfg.MaxDelay)
}
