package retry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

func reply(r *http.Request, status int, body string) *http.Response {
	return &http.Response{StatusCode: status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body)), Request: r}
}

// A MaxBody of everything once was one of nothing, and the body was lost.
func TestMaxBodyWithoutALimit(t *testing.T) {
	var got []string
	tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		b, err := io.ReadAll(r.Body)
		got = append(got, string(b))
		return reply(r, 200+303*(2-len(got)), ""), err
	}), newRetrier(t, retry.Config{Backoff: every(0)}), retry.TransportConfig{MaxBody: math.MaxInt64})
	resp, err := tr.RoundTrip(request(t, t.Context(), http.MethodPut, io.MultiReader(strings.NewReader("all of it"))))
	if err != nil || resp.StatusCode != 200 || strings.Join(got, "|") != "all of it|all of it" {
		t.Errorf("%v, %v, %q", resp, err, got)
	}
}

// The deadline of a request that switches protocols is the handshake's, and not
// that of what comes after it.
func TestUpgradesPassUntouched(t *testing.T) {
	ctx, cancel := context.WithTimeout(retry.ContextWithAttempt(t.Context(), 2), time.Hour)
	defer cancel()
	for _, method := range []string{http.MethodGet, http.MethodConnect} {
		out := request(t, ctx, method, nil)
		if method == http.MethodGet {
			out.Header.Set("Connection", "keep-alive, Upgrade")
			out.Header.Set("Upgrade", "websocket")
		}
		testUpgrade(t, out)
	}
}

func testUpgrade(t *testing.T, out *http.Request) {
	tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		if r != out {
			t.Errorf("another request is sent: %v", r.Header)
		}
		return reply(r, http.StatusSwitchingProtocols, ""), nil
	}), newRetrier(t, retry.Config{PerAttempt: time.Second}), retry.TransportConfig{})
	if _, err := tr.RoundTrip(out); err != nil {
		t.Error(err)
	}
	in := request(t, t.Context(), out.Method, nil)
	in.Header = out.Header.Clone()
	in.Header.Set(retry.TimeoutHeader, "1000")
	retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if _, ok := r.Context().Deadline(); ok {
			t.Error("the handler has the handshake's deadline")
		}
	})).ServeHTTP(nil, in)
}

// What is sent once has its time, too.
func TestPerAttemptOfARequestThatIsNotIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			calls++
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), newRetrier(t, retry.Config{PerAttempt: time.Second}), retry.TransportConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if _, err := tr.RoundTrip(request(t, ctx, http.MethodPost, nil)); !errors.Is(err, retry.ErrAttemptTimeout) || calls != 1 {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// HTTP/2's transport says of an attempt whose time is over that it was canceled,
// which is not retried if it is the caller's word.
func TestAttemptTimeoutIsNoCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			calls++
			<-r.Context().Done()
			return nil, r.Context().Err()
		}), newRetrier(t, retry.Config{PerAttempt: time.Second}), retry.TransportConfig{})
		_, err := tr.RoundTrip(request(t, t.Context(), http.MethodGet, nil))
		givenUp(t, err, retry.ErrExhausted)
		if calls != 3 || !errors.Is(err, retry.ErrAttemptTimeout) || errors.Is(err, context.Canceled) {
			t.Errorf("%v after %d calls", err, calls)
		}
	})
}

// A caller who has taken the body off does not get it back.
func TestGetBodyWithoutABody(t *testing.T) {
	calls := 0
	tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		if calls++; r.Body != nil {
			t.Errorf("call %d has a body", calls)
		}
		return reply(r, 503, ""), nil
	}), newRetrier(t, retry.Config{Backoff: every(0)}), retry.TransportConfig{})
	r := request(t, t.Context(), http.MethodPut, strings.NewReader("x"))
	r.Body, r.ContentLength = nil, 0
	if _, err := tr.RoundTrip(r); err != nil || calls != 3 {
		t.Errorf("%v after %d calls", err, calls)
	}
}

// The body may never end; the context does.
func TestContextEndsWhileABodyIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			t.Error("sent")
			return reply(r, 200, ""), nil
		}), newRetrier(t, retry.Config{}), retry.TransportConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		body, w := io.Pipe()
		if _, err := tr.RoundTrip(request(t, ctx, http.MethodPut, body)); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := w.Write([]byte("x")); err != io.ErrClosedPipe {
			t.Errorf("the body is not closed: %v", err)
		}
	})
}

// A body that is not as long as it is said to be is not sent at all, nor again
// and again.
func TestBodyOfAnotherLength(t *testing.T) {
	tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
		t.Error("sent")
		return reply(r, 200, ""), nil
	}), newRetrier(t, retry.Config{}), retry.TransportConfig{})
	for _, length := range []int64{2, 4} {
		r := request(t, t.Context(), http.MethodPut, io.MultiReader(strings.NewReader("abc")))
		r.ContentLength = length
		if _, err := tr.RoundTrip(r); err == nil || !strings.Contains(err.Error(), "3 bytes") {
			t.Errorf("ContentLength %d: %v", length, err)
		}
	}
}

