package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func TestPermanentAndAfter(t *testing.T) {
	if retry.Permanent(nil) != nil || retry.After(time.Second, nil) != nil {
		t.Error("nil is not nil any more")
	}
	cause := fmt.Errorf("read: %w", io.ErrUnexpectedEOF)
	for name, test := range map[string]struct {
		err       error
		retryable bool
		delay     time.Duration
	}{
		"permanent":             {retry.Permanent(cause), false, 0},
		"after":                 {retry.After(time.Second, cause), true, time.Second},
		"after less than 0":     {retry.After(-1, cause), true, 0},
		"permanent, after":      {retry.Permanent(retry.After(time.Second, cause)), false, time.Second},
		"after, permanent":      {retry.After(time.Second, retry.Permanent(cause)), true, time.Second},
		"permanent, in another": {fmt.Errorf("%w", retry.Permanent(cause)), false, 0},
	} {
		if !errors.Is(test.err, io.ErrUnexpectedEOF) || test.err.Error() != cause.Error() {
			t.Errorf("%s: %v", name, test.err)
		}
		says, _ := errors.AsType[interface {
			error
			Retryable() bool
		}](test.err)
		if says.Retryable() != test.retryable {
			t.Errorf("%s: retryable: %v", name, says.Retryable())
		}
		if says, ok := errors.AsType[interface {
			error
			RetryDelay() time.Duration
		}](test.err); ok && says.RetryDelay() != test.delay {
			t.Errorf("%s: delay %v", name, says.RetryDelay())
		}
		if e := (&retry.Error{Causes: []error{io.EOF, test.err}}); e.RetryDelay() != test.delay {
			t.Errorf("%s: delay %v", name, e.RetryDelay())
		}
	}
}

func TestError(t *testing.T) {
	for _, test := range []struct {
		err  retry.Error
		text string
	}{
		{retry.Error{Attempts: 3, Why: retry.ErrExhausted, Causes: []error{io.EOF, errFlaky}},
			"retry: all attempts failed (attempts: 3): not now"},
		{retry.Error{Name: "models", Attempts: 1, Why: context.DeadlineExceeded, Causes: []error{errFlaky}},
			`retry: context deadline exceeded ("models", attempts: 1): not now`},
		{retry.Error{Attempts: 1, Why: retry.ErrBudget}, "retry: no budget left for another attempt (attempts: 1)"},
		{retry.Error{}, "retry: <nil> (attempts: 0)"},
		{retry.Error{Attempts: 1, Why: retry.ErrBudget, Causes: []error{nil}},
			"retry: no budget left for another attempt (attempts: 1): <nil>"},
	} {
		if got := test.err.Error(); got != test.text {
			t.Errorf("%s\nwant %s", got, test.text)
		}
		if test.err.RetryDelay() != 0 || test.err.Retryable() || errors.Is(&test.err, io.ErrNoProgress) {
			t.Errorf("%s: RetryDelay %v, Retryable %v", test.text, test.err.RetryDelay(), test.err.Retryable())
		}
		for _, cause := range test.err.Causes {
			if cause != nil && !errors.Is(&test.err, cause) {
				t.Errorf("%s: is not its cause %v", test.text, cause)
			}
		}
	}
}

// Whoever sees the end of an attempt must be able to tell it from a caller who left.
func TestErrAttemptTimeout(t *testing.T) {
	err := retry.ErrAttemptTimeout
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || !ok || !timeout.Timeout() {
		t.Errorf("%v: want a timeout that is context.DeadlineExceeded", err)
	}
}
