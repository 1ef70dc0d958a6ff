package breakerprom_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakerprom"
)

var errBroken = errors.New("broken")

// call makes a call that ends with err, and returns what became of it.
func call(t *testing.T, b *breaker.Breaker, err error) error {
	return b.Do(t.Context(), func(context.Context) error { return err })
}

// What the callers of a real breaker saw is what Prometheus sees.
func TestBreaker(t *testing.T) {
	b, err := breaker.New(breaker.Config{Name: "payments", ConsecutiveFailures: 3})
	if err != nil {
		t.Fatal(err)
	}
	r := registryOf(t, breakerprom.NewCollector(b))
	late, err := b.Allow()
	if err != nil {
		t.Fatal(err)
	}
	successes, failures, ignored, rejected := 0.0, 0.0, 0.0, 0.0
	for _, outcome := range []error{nil, nil, context.Canceled, errBroken, errBroken, errBroken, nil, nil, nil, nil} {
		switch err := call(t, b, outcome); {
		case errors.Is(err, breaker.ErrOpen):
			rejected++
		case err == nil:
			successes++
		case errors.Is(err, context.Canceled):
			ignored++
		default:
			failures++
		}
	}
	late.Done(breaker.Success)
	if successes != 2 || ignored != 1 || failures != 3 || rejected != 4 {
		t.Fatalf("%v succeeded, %v were ignored, %v failed, %v rejected", successes, ignored, failures, rejected)
	}
	want(t, r, map[string]float64{
		`breaker_calls_total{breaker="payments",key="",outcome="success"}`: successes,
		`breaker_calls_total{breaker="payments",key="",outcome="failure"}`: failures,
		`breaker_calls_total{breaker="payments",key="",outcome="ignored"}`: ignored,
		`breaker_calls_total{breaker="payments",key="",outcome="late"}`:    1,
		`breaker_rejected_total{breaker="payments",key=""}`:                rejected,
		`breaker_opened_total{breaker="payments",key=""}`:                  1,
		`breaker_share_ratio{breaker="payments",key=""}`:                   0,
		`breaker_state{breaker="payments",key="",state="open"}`:            1,
		`breaker_state{breaker="payments",key="",state="closed"}`:          0,
	})
	b.ForceClosed()
	want(t, r, map[string]float64{
		`breaker_share_ratio{breaker="payments",key=""}`:                 1,
		`breaker_retry_after_seconds{breaker="payments",key=""}`:         0,
		`breaker_state{breaker="payments",key="",state="open"}`:          0,
		`breaker_state{breaker="payments",key="",state="forced_closed"}`: 1,
	})
}
