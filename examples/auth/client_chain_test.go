package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/retry"
)

// A clientChain calls as DESIGN orders it: retry, breaker, ratelimit, auth.
type clientChain struct {
	http.Client
	breaker *breaker.Breaker
}

func newClientChain(t *testing.T, src auth.TokenSource) *clientChain {
	t.Helper()
	retrier, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Millisecond, 2*time.Millisecond)})
	if err != nil {
		t.Fatal(err)
	}
	// That there is no token to be had says nothing of the service.
	b, err := breaker.New(breaker.Config{Name: "models", Classify: func(err error) breaker.Outcome {
		if errors.Is(err, auth.ErrUnavailable) {
			return breaker.Ignore
		}
		return breaker.Failure
	}})
	if err != nil {
		t.Fatal(err)
	}
	base := &http.Transport{}
	t.Cleanup(base.CloseIdleConnections)
	c := &clientChain{breaker: b}
	c.Transport = auth.NewTransport(base, src, auth.TransportConfig{})
	c.Transport = ratelimit.NewTransport(c.Transport, rate.NewLimiter(rate.Inf, 1), ratelimit.TransportConfig{})
	c.Transport = breaker.NewTransport(c.Transport, b, breaker.TransportConfig{})
	c.Transport = retry.NewTransport(c.Transport, retrier, retry.TransportConfig{})
	return c
}

// post sends a body that may be sent again, and returns the status.
func (c *clientChain) post(t *testing.T, url string) (int, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", url, strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Idempotency-Key", "1")
	res, err := c.Do(r)
	if err != nil {
		return 0, err
	}
	_ = res.Body.Close()
	return res.StatusCode, nil
}

// A token that the service no longer takes is used once more at most: the 401 is not
// tried again, counts against no breaker, and makes the next call fetch another one.
// What is tried again has its token, and its body, in each attempt.
func TestClientChainRefreshes(t *testing.T) {
	var tokens, calls, flaky atomic.Int64
	var good atomic.Int64
	good.Store(1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		body, _ := io.ReadAll(r.Body)
		switch {
		case string(body) != "body":
			t.Errorf("body %q", body)
		case r.Header.Get("Authorization") != "Bearer token-"+string(rune('0'+good.Load())):
			auth.WriteError(w, r, auth.ErrInvalid)
		case flaky.Add(-1) >= 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	src, err := auth.NewReuse(auth.TokenSourceFunc(func(context.Context) (auth.Token, error) {
		return auth.Token{Value: "token-" + string(rune('0'+tokens.Add(1))), ExpiresAt: time.Now().Add(time.Hour)}, nil
	}), auth.ReuseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close(context.Background()) }()
	c := newClientChain(t, src)
	for _, step := range []struct {
		name          string
		before        func()
		status, calls int
	}{
		{"good", func() {}, 200, 1},
		{"revoked", func() { good.Store(2) }, 401, 1},
		{"another one", func() {}, 200, 1},
		{"flaky", func() { flaky.Store(2) }, 200, 3},
	} {
		step.before()
		calls.Store(0)
		if status, err := c.post(t, srv.URL); err != nil || status != step.status || calls.Load() != int64(step.calls) {
			t.Errorf("%s: %d, %v, in %d calls", step.name, status, err, calls.Load())
		}
	}
	if s := c.breaker.Stats(); tokens.Load() != 2 || s.Failures != 2 {
		t.Errorf("%d tokens, %+v", tokens.Load(), s)
	}
}

// An issuer that is down opens no breaker of the services that its tokens are for.
func TestClientChainWithoutTokens(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer srv.Close()
	src, err := auth.NewReuse(auth.TokenSourceFunc(func(context.Context) (auth.Token, error) {
		return auth.Token{}, errors.New("the issuer is down")
	}), auth.ReuseConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = src.Close(context.Background()) }()
	c := newClientChain(t, src)
	for range 20 {
		r, _ := http.NewRequestWithContext(t.Context(), "POST", srv.URL, nil) // no second attempt
		if _, err := c.Do(r); !errors.Is(err, auth.ErrUnavailable) {
			t.Fatalf("%v", err)
		}
	}
	if s := c.breaker.Stats(); s.Failures != 0 || s.State != breaker.Closed {
		t.Errorf("%+v", s)
	}
}
