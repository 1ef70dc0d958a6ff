package breaker_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/ballast-go/ballast/breaker"
)

func Example() {
	b, err := breaker.New(breaker.Config{Name: "model", ConsecutiveFailures: 2})
	if err != nil {
		panic(err)
	}
	generate := func(context.Context) (string, error) { return "", errors.New("connection refused") }
	for range 3 {
		_, err := breaker.Call(context.Background(), b, generate)
		fmt.Println(errors.Is(err, breaker.ErrOpen), b.State())
	}
	// Output:
	// false closed
	// false open
	// true open
}

// A stream is judged by how it ends, but what is slow is its beginning.
func ExamplePermit_FirstByte() {
	b, err := breaker.New(breaker.Config{Name: "model"})
	if err != nil {
		panic(err)
	}
	stream := func(tokens <-chan string) error {
		permit, err := b.Allow()
		if err != nil {
			return err
		}
		outcome := breaker.Failure // unless the end is reached: a panic is one, too
		defer func() { permit.Done(outcome) }()
		for token := range tokens {
			permit.FirstByte()
			if token == "[DONE]" {
				outcome = breaker.Success
				return nil
			}
		}
		return errors.New("the stream was cut")
	}
	tokens := make(chan string, 2)
	tokens <- "Hello"
	tokens <- "[DONE]"
	fmt.Println(stream(tokens), b.Stats().Successes)
	close(tokens)
	fmt.Println(stream(tokens), b.Stats().Failures)
	// Output:
	// <nil> 1
	// the stream was cut 1
}

// A permit that is not reported on every way out loses a call: of three probes that
// are lost, the breaker hears nothing until their time is over, and it stays open.
func ExampleBreaker_Allow_incorrect() {
	b, err := breaker.New(breaker.Config{Name: "model"})
	if err != nil {
		panic(err)
	}
	_ = func(call func() error) error {
		permit, err := b.Allow()
		if err != nil {
			return err
		}
		if err := call(); err != nil { // a panic of call leaves the permit behind
			return err // and so does this
		}
		permit.Done(breaker.Success)
		return nil
	}
	// Use Do, or report in a defer.
	fmt.Println(b.Do(context.Background(), func(context.Context) error { return nil }))
	// Output: <nil>
}
