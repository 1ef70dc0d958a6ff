package retry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func TestTransportRetryAfter(t *testing.T) {
	const schedule, most = 250 * time.Millisecond, time.Minute
	synctest.Test(t, func(t *testing.T) {
		now := time.Now().UTC()
		date := func(d time.Duration) string { return now.Add(d).Format(http.TimeFormat) }
		for _, tt := range []struct {
			after, date string
			want        time.Duration
		}{
			{"", "", schedule},
			{"7", "", 7 * time.Second},
			{"0", "", schedule},
			{"-1", "", schedule},
			{"soon", "", schedule},
			{"86400", "", most},
			{"9223372036854775807", "", most},
			{"18446744073709551617", "", most},
			{date(10*time.Hour + 5*time.Second), date(10 * time.Hour), 5 * time.Second}, // its clock is ahead
			{date(-time.Hour), date(0), schedule},
			{date(1000 * time.Hour), date(0), most},
		} {
			b := &backend{statuses: []int{429, 200}, header: http.Header{"Retry-After": {tt.after}, "Date": {tt.date}}}
			r := newRetrier(t, retry.Config{Backoff: every(schedule), MaxDelay: most})
			begun := time.Now()
			resp, err := retry.NewTransport(b, r, retry.TransportConfig{}).RoundTrip(request(t, t.Context(), "GET", nil))
			if waited := time.Since(begun); err != nil || resp.StatusCode != 200 || waited != tt.want {
				t.Errorf("Retry-After %q by %q: waited %v, want %v (%v)", tt.after, tt.date, waited, tt.want, err)
			}
		}
	})
}

// neverAnswers is a base of a service that hangs.
func neverAnswers(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// An attempt that takes too long fails, is made again if it may be, and looks like
// the service's failure to what is further in.
func TestTransportPerAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for method, attempts := range map[string]int{"GET": 3, "POST": 1} {
			var causes []error
			rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				defer func() { causes = append(causes, context.Cause(r.Context())) }()
				if r.Header.Get(retry.TimeoutHeader) != "" {
					t.Error("an attempt's time is no deadline: a body may take longer")
				}
				return neverAnswers(r)
			}), newRetrier(t, retry.Config{PerAttempt: time.Second, Backoff: every(0)}), retry.TransportConfig{})
			begun := time.Now()
			_, err := rt.RoundTrip(request(t, t.Context(), method, nil))
			if !errors.Is(err, retry.ErrAttemptTimeout) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", method, err)
			}
			if took := time.Since(begun); len(causes) != attempts || took != time.Duration(attempts)*time.Second {
				t.Errorf("%s: %d attempts in %v", method, len(causes), took)
			}
			for _, cause := range causes {
				if cause != retry.ErrAttemptTimeout {
					t.Errorf("%s: the context's cause is %v", method, cause)
				}
			}
		}
	})
}

// A Read of a slow body waits for its next piece.
type slowBody struct {
	ctx    context.Context
	pieces int
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.pieces == 0 {
		return 0, io.EOF
	}
	b.pieces--
	select {
	case <-time.After(time.Hour):
		return copy(p, "x"), nil
	case <-b.ctx.Done():
		return 0, b.ctx.Err()
	}
}

func (b *slowBody) Close() error { return nil }

// The time for an attempt ends when the header is there. The attempt's context
// lives as long as the body, and no longer.
func TestTransportPerAttemptLeavesTheBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, toEnd := range []bool{true, false} {
			var ctx context.Context
			rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
				ctx = r.Context()
				return &http.Response{StatusCode: 200, Body: &slowBody{ctx, 3}}, nil
			}), newRetrier(t, retry.Config{PerAttempt: time.Second}), retry.TransportConfig{})
			resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil))
			if err != nil {
				t.Fatal(err)
			}
			if toEnd {
				if data, err := io.ReadAll(resp.Body); string(data) != "xxx" || err != nil {
					t.Errorf("%q, %v", data, err)
				}
			} else if ctx.Err() != nil {
				t.Error("the context has ended before the body")
			}
			if !toEnd {
				_ = resp.Body.Close()
			}
			if ctx.Err() == nil {
				t.Errorf("the context outlives the body (read to its end: %v)", toEnd)
			}
		}
	})
}

// An answer without a body ends the attempt's context by itself.
func TestTransportPerAttemptWithoutABody(t *testing.T) {
	for _, body := range []io.ReadCloser{http.NoBody, nil} {
		var ctx context.Context
		rt := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			ctx = r.Context()
			return &http.Response{StatusCode: 503, Body: body}, nil
		}), newRetrier(t, retry.Config{PerAttempt: time.Hour, Backoff: every(0)}), retry.TransportConfig{})
		if resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil)); err != nil || resp.Body != body || ctx.Err() == nil {
			t.Errorf("%v, %v; context: %v", resp, err, ctx.Err())
		}
	}
}

// An answer of a base that does not heed its context, and comes too late, is closed.
func TestTransportAnswerAfterTheAttemptsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late := newBody("late")
		calls := 0
		rt := retry.NewTransport(roundTrip(func(*http.Request) (*http.Response, error) {
			if calls++; calls == 1 {
				<-time.After(time.Minute)
				return &http.Response{StatusCode: 200, Body: late}, nil
			}
			return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
		}), newRetrier(t, retry.Config{PerAttempt: time.Second, Backoff: every(0)}), retry.TransportConfig{})
		resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil))
		if err != nil || resp.StatusCode != 204 || late.closed.Load() == 0 {
			t.Errorf("%v, %v; late answer closed %d times", resp, err, late.closed.Load())
		}
	})
}

func TestTransportCanceledWhileItWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		b := &backend{statuses: []int{503}}
		begun := time.Now()
		_, err := retry.NewTransport(b, newRetrier(t, retry.Config{Backoff: every(time.Hour)}), retry.TransportConfig{}).
			RoundTrip(request(t, ctx, "GET", nil))
		if givenUp(t, err, context.Canceled); time.Since(begun) != time.Second || b.calls() != 1 {
			t.Errorf("after %v and %d calls: %v", time.Since(begun), b.calls(), err)
		}
	})
}

// It does not wait for what the deadline will forbid.
func TestTransportDoesNotWaitPastTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		b := &backend{statuses: []int{0}}
		begun := time.Now()
		_, err := retry.NewTransport(b, newRetrier(t, retry.Config{Backoff: every(time.Hour)}), retry.TransportConfig{}).
			RoundTrip(request(t, ctx, "GET", nil))
		if e := givenUp(t, err, context.DeadlineExceeded); !errors.Is(e, errRefused) || time.Since(begun) != 0 {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}
