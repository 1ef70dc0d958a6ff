package retrybench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/budget"
	"github.com/failsafe-go/failsafe-go/hedgepolicy"

	"github.com/ballast-go/ballast/retry"
)

const tableHedge = "hedge"

// hedgePeer is a library that makes a second call when the first takes longer
// than 95 of 100 do, and one hedge at most.
type hedgePeer struct {
	name string
	note string
	new  func() (call caller, close func(), err error)
}

func hedgePeers() []hedgePeer {
	return []hedgePeer{
		{Ours, "budget on", newHedger},
		{failsafeName, "", func() (caller, func(), error) { return failsafeHedge(nil), func() {}, nil }},
		{failsafeBudgeted, "the same, with its budget", func() (caller, func(), error) {
			return failsafeHedge(budget.New()), func() {}, nil
		}},
	}
}

func newHedger() (caller, func(), error) {
	h, err := retry.NewHedger(retry.HedgeConfig{})
	if err != nil {
		return nil, nil, err
	}
	call := func(ctx context.Context, w work, n int) error {
		do := func(ctx context.Context) (struct{}, error) { return struct{}{}, w.do(ctx) }
		for range n {
			if _, err := retry.Hedge(ctx, h, do, nil); err != nil {
				return err
			}
		}
		return nil
	}
	return call, func() { _ = h.Close(context.Background()) }, nil
}

// failsafeHedge observes as many calls as ours; b may be nil.
func failsafeHedge(b budget.Budget) caller {
	builder := hedgepolicy.NewBuilderWithDelayQuantile[any](0.95, 128, 32).WithMaxHedges(1)
	if b != nil {
		builder = builder.WithBudget(b)
	}
	executor := failsafe.With[any](builder.Build())
	return func(ctx context.Context, w work, n int) error {
		e := executor.WithContext(ctx)
		do := func(exec failsafe.Execution[any]) error { return w.do(exec.Context()) }
		for range n {
			if err := e.RunWithExecution(do); err != nil {
				return err
			}
		}
		return nil
	}
}

// hedgeTable is about calls that are over before a hedge is due.
func hedgeTable() Table {
	t := Table{Name: tableHedge, Title: "Hedging: the first call is answered at once", Workers: 1, Batch: 64}
	for _, p := range hedgePeers() {
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			call, closeIt, err := p.new()
			if err != nil {
				return nil, nil, err
			}
			w := work{do: func(context.Context) error { return nil }}
			return func(_, n int) error { return call(context.Background(), w, n) }, closeIt, nil
		}})
	}
	return t
}

const (
	slow = 500 * time.Millisecond // of an answer that something holds up
	late = 100 * time.Millisecond // what a caller calls slow
)

// errLate is what a call ends with that took long.
var errLate = errors.New("late")

// timely calls a call that is late a failure.
func timely(call caller) caller {
	return func(ctx context.Context, w work, n int) error {
		begin := time.Now()
		if err := call(ctx, w, n); err != nil {
			return err
		}
		if time.Since(begin) > late {
			return errLate
		}
		return nil
	}
}

// usually is how long the n-th answer takes: no two in a hundred the same.
func usually(n int64) time.Duration {
	return 4*time.Millisecond + time.Duration(n%100)*10*time.Microsecond
}

// slowCalls are what hedges are for.
func (l load) slowCalls() ([]fact, error) {
	const each, helped = 50, 5
	about := fmt.Sprintf("Hedging: %v, and one answer in %d takes %v instead of 5ms: calls that take more than %v", l, each, slow, late)
	return eachHedge(func(name string, call caller) fact {
		failed, reached := l.put(timely(call), func(ctx context.Context, n int64) error {
			if n%each == 0 {
				return after(ctx, slow, nil)
			}
			return after(ctx, usually(n), nil)
		})
		saw := fmt.Sprintf("%d of %d, in %d attempts", failed, l.calls, reached)
		return fact{about, name, saw, failed*each*helped <= int64(l.calls)}
	})
}

// brownout is where hedges do harm.
func (l load) brownout() ([]fact, error) {
	about := fmt.Sprintf("Hedging: %v, and from the middle on all answers take %v instead of 5ms: attempts that reach the backend", l, slow)
	return eachHedge(func(name string, call caller) fact {
		_, reached := l.put(call, func(ctx context.Context, n int64) error {
			if n > int64(l.calls/2) {
				return after(ctx, slow, nil)
			}
			return after(ctx, usually(n), nil)
		})
		factor := float64(reached) / float64(l.calls)
		saw := fmt.Sprintf("%d, %s for each call", reached, number(factor))
		return fact{about, name, saw, factor <= amplified}
	})
}

func eachHedge(test func(string, caller) fact) (all []fact, err error) {
	for _, p := range hedgePeers() {
		call, closeIt, err := p.new()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, test(p.name, call))
		closeIt()
	}
	return all, nil
}
