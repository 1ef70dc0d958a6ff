package breakbench

import (
	"context"
	"errors"
	"time"

	"github.com/afex/hystrix-go/hystrix"
	"github.com/failsafe-go/failsafe-go"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	"github.com/sony/gobreaker/v2"
	zero "github.com/zeromicro/go-zero/core/breaker"

	"github.com/ballast-go/ballast/breaker"
)

// The tables.
const (
	tableClock   = "clock"
	tableTwoStep = "two-step"
	tableDo      = "do"
	tableDoBoth  = "do, two cores"
)

// The contenders of the tables.
const (
	timeSince     = "time.Since"
	ballastSlow   = "ballast, slow-call rate"
	standalone    = "failsafe standalone"
	executor      = "failsafe executor"
	gobreakerCall = "gobreaker"
	hystrixName   = "hystrix-go"
)

// errTurnedAway ends a measurement: everything is let through in it.
var errTurnedAway = errors.New("a call was turned away")

// tables are all that is timed: calls that succeed.
func tables() []Table {
	return []Table{
		{Name: tableClock, Title: "Reading the clock", Workers: 1, Batch: 256, Contenders: []Contender{{
			Name: timeSince, Note: "monotonic", Open: func() (Op, error) {
				begin, last := time.Now(), time.Duration(0)
				return loop(func() error { last = time.Since(begin); _ = last; return nil }), nil
			}}}},
		{Name: tableTwoStep, Title: "Asking before a call, and telling how it ended", Workers: 1, Batch: 256, Contenders: twoSteps()},
		{Name: tableDo, Title: "A function that does nothing, called through a breaker", Workers: 1, Batch: 64, Contenders: dos()},
		{Name: tableDoBoth, Title: "The same from two goroutines at once", Workers: 2, Batch: 64, Contenders: dos()},
	}
}

// loop does one operation after the other, until one fails.
func loop(do func() error) Op {
	return func(_, n int) error {
		for range n {
			if err := do(); err != nil {
				return err
			}
		}
		return nil
	}
}

func twoSteps() []Contender {
	return []Contender{
		{Name: Ours, Note: "AllowAt, DoneAt: the time is given; window of 10 s", Open: ballastTwoStep},
		{Name: standalone, Note: "TryAcquirePermit, RecordSuccess; window of 10 s", Open: func() (Op, error) {
			b := newFailsafe()
			return loop(func() error {
				if !b.TryAcquirePermit() {
					return errTurnedAway
				}
				b.RecordSuccess()
				return nil
			}), nil
		}},
		{Name: gobreakerCall, Note: "TwoStepCircuitBreaker; buckets of 1 s in 10 s", Open: func() (Op, error) {
			b := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreakerSettings())
			return loop(func() error {
				done, err := b.Allow()
				if err == nil {
					done(nil)
				}
				return err
			}), nil
		}},
		{Name: goZeroName, Note: "Allow, Accept", Open: func() (Op, error) {
			b := zero.NewBreaker()
			return loop(func() error {
				p, err := b.Allow()
				if err == nil {
					p.Accept()
				}
				return err
			}), nil
		}},
		{Name: aegisName, Note: "Allow, MarkSuccess", Open: func() (Op, error) {
			b := sre.NewBreaker()
			return loop(func() error {
				err := b.Allow()
				b.MarkSuccess()
				return err
			}), nil
		}},
	}
}

// together is how many calls in a row have one time.
const together = 64

// ballastTwoStep is given times that are 3 µs apart in the mean: a caller that has
// read the clock already.
func ballastTwoStep() (Op, error) {
	b, err := breaker.New(breaker.Config{})
	begin := time.Now()
	return func(_, n int) error {
		t := begin
		defer func() { begin = t }()
		for i := range n {
			if i%together == 0 {
				t = t.Add(together * 3 * time.Microsecond)
			}
			p, err := b.AllowAt(t)
			if err != nil {
				return err
			}
			p.DoneAt(t, breaker.Success)
		}
		return nil
	}, err
}

func newFailsafe() circuitbreaker.CircuitBreaker[any] {
	return circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(0.5, minCalls, window).Build()
}

func gobreakerSettings() gobreaker.Settings {
	return gobreaker.Settings{Interval: window, BucketPeriod: window / 10}
}

// Of what is called.
func nothing() error                    { return nil }
func nothingWith(context.Context) error { return nil }
func nothingAtAll() (struct{}, error)   { return struct{}{}, nil }

func ballastDo(cfg breaker.Config) (Op, error) {
	b, err := breaker.New(cfg)
	ctx := context.Background()
	return loop(func() error { return b.Do(ctx, nothingWith) }), err
}

func dos() []Contender {
	ctx := context.Background()
	return []Contender{
		{Name: Ours, Note: "Do; failure rate over 10 s, failures in a row", Open: func() (Op, error) {
			return ballastDo(breaker.Config{})
		}},
		{Name: ballastSlow, Note: "Do; slow-call rate as well, with SlowAfter: 1 s", Open: func() (Op, error) {
			return ballastDo(breaker.Config{SlowAfter: time.Second})
		}},
		{Name: standalone, Note: "TryAcquirePermit, the call, RecordError; it knows no slow calls", Open: func() (Op, error) {
			b := newFailsafe()
			return loop(func() error {
				if !b.TryAcquirePermit() {
					return errTurnedAway
				}
				err := nothing()
				b.RecordError(err)
				return err
			}), nil
		}},
		{Name: executor, Note: "failsafe.With(…).Run", Open: func() (Op, error) {
			e := failsafe.With[any](newFailsafe())
			return loop(func() error { return e.Run(nothing) }), nil
		}},
		{Name: gobreakerCall, Note: "Execute; buckets of 1 s in 10 s", Open: func() (Op, error) {
			b := gobreaker.NewCircuitBreaker[struct{}](gobreakerSettings())
			return loop(func() error { _, err := b.Execute(nothingAtAll); return err }), nil
		}},
		{Name: goZeroName, Note: "DoCtx", Open: func() (Op, error) {
			b := zero.NewBreaker()
			return loop(func() error { return b.DoCtx(ctx, nothing) }), nil
		}},
		{Name: aegisName, Note: "Allow, the call, MarkSuccess", Open: func() (Op, error) {
			g := aegisGuard(usual)
			return loop(func() error { return g(ctx, nothingWith) }), nil
		}},
		{Name: hystrixName, Note: "Do: in a goroutine of its own", Open: func() (Op, error) {
			// A ticket comes back after the call has: 100 are too few for one caller.
			hystrix.ConfigureCommand(hystrixName, hystrix.CommandConfig{MaxConcurrentRequests: 100_000})
			return loop(func() error { return hystrix.Do(hystrixName, nothing, nil) }), nil
		}},
	}
}
