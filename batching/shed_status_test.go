package batching_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

func TestWriteErrorOfTimeAndSize(t *testing.T) {
	for _, tt := range []struct {
		err    error
		status int
		reason string
		retry  int
	}{
		{&batching.ShedError{Estimate: time.Minute, RetryAfter: 2500 * time.Millisecond}, 503, `"shed"`, 3},
		{fmt.Errorf("SECRET: %w", &batching.ShedError{RetryAfter: time.Millisecond}), 503, `"shed"`, 1},
		{batching.ErrShed, 503, `"shed"`, 1},
		{batching.ErrBatchTimeout, 504, "", 0},
		{fmt.Errorf("SECRET: %w", batching.ErrBatchTimeout), 504, "", 0},
		{batching.ErrTooLarge, 413, "", 0},
		{fmt.Errorf("SECRET: %w", batching.ErrTooLarge), 413, "", 0},
	} {
		rec := httptest.NewRecorder()
		batching.WriteError(rec, httptest.NewRequestWithContext(context.Background(), http.MethodPost, "/", nil), tt.err)
		body := rec.Body.String()
		if rec.Code != tt.status || strings.Contains(body, "reason") != (tt.reason != "") || !strings.Contains(body, tt.reason) {
			t.Errorf("%v: %d %s", tt.err, rec.Code, body)
		}
		if strings.Contains(body, "SECRET") || strings.Contains(body, tt.err.Error()) {
			t.Errorf("the internal error reaches the client: %s", body)
		}
		checkRetryAfter(t, rec.Header().Get("Retry-After"), tt.retry)
	}
}

func TestErrorsOfTimeAndSizeStateWhetherToRetry(t *testing.T) {
	for _, tt := range []struct {
		err       error
		retryable bool
		delay     time.Duration
	}{
		{batching.ErrShed, true, time.Second},
		{&batching.ShedError{RetryAfter: time.Minute}, true, time.Minute},
		{batching.ErrBatchTimeout, false, 0},
		{batching.ErrTooLarge, false, 0},
	} {
		var stated interface {
			Retryable() bool
			RetryDelay() time.Duration
		}
		if !errors.As(fmt.Errorf("wrapped: %w", tt.err), &stated) {
			t.Errorf("%v does not state it", tt.err)
		} else if stated.Retryable() != tt.retryable || stated.RetryDelay() != tt.delay {
			t.Errorf("%v: Retryable %t, RetryDelay %v", tt.err, stated.Retryable(), stated.RetryDelay())
		}
		if !strings.HasPrefix(tt.err.Error(), "batching: ") {
			t.Errorf("%q lacks the package's name", tt.err)
		}
	}
	shed := error(&batching.ShedError{})
	for _, other := range []error{batching.ErrQueueFull, batching.ErrClosed, batching.ErrBatchTimeout, context.DeadlineExceeded} {
		if errors.Is(shed, other) || errors.Is(other, batching.ErrShed) {
			t.Errorf("%v and a *ShedError pass for each other", other)
		}
	}
}
