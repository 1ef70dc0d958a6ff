package concurrency_test

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

	"github.com/ballast-go/ballast/ratelimit/concurrency"
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
	for err, want := range map[error]time.Duration{
		concurrency.ErrQueueFull: time.Second,
		concurrency.ErrShed:      time.Second,
		concurrency.ErrTimeout:   time.Second,
		concurrency.ErrTooLarge:  0,
	} {
		var stated interface {
			Retryable() bool
			RetryDelay() time.Duration
		}
		if !errors.As(fmt.Errorf("wrapped: %w", err), &stated) {
			t.Errorf("%v does not state it", err)
		} else if stated.Retryable() != (want > 0) || stated.RetryDelay() != want {
			t.Errorf("%v: Retryable %t, RetryDelay %v", err, stated.Retryable(), stated.RetryDelay())
		}
		if !strings.HasPrefix(err.Error(), "concurrency: ") {
			t.Errorf("%q lacks the package's name", err)
		}
	}
}

func TestWriteError(t *testing.T) {
	alive := context.Background()
	gone, cancel := context.WithCancel(alive)
	cancel()
	for _, tt := range []struct {
		name   string
		ctx    context.Context
		err    error
		status int
		reason string
		retry  int // Retry-After at least this, if not 0, and at most a quarter and a second more
	}{
		{"queue full", alive, concurrency.ErrQueueFull, 503, "queue-full", 1},
		{"shed, wrapped", alive, fmt.Errorf("SECRET: %w", concurrency.ErrShed), 503, "shed", 1},
		{"waited in vain", alive, concurrency.ErrTimeout, 503, "queue-timeout", 1},
		{"too large", alive, concurrency.ErrTooLarge, 413, "", 0},
		{"another package's, later", alive, otherError{true, 19500 * time.Millisecond}, 503, "unavailable", 20},
		{"another package's, never", alive, otherError{false, time.Hour}, 500, "", 0},
		{"deadline", alive, context.DeadlineExceeded, 504, "", 0},
		{"client left", gone, context.Canceled, 499, "", 0},
		{"somebody else canceled", alive, context.Canceled, 500, "", 0},
		{"any other", alive, errors.New("SECRET"), 500, "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			rec := httptest.NewRecorder()
			concurrency.WriteError(rec, httptest.NewRequestWithContext(tt.ctx, "POST", "/", nil), tt.err)
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

// unread fails the test if anybody reads it.
type unread struct{ t *testing.T }

func (u unread) Read([]byte) (int, error) {
	u.t.Error("the body was read")
	return 0, errors.New("read")
}

func TestRefusedBeforeTheBodyIsRead(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1, MaxBytes: 100})
	mustAcquire(t, l)
	h := concurrency.Middleware(l, concurrency.MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("it got in")
	}))
	for _, length := range []int64{-1, 0, 10} {
		r := httptest.NewRequest("POST", "/", unread{t})
		r.ContentLength = length
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, r)
		if rec.Code != 503 || !strings.Contains(rec.Body.String(), `"queue-full"`) {
			t.Errorf("%d %s", rec.Code, rec.Body)
		}
	}
	r := httptest.NewRequest("POST", "/", unread{t})
	r.ContentLength = 101
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	if rec.Code != 413 || l.Stats().Classes[1].TooLarge != 1 {
		t.Errorf("too large: %d", rec.Code)
	}
}

func TestDeny(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	mustAcquire(t, l)
	var got error
	h := concurrency.Middleware(l, concurrency.MiddlewareConfig{
		Deny: func(w http.ResponseWriter, _ *http.Request, err error) {
			got = err
			w.WriteHeader(http.StatusTeapot)
		},
	})(http.NotFoundHandler())
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
	if rec.Code != http.StatusTeapot || !errors.Is(got, concurrency.ErrQueueFull) {
		t.Errorf("%d, %v", rec.Code, got)
	}
}

func TestMiddlewarePanicsWhenBuilt(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	for name, build := range map[string]func(){
		"nil limiter":      func() { concurrency.Middleware(nil, concurrency.MiddlewareConfig{}) },
		"negative body":    func() { concurrency.Middleware(l, concurrency.MiddlewareConfig{MaxBodyBytes: -1}) },
		"negative timeout": func() { concurrency.Middleware(l, concurrency.MiddlewareConfig{WriteTimeout: -1}) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			build()
		}()
	}
}
