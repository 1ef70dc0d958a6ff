package retry

import (
	"errors"
	"math"
	"sync/atomic"
)

// BudgetConfig configures [NewBudget]. The zero value is useful.
type BudgetConfig struct {
	// Ratio is how many retries each call earns: above 0 and at most 1. 0 means
	// 0.1, so that retries add a tenth to the load of a service that is down.
	Ratio float64

	// Floor is how many retries there may be without any calls to earn them:
	// what is there at first, and the most that is ever saved up. 0 means 10; at
	// most 1e6. Too little, and a process with few calls cannot retry at all.
	Floor int

	_ struct{}
}

const (
	defaultRatio = 0.1
	defaultFloor = 10
	maxFloor     = 1e6

	// token is one retry, in the units that a Budget counts in. They are decimal
	// so that ten calls at 0.1 are exactly one retry, and a million retries fit.
	token = 1e12
)

func (c BudgetConfig) validate() error {
	f := faults{config: "BudgetConfig"}
	if c.Ratio != 0 && !(c.Ratio*token >= 1 && c.Ratio <= 1) {
		f.add("Ratio", "%v is not above 0 and at most 1", c.Ratio)
	}
	if c.Floor < 0 || c.Floor > maxFloor {
		f.add("Floor", "%d is not between 1 and %d", c.Floor, int(maxFloor))
	}
	return errors.Join(f.errs...)
}

// A Budget keeps retries from amplifying an outage: over any span of time,
// retries and hedges are at most Ratio·calls + Floor, whatever fails and however
// many goroutines call. All the Retriers and Hedgers in front of one service
// should share one. It is a bucket of tokens, into which each call puts Ratio,
// until Floor are in it, and from which each retry or hedge takes one (Finagle's
// retry budgets; gRFC A6 throttles so too).
//
// A call is one of Do, Call, Hedge or an adapter's that is no attempt above the
// first of another: retries earn nothing. One that is within another's first
// attempt, such as a Hedge in a Do, is a call, too; adapters that do both count
// them as one.
//
// It is safe for concurrent use. There is no clock in it, and nothing to close.
type Budget struct {
	level atomic.Int64 // in units of 1/token
	full  int64
	ratio int64

	_      [40]byte // calls read the line above; what is below is written by retries
	spent  atomic.Uint64
	denied atomic.Uint64
}

// NewBudget returns a Budget that is full, or all that is wrong with cfg.
func NewBudget(cfg BudgetConfig) (*Budget, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Ratio == 0 {
		cfg.Ratio = defaultRatio
	}
	if cfg.Floor == 0 {
		cfg.Floor = defaultFloor
	}
	b := &Budget{full: int64(cfg.Floor) * token, ratio: int64(math.Round(cfg.Ratio * token))}
	b.level.Store(b.full)
	return b, nil
}

// isFull says that a deposit would do nothing. While all is well it is all that
// calls ask, and they write nothing: goroutines on all cores share the line.
func (b *Budget) isFull() bool { return b.level.Load() == b.full }

// deposit is one call's share.
func (b *Budget) deposit() {
	for {
		old := b.level.Load()
		if old == b.full || b.level.CompareAndSwap(old, min(old+b.ratio, b.full)) {
			return
		}
	}
}

// take takes what a retry or a hedge costs, and says whether it was there.
func (b *Budget) take() bool {
	for {
		old := b.level.Load()
		if old < token {
			b.denied.Add(1)
			return false
		}
		if b.level.CompareAndSwap(old, old-token) {
			b.spent.Add(1)
			return true
		}
	}
}

// BudgetStats is a Budget's state. Spent and Denied only ever grow.
type BudgetStats struct {
	Tokens   float64 // retries that there is budget for
	Capacity float64 // the most there ever is: Floor
	Spent    uint64  // retries and hedges it let through
	Denied   uint64  // retries and hedges it did not
}

// Stats returns the state. The numbers are read one after the other, while
// calls go on.
func (b *Budget) Stats() BudgetStats {
	return BudgetStats{
		Tokens:   float64(b.level.Load()) / token,
		Capacity: float64(b.full) / token,
		Spent:    b.spent.Load(),
		Denied:   b.denied.Load(),
	}
}
