package batching_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// otherError is some other package's, under the contract between packages.
type otherError struct {
	retryable bool
	delay     time.Duration
}

func (e otherError) Error() string             { return "SECRET: 10.0.0.7 is down" }
func (e otherError) Retryable() bool           { return e.retryable }
func (e otherError) RetryDelay() time.Duration { return e.delay }

func TestErrorsStateWhetherToRetry(t *testing.T) {
	for _, tt := range []struct {
		err       error
		retryable bool
		delay     time.Duration
	}{
		{batching.ErrQueueFull, true, time.Second},
		{batching.ErrClosed, true, time.Second},
		{batching.ErrNoResult, false, 0},
		{batching.ErrReentrant, false, 0},
		{&batching.PanicError{Value: 1}, false, 0},
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
}

func TestWriteError(t *testing.T) {
	alive := context.Background()
	gone, cancel := context.WithCancel(alive)
	cancel()
	tests := []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		reason string
		retry  int // Retry-After at least this, if not 0, and at most a quarter and a second more
	}{
		{"queue full", alive, batching.ErrQueueFull, 503, "queue-full", 1},
		{"queue full, wrapped", alive, fmt.Errorf("SECRET: %w", batching.ErrQueueFull), 503, "queue-full", 1},
		{"closed", alive, batching.ErrClosed, 503, "draining", 1},
		{"another package's, later", alive, otherError{true, 19500 * time.Millisecond}, 503, "unavailable", 20},
		{"another package's, at once", alive, otherError{true, 0}, 503, "unavailable", 1},
		{"another package's, never", alive, otherError{false, time.Hour}, 500, "", 0},
		{"deadline", alive, context.DeadlineExceeded, 504, "", 0},
		{"deadline of a client that left", gone, context.DeadlineExceeded, 504, "", 0},
		{"client left", gone, context.Canceled, 499, "", 0},
		{"somebody else canceled", alive, context.Canceled, 500, "", 0},
		{"no result", alive, batching.ErrNoResult, 500, "", 0},
		{"reentrant", alive, batching.ErrReentrant, 500, "", 0},
		{"panic", alive, &batching.PanicError{Value: "SECRET", Stack: []byte("SECRET")}, 500, "", 0},
		{"panic with an error", gone, &batching.PanicError{Value: context.Canceled}, 500, "", 0},
		{"item's own", alive, errors.New("SECRET"), 500, "", 0},
	}
	for _, tt := range tests {
		for _, method := range []string{http.MethodPost, http.MethodHead} {
			t.Run(tt.name+" "+method, func(t *testing.T) {
				rec := httptest.NewRecorder()
				batching.WriteError(rec, httptest.NewRequestWithContext(tt.ctx, method, "/", nil), tt.err)
				if rec.Code != tt.status {
					t.Errorf("status %d, want %d", rec.Code, tt.status)
				}
				var doc struct {
					Status         int
					Detail, Reason string
				}
				if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
					t.Fatal(err)
				}
				if doc.Status != tt.status || doc.Reason != tt.reason || doc.Detail == "" {
					t.Errorf("problem %+v", doc)
				}
				if strings.Contains(rec.Body.String(), "SECRET") || strings.Contains(rec.Body.String(), tt.err.Error()) {
					t.Errorf("the internal error reaches the client: %s", rec.Body)
				}
				checkRetryAfter(t, rec.Header().Get("Retry-After"), tt.retry)
			})
		}
	}
}

func checkRetryAfter(t *testing.T, got string, want int) {
	t.Helper()
	if want == 0 {
		if got != "" {
			t.Errorf("Retry-After %q, want none", got)
		}
		return
	}
	if s, err := strconv.Atoi(got); err != nil || s < want || s > want+want/4+1 {
		t.Errorf("Retry-After %q, want %d to %d", got, want, want+want/4+1)
	}
}
