package breaker_test

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

	"github.com/ballast-go/ballast/breaker"
)

// otherError is some other package's, under the contract between packages.
type otherError struct {
	retryable bool
	delay     time.Duration
}

func (e otherError) Error() string             { return "SECRET: 10.0.0.7 is down" }
func (e otherError) Retryable() bool           { return e.retryable }
func (e otherError) RetryDelay() time.Duration { return e.delay }

func TestWriteError(t *testing.T) {
	alive := context.Background()
	gone, cancel := context.WithCancel(alive)
	cancel()
	open := &breaker.OpenError{Name: "SECRET", RetryAfter: 19500 * time.Millisecond}
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		reason string
		retry  int // Retry-After at least this, if not 0, and at most a quarter and a second more
	}{
		{"open", alive, open, 503, "breaker-open", 20},
		{"open, wrapped", alive, fmt.Errorf("SECRET: %w", open), 503, "breaker-open", 20},
		{"open for a moment", alive, &breaker.OpenError{RetryAfter: time.Millisecond}, 503, "breaker-open", 1},
		{"the sentinel", alive, breaker.ErrOpen, 503, "breaker-open", 1},
		{"all of a fallback's", alive, errors.Join(open, context.DeadlineExceeded), 503, "breaker-open", 20},
		{"another package's, later", alive, otherError{true, 19500 * time.Millisecond}, 503, "unavailable", 20},
		{"another package's, never", alive, otherError{false, time.Hour}, 500, "", 0},
		{"deadline", alive, context.DeadlineExceeded, 504, "", 0},
		{"client left", gone, context.Canceled, 499, "", 0},
		{"somebody else canceled", alive, context.Canceled, 500, "", 0},
		{"any other", alive, errors.New("SECRET"), 500, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			breaker.WriteError(rec, httptest.NewRequestWithContext(tt.ctx, "POST", "/", nil), tt.err)
			var doc struct {
				Status         int
				Detail, Reason string
			}
			if err := json.Unmarshal(rec.Body.Bytes(), &doc); err != nil {
				t.Fatal(err)
			}
			if rec.Code != tt.status || doc.Status != tt.status || doc.Reason != tt.reason || doc.Detail == "" {
				t.Errorf("status %d, problem %+v", rec.Code, doc)
			}
			if strings.Contains(rec.Body.String(), "SECRET") || strings.Contains(rec.Body.String(), tt.err.Error()) {
				t.Errorf("the internal error reaches the client: %s", rec.Body)
			}
			got := rec.Header().Get("Retry-After")
			if tt.retry == 0 {
				if got != "" {
					t.Errorf("Retry-After %q", got)
				}
			} else if s, err := strconv.Atoi(got); err != nil || s < tt.retry || s > tt.retry+tt.retry/4+1 {
				t.Errorf("Retry-After %q, want %d or a little more", got, tt.retry)
			}
		})
	}
}

// A service whose backend's breaker is open does not fail by itself: its own
// breaker, which would turn everybody away, stays out of that.
func TestWriteErrorOfABackendIsARefusal(t *testing.T) {
	backend, service := breakerOf(t, breaker.Config{}), breakerOf(t, breaker.Config{})
	backend.ForceOpen()
	h := breaker.Middleware(service, breaker.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := backend.Do(r.Context(), func(context.Context) error { return nil })
		breaker.WriteError(w, r, err)
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != 503 {
		t.Errorf("status %d", rec.Code)
	}
	wantOutcome(t, service, "ignore")
}