// hedging returns a Hedger that hedges after 10 ms.
func hedging(t *testing.T, cfg retry.HedgeConfig) *retry.Hedger {
	t.Helper()
	cfg.MinDelay, cfg.MaxDelay = 10*time.Millisecond, 10*time.Millisecond
	h, err := retry.NewHedger(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		if _, err := retry.Hedge(t.Context(), h, func(context.Context) (int, error) { return 0, nil }, nil); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// A loser may be anywhere when the answer is there, and when that is read, too:
// then the request is its caller's again.
func TestHedgesLoserKeepsOffTheHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := hedging(t, retry.HedgeConfig{})
		released := make(chan struct{})
		tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
			if retry.Attempt(r.Context()) == 1 {
				<-released // whatever becomes of its context
				if r.Header.Get("For") != "this" || r.URL.Path != "/" {
					t.Errorf("the loser sends %v to %v", r.Header, r.URL)
				}
			}
			return reply(r, 200, "answer"), nil
		}), newRetrier(t, retry.Config{}), retry.TransportConfig{Hedger: h})
		r := request(t, t.Context(), http.MethodGet, nil)
		r.Header.Set("For", "this")
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		r.Header.Set("For", "that")
		r.URL.Path = "/next"
		close(released)
		if err := h.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Requests pay for retries once, and retries not at all.
func TestRequestsPayOnce(t *testing.T) {
	for _, shared := range []bool{false, true} {
		b := newBudget(t, 0.25, 1)
		var cfg retry.TransportConfig
		if shared {
			h, err := retry.NewHedger(retry.HedgeConfig{Budget: b})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Hedger = h
		}
		down := roundTrip(func(*http.Request) (*http.Response, error) { return nil, errFlaky })
		tr := retry.NewTransport(down, newRetrier(t, retry.Config{MaxAttempts: 2, Budget: b, Backoff: every(0)}), cfg)
		const calls = 40
		for range calls {
			for _, n := range []int{1, 2} {
				if _, err := tr.RoundTrip(request(t, retry.ContextWithAttempt(t.Context(), n), http.MethodGet, nil)); err == nil {
					t.Fatal("no error")
				}
			}
		}
		if n := b.Stats().Spent; n > calls/4+1 || n < calls/4 {
			t.Errorf("%d retries of %d calls: want a quarter, and 1", n, calls)
		}
	}
}

// An answer that is a failure is not what a hedge is for: a better one may come.
func TestHedgesFailureDoesNotWin(t *testing.T) {
	for name, tt := range map[string]struct {
		first, second int
		want          string
	}{
		"slow success":   {200, 503, "200 1"},
		"failures":       {502, 503, "502 1"},
		"second success": {503, 200, "200 2"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := hedging(t, retry.HedgeConfig{})
				tr := retry.NewTransport(roundTrip(func(r *http.Request) (*http.Response, error) {
					if retry.Attempt(r.Context()) == 1 {
						<-time.After(20 * time.Millisecond)
						return reply(r, tt.first, "1"), nil
					}
					if tt.second == 200 {
						<-time.After(time.Second)
					}
					return reply(r, tt.second, "2"), nil
				}), newRetrier(t, retry.Config{MaxAttempts: 1}), retry.TransportConfig{Hedger: h})
				resp, err := tr.RoundTrip(request(t, t.Context(), http.MethodGet, nil))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				if got := fmt.Sprintf("%d %s", resp.StatusCode, body); got != tt.want || err != nil {
					t.Errorf("%s, %v: want %s", got, err, tt.want)
				}
			})
		})
	}
}

// Failures teach a Hedger nothing: they may be quicker than answers.
func TestFailuresTeachNothing(t *testing.T) {
	h, err := retry.NewHedger(retry.HedgeConfig{})
	if err != nil {
		t.Fatal(err)
	}
	down := roundTrip(func(r *http.Request) (*http.Response, error) { return reply(r, 503, strings.Repeat("x", 100<<10)), nil })
	tr := retry.NewTransport(down, newRetrier(t, retry.Config{MaxAttempts: 1}), retry.TransportConfig{Hedger: h})
	for range 64 {
		for attempt, most := range []int64{1: 64 << 10, 2: 100 << 10} { // what cannot be hedged is whole
			if attempt == 0 {
				continue
			}
			resp, err := tr.RoundTrip(request(t, retry.ContextWithAttempt(t.Context(), attempt), http.MethodGet, nil))
			if err != nil {
				t.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != most || (n < 100<<10) != (err != nil) {
				t.Fatalf("attempt %d: %d bytes of the body, %v", attempt, n, err)
			}
		}
	}
	if d := h.Stats().Delay; d != 0 {
		t.Errorf("it hedges after %v", d)
	}
}
