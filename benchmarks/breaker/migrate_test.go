package breakbench

// Coming from another breaker: the same small client before and after. These
// examples are compiled and run, so they cannot rot.

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/ballast-go/ballast/breaker"
)

// From github.com/sony/gobreaker/v2.
//
//	NewCircuitBreaker[T](Settings)      New(Config), which says what is wrong with it; the type is Call's
//	Execute(func() (T, error))          Call(ctx, b, func(ctx) (T, error)), or Do without a value
//	ErrOpenState, ErrTooManyRequests    ErrOpen: *OpenError with RetryAfter
//	ReadyToTrip: n failures in a row    Config.ConsecutiveFailures: n, in the order in which calls end
//	ReadyToTrip: a rate of Counts       Config.FailureRate and MinCalls, over a window that slides;
//	                                       asked without a copy of the counts, and without your function under a lock
//	ReadyToTrip: nil, 6 in a row        20 in a row, or half of 20 calls and more in 10 s: six in a row come by chance
//	                                       where a third fails
//	Interval, BucketPeriod              Config.Window, in 64 parts; Interval 0, counts for ever, has no like
//	Timeout: 60 s, always               Config.OpenFor: 5 s, from half of it on, and doubled each time up to MaxOpenFor
//	MaxRequests                         Config.Probes; one that never reports is failed after Config.ProbeTTL
//	StateHalfOpen, then all at once     HalfOpen, then Recovering: twice the load a step
//	IsSuccessful, IsExcluded            Config.Classify: Success, Failure or Ignore;
//	                                       that a caller has canceled its context is Ignore without either
//	OnStateChange(name, from, to)       Config.OnStateChange(from, to), which may use the breaker
//	NewTwoStepCircuitBreaker            the same Breaker
//	done, err := Allow(); done(err)     permit, err := Allow(); permit.Done(outcome), as often as you like
//	Counts()                            Stats()
//	a map of breakers by host           Group
//	NewDistributedCircuitBreaker        none: each process sees for itself
func Example_fromGobreaker() {
	calls := 0
	fetch := func(context.Context) (string, error) {
		calls++
		return "", errors.New("backend: down")
	}
	ctx := context.Background()

	// Before.
	old := gobreaker.NewCircuitBreaker[string](gobreaker.Settings{
		Name:        "backend",
		Timeout:     time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 3 },
		OnStateChange: func(name string, from, to gobreaker.State) {
			fmt.Println(name, from, "to", to)
		},
	})
	for range 5 {
		_, err := old.Execute(func() (string, error) { return fetch(ctx) })
		fmt.Println(err, errors.Is(err, gobreaker.ErrOpenState))
	}
	fmt.Println(calls, "calls")

	// After.
	calls = 0
	b, err := breaker.New(breaker.Config{
		Name:                "backend",
		OpenFor:             time.Second,
		ConsecutiveFailures: 3,
		OnStateChange:       func(from, to breaker.State) { fmt.Println("backend", from, "to", to) },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 5 {
		_, err := breaker.Call(ctx, b, fetch)
		var open *breaker.OpenError
		fmt.Println(errors.As(err, &open), errors.Is(err, breaker.ErrOpen))
	}
	fmt.Println(calls, "calls")

	// Output:
	// backend: down false
	// backend: down false
	// backend closed to open
	// backend: down false
	// circuit breaker is open true
	// circuit breaker is open true
	// 3 calls
	// false false
	// false false
	// backend closed to open
	// false false
	// true true
	// true true
	// 3 calls
}

// Of gobreaker's rate of failures, and of errors that do not count.
func Example_fromGobreaker_rate() {
	errNotFound := errors.New("not found")
	results := []error{nil, errNotFound, errors.New("down"), nil, errors.New("down"), errors.New("down"), nil}

	// Before.
	old := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{
		Interval: 10 * time.Second, BucketPeriod: time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= 4 && float64(c.TotalFailures)/float64(c.Requests) >= 0.5
		},
		IsSuccessful: func(err error) bool { return err == nil || errors.Is(err, errNotFound) },
	})
	var states []string
	for _, err := range results {
		_, _ = old.Execute(func() (struct{}, error) { return struct{}{}, err })
		states = append(states, old.State().String())
	}
	fmt.Println(states)

	// After.
	b, err := breaker.New(breaker.Config{
		Window: 10 * time.Second, MinCalls: 4, FailureRate: 0.5,
		Classify: func(err error) breaker.Outcome {
			if errors.Is(err, errNotFound) {
				return breaker.Success
			}
			return breaker.Failure
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	states = nil
	for _, err := range results {
		_ = b.Do(context.Background(), func(context.Context) error { return err })
		states = append(states, b.State().String())
	}
	fmt.Println(states)

	// Output:
	// [closed closed closed closed closed open open]
	// [closed closed closed closed closed open open]
}

// Of gobreaker's two steps. Whoever forgets done in the half-open state has a
// breaker that lets nothing through any more; a permit expires.
func Example_fromGobreaker_twoSteps() {
	// Before.
	old := gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 2 },
	})
	for range 3 {
		done, err := old.Allow()
		if err != nil {
			fmt.Println(err)
			continue
		}
		done(errors.New("down"))
	}

	// After.
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		permit, err := b.Allow()
		if err != nil {
			fmt.Println(errors.Is(err, breaker.ErrOpen))
			continue
		}
		permit.Done(breaker.Failure)
	}

	// Output:
	// circuit breaker is open
	// true
}

// Of the HTTP client in gobreaker's README, which takes a 500 for a success.
func Example_fromGobreaker_http() {
	reached := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		reached++
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()

	// Before.
	old := gobreaker.NewCircuitBreaker[[]byte](gobreaker.Settings{
		ReadyToTrip: func(c gobreaker.Counts) bool { return c.ConsecutiveFailures >= 2 },
	})
	get := func(url string) ([]byte, error) {
		return old.Execute(func() ([]byte, error) {
			resp, err := http.Get(url)
			if err != nil {
				return nil, err
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode >= 500 { // what the README leaves out
				return nil, errors.New(resp.Status)
			}
			return io.ReadAll(resp.Body)
		})
	}
	for range 4 {
		_, _ = get(server.URL)
	}
	fmt.Println(reached, "requests")

	// After: what is read is judged as well, and no code but the client's changes.
	reached = 0
	b, err := breaker.New(breaker.Config{ConsecutiveFailures: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: breaker.NewTransport(nil, b, breaker.TransportConfig{})}
	for range 4 {
		resp, err := client.Get(server.URL)
		if err != nil {
			fmt.Println(errors.Is(err, breaker.ErrOpen))
			continue
		}
		_ = resp.Body.Close()
	}
	fmt.Println(reached, "requests")

	// Output:
	// 2 requests
	// true
	// true
	// 2 requests
}
