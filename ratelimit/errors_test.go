package ratelimit_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

func TestLimitedError(t *testing.T) {
	for _, tt := range []struct {
		d         ratelimit.Decision
		text      string
		retryable bool
		delay     time.Duration
	}{
		{ratelimit.Decision{RetryAfter: time.Second}, "ratelimit: over the limit for 1s", true, time.Second},
		{ratelimit.Decision{RetryAfter: time.Second, Rule: "tokens"}, `ratelimit: over the limit "tokens" for 1s`, true, time.Second},
		{ratelimit.Decision{RetryAfter: rate.InfDuration, Rule: "tokens"}, `ratelimit: more than the limit "tokens" allows at once`, false, 0},
	} {
		err := fmt.Errorf("wrapped: %w", &ratelimit.LimitedError{Decision: tt.d})
		if !errors.Is(err, ratelimit.ErrLimited) || errors.Is(err, ratelimit.ErrCost) {
			t.Errorf("%v is the wrong thing", err)
		}
		limited, ok := errors.AsType[*ratelimit.LimitedError](err)
		if !ok || limited.Decision != tt.d {
			t.Fatalf("%v has lost its decision", err)
		}
		if limited.Error() != tt.text || limited.Retryable() != tt.retryable || limited.RetryDelay() != tt.delay {
			t.Errorf("%q, %v, %v", limited.Error(), limited.Retryable(), limited.RetryDelay())
		}
	}
}
