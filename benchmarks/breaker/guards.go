package breakbench

import (
	"context"
	"errors"
	"time"

	"github.com/failsafe-go/failsafe-go/adaptivethrottler"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/go-kratos/aegis/circuitbreaker/sre"
	"github.com/sony/gobreaker/v2"
	zero "github.com/zeromicro/go-zero/core/breaker"

	"github.com/ballast-go/ballast/breaker"
)

// A guard makes a call through a breaker, or does not.
type guard func(ctx context.Context, fn func(context.Context) error) error

// A guardMaker makes breakers, one for each of n replicas, or one for all.
// opened is told when they open, if they are of the kind that does.
type guardMaker struct {
	name, note string
	opens      bool // it has such a state
	make       func(n int, s settings, opened func(replica int)) []guard
}

// The contenders in simulations.
const (
	oursFixed      = "ballast, MaxOpenFor 1 s"
	failsafeName   = "failsafe"
	throttlerName  = "failsafe throttler"
	gobreakerName  = "gobreaker"
	gobreakerRate  = "gobreaker by rate"
	goZeroName     = "go-zero"
	aegisName      = "aegis"
	noBreaker      = "no breaker"
	probesAndCalls = 3 // let through half open, and wanted to succeed
	minCalls       = 20
	window         = 10 * time.Second
)

// guardMakers are all that are simulated.
func guardMakers() []guardMaker {
	return []guardMaker{
		{Ours, "defaults: open time from 1 s up, by a quarter each time", true, ballastGuards(0)},
		{oursFixed, "open times as the peers'", true, ballastGuards(time.Second)},
		{failsafeName, "50 % of 20 in 10 s, delay 1 s, 3 successes", true, failsafeGuards},
		{gobreakerName, "default: 6 in a row; timeout 1 s, 3 requests", true, gobreakerGuards(false)},
		{gobreakerRate, "50 % of 20 in 10 s; timeout 1 s, 3 requests", true, gobreakerGuards(true)},
		{goZeroName, "no settings", false, each(goZeroGuard)},
		{aegisName, "defaults, used as kratos does", false, each(aegisGuard)},
		{throttlerName, "50 % of 20 in 10 s, at most 90 % rejected (default)", false, each(throttlerGuard)},
		{noBreaker, "", false, each(func(settings) guard {
			return func(ctx context.Context, fn func(context.Context) error) error { return fn(ctx) }
		})},
	}
}

// each makes breakers that have no state to tell.
func each(one func(settings) guard) func(int, settings, func(int)) []guard {
	return func(n int, s settings, _ func(int)) (all []guard) {
		for range n {
			all = append(all, one(s))
		}
		return all
	}
}

// ballastGuards are of one breaker, or of a Group for several.
func ballastGuards(maxOpenFor time.Duration) func(int, settings, func(int)) []guard {
	return func(n int, s settings, opened func(int)) (all []guard) {
		tell := func(replica int, to breaker.State) {
			if to == breaker.Open {
				opened(replica)
			}
		}
		cfg := breaker.Config{OpenFor: s.openFor, MaxOpenFor: maxOpenFor, FailureRate: s.rate, SlowAfter: s.slowAfter}
		if n == 1 {
			cfg.OnStateChange = func(_, to breaker.State) { tell(0, to) }
			return []guard{must(breaker.New(cfg)).Do}
		}
		group := must(breaker.NewGroup(breaker.GroupConfig[int]{
			Breaker: cfg, OnStateChange: func(key int, _, to breaker.State) { tell(key, to) },
		}))
		for i := range n {
			all = append(all, func(ctx context.Context, fn func(context.Context) error) error {
				return group.Get(i).Do(ctx, fn)
			})
		}
		return all
	}
}

func failsafeGuards(n int, s settings, opened func(int)) (all []guard) {
	for i := range n {
		b := circuitbreaker.NewBuilder[any]().WithFailureRateThreshold(s.rate, minCalls, window).
			WithDelay(s.openFor).WithSuccessThreshold(probesAndCalls).
			OnOpen(func(circuitbreaker.StateChangedEvent) { opened(i) }).Build()
		all = append(all, func(ctx context.Context, fn func(context.Context) error) error {
			if !b.TryAcquirePermit() {
				return circuitbreaker.ErrOpen
			}
			err := fn(ctx)
			b.RecordError(err)
			return err
		})
	}
	return all
}

func gobreakerGuards(byRate bool) func(int, settings, func(int)) []guard {
	return func(n int, s settings, opened func(int)) (all []guard) {
		for i := range n {
			set := gobreaker.Settings{MaxRequests: probesAndCalls, Timeout: s.openFor, OnStateChange: func(_ string, _, to gobreaker.State) {
				if to == gobreaker.StateOpen {
					opened(i)
				}
			}}
			if byRate {
				set.Interval, set.BucketPeriod = window, window/10
				set.ReadyToTrip = func(c gobreaker.Counts) bool {
					return c.Requests >= minCalls && float64(c.TotalFailures) >= s.rate*float64(c.Requests)
				}
			}
			b := gobreaker.NewCircuitBreaker[struct{}](set)
			all = append(all, func(ctx context.Context, fn func(context.Context) error) error {
				_, err := b.Execute(func() (struct{}, error) { return struct{}{}, fn(ctx) })
				return err
			})
		}
		return all
	}
}

func goZeroGuard(settings) guard {
	b := zero.NewBreaker()
	return func(ctx context.Context, fn func(context.Context) error) error {
		return b.DoCtx(ctx, func() error { return fn(ctx) })
	}
}

// aegisGuard counts a call that it turns away as failed, as kratos's middleware
// does: "continue to add counter let the drop ratio higher".
func aegisGuard(settings) guard {
	b := sre.NewBreaker()
	return func(ctx context.Context, fn func(context.Context) error) error {
		if err := b.Allow(); err != nil {
			b.MarkFailed()
			return err
		}
		err := fn(ctx)
		if err != nil {
			b.MarkFailed()
		} else {
			b.MarkSuccess()
		}
		return err
	}
}

var errThrottled = errors.New("throttled")

func throttlerGuard(s settings) guard {
	b := adaptivethrottler.NewBuilder[any]().WithFailureRateThreshold(s.rate, minCalls, window).Build()
	return func(ctx context.Context, fn func(context.Context) error) error {
		if !b.TryAcquirePermit() {
			return errThrottled
		}
		err := fn(ctx)
		if err != nil {
			b.RecordError(err)
		} else {
			b.RecordSuccess()
		}
		return err
	}
}

// must is for settings that are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
