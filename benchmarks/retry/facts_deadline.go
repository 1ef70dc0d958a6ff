package retrybench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	shortDeadline = 50 * time.Millisecond
	longDelay     = time.Second
)

// deadlineFacts has a call fail whose next attempt could only come after its
// deadline.
func deadlineFacts() ([]fact, error) {
	about := fmt.Sprintf("A call with %v left whose first attempt fails at once, and whose next is due in %v: when its caller learns of it",
		shortDeadline, longDelay)
	var all []fact
	for _, p := range peers() {
		call, err := p.new(settings{attempts: 3, base: longDelay, fixed: true})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		took, attempts, err := hurried(call)
		saw := fmt.Sprintf("after %v, %d attempt; %s", took, attempts, told(err))
		all = append(all, fact{about, p.name, saw, took < shortDeadline && errors.Is(err, errDown)})
	}
	return all, nil
}

func hurried(call caller) (took time.Duration, attempts int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), shortDeadline)
	defer cancel()
	begin := time.Now()
	err = call(ctx, with(ctx, func(context.Context) error { attempts++; return errDown }), 1)
	return time.Since(begin), attempts, err
}

// told is what can be found in an error.
func told(err error) string {
	cause, deadline := errors.Is(err, errDown), errors.Is(err, context.DeadlineExceeded)
	switch {
	case cause && deadline:
		return "the error is the cause and the deadline"
	case cause:
		return "the error is the cause"
	case deadline:
		return "the error is the deadline, the cause is lost"
	default:
		return fmt.Sprintf("the error is neither the cause nor the deadline: %v", err)
	}
}
