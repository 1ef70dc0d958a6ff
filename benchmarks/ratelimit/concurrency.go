package limitbench

import (
	"context"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivelimiter"
	"github.com/failsafe-go/failsafe-go/bulkhead"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

const (
	tableConcurrency    = "concurrency"
	ballastTimed        = "ballast, adaptive"
	ballastBusy         = "ballast, adaptive, busy"
	ballastStatic       = "ballast, static"
	failsafeAdaptive    = "failsafe, adaptive"
	failsafeBulkhead    = "failsafe, bulkhead"
	failsafeBulkheadTry = "failsafe, bulkhead, Try"
)

// permits is how many may be out at most; one is.
const permits = 1000

func concurrencyTable() Table {
	return Table{
		Name: tableConcurrency, Title: "Concurrency: a permit taken and given back", Workers: 1, Batch: keysBatch,
		Contenders: []Contender{
			{Name: ballastTimed, Note: "times every call, as it does below 10,000 a second", Open: openBallastTimed},
			{Name: ballastBusy, Note: "times one call of sixteen, as it does above", Open: openBallastBusy},
			{Name: ballastStatic, Open: func() (Op, func(), error) {
				l, err := concurrency.New(concurrency.Config{Max: permits})
				return func(_, n int) error { return acquire(l, n) }, nil, err
			}},
			{Name: failsafeAdaptive, Note: "times every call", Open: openFailsafeAdaptive},
			{Name: failsafeBulkhead, Open: openFailsafeBulkhead},
			{Name: failsafeBulkheadTry, Note: "without a context", Open: openFailsafeBulkheadTry},
		},
	}
}

// acquire takes n permits, one after the other.
func acquire(l *concurrency.Limiter, n int) error {
	ctx := context.Background()
	for range n {
		p, err := l.Acquire(ctx)
		if err != nil {
			return err
		}
		p.Release()
	}
	return nil
}

func newAdaptive() (*concurrency.Limiter, error) {
	return concurrency.New(concurrency.Config{Max: permits, Adaptive: &concurrency.Adaptive{}})
}

// openBallastTimed has a new limiter every few milliseconds, and pauses before
// its first call: one that has seen for a tenth of a second how busy it is goes
// over to samples. The pause takes no CPU time.
func openBallastTimed() (Op, func(), error) {
	var l *concurrency.Limiter
	batches := 0
	return func(_, n int) (err error) {
		if batches%1000 == 0 {
			if l, err = newAdaptive(); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		batches++
		return acquire(l, n)
	}, nil, nil
}

func openBallastBusy() (Op, func(), error) {
	l, err := newAdaptive()
	if err != nil {
		return nil, nil, err
	}
	for begin := time.Now(); time.Since(begin) < 150*time.Millisecond; {
		if err := acquire(l, keysBatch); err != nil {
			return nil, nil, err
		}
	}
	return func(_, n int) error { return acquire(l, n) }, nil, nil
}

func openFailsafeAdaptive() (Op, func(), error) {
	l := adaptivelimiter.NewBuilder[any]().WithLimits(1, permits, 20).Build()
	ctx := context.Background()
	return func(_, n int) error {
		for range n {
			p, err := l.AcquirePermit(ctx)
			if err != nil {
				return err
			}
			p.Record()
		}
		return nil
	}, nil, nil
}

func openFailsafeBulkhead() (Op, func(), error) {
	l := bulkhead.New[any](permits)
	ctx := context.Background()
	return func(_, n int) error {
		for range n {
			if err := l.AcquirePermit(ctx); err != nil {
				return err
			}
			l.ReleasePermit()
		}
		return nil
	}, nil, nil
}

func openFailsafeBulkheadTry() (Op, func(), error) {
	l := bulkhead.New[any](permits)
	return func(_, n int) error {
		for range n {
			if !l.TryAcquirePermit() {
				return errDenied
			}
			l.ReleasePermit()
		}
		return nil
	}, nil, nil
}
