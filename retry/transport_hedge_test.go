package retry_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/retry"
)

const usualTime = 10 * time.Millisecond // of a call that is not slow

func newHedgerFor(t testing.TB, b *retry.Budget) *retry.Hedger {
	t.Helper()
	h, err := retry.NewHedger(retry.HedgeConfig{Budget: b, MinDelay: 2 * usualTime})
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// A replicaSet has an answer for everything in its usual time, but for the first
// attempts of slow calls.
type replicaSet struct {
	stubborn bool // slow attempts do not heed their context, and answer after all

	mu       sync.Mutex
	contexts []context.Context // of attempts of slow calls
	bodies   []string          // of these
	slow     *body             // what the slow one answered
}

func (s *replicaSet) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/slow" {
		<-time.After(usualTime)
		return &http.Response{StatusCode: 200, Body: newBody("usual")}, nil
	}
	sent := ""
	if r.Body != nil {
		data, _ := io.ReadAll(r.Body)
		_ = r.Body.Close()
		sent = string(data)
	}
	s.mu.Lock()
	s.contexts = append(s.contexts, r.Context())
	s.bodies = append(s.bodies, sent)
	s.mu.Unlock()
	if retry.Attempt(r.Context()) > 1 {
		<-time.After(usualTime)
		return &http.Response{StatusCode: 200, Body: newBody("hedge")}, nil
	}
	if !s.stubborn {
		return neverAnswers(r)
	}
	<-time.After(time.Minute)
	s.slow = newBody("slow")
	return &http.Response{StatusCode: 200, Body: s.slow}, nil
}

// warm teaches rt's hedger what is usual.
func warm(t testing.TB, rt http.RoundTripper) {
	t.Helper()
	for range 40 {
		resp, err := rt.RoundTrip(request(t, t.Context(), "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
	}
}

func slow(t testing.TB, method string, body io.Reader) *http.Request {
	t.Helper()
	r := request(t, t.Context(), method, body)
	r.URL.Path = "/slow"
	return r
}

func TestTransportHedges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, perAttempt := range []time.Duration{0, time.Hour} {
			budget := newBudget(t, 0.5, 10)
			h, set := newHedgerFor(t, budget), new(replicaSet)
			r := newRetrier(t, retry.Config{Budget: budget, PerAttempt: perAttempt})
			rt := retry.NewTransport(set, r, retry.TransportConfig{Hedger: h})
			warm(t, rt)
			resp, err := rt.RoundTrip(slow(t, "GET", nil))
			if err != nil {
				t.Fatal(err)
			}
			if tokens := budget.Stats().Tokens; tokens != 9 {
				t.Errorf("the budget has %v tokens, want 9: a hedge has cost one", tokens)
			}
			synctest.Wait()
			if set.contexts[0].Err() == nil || set.contexts[1].Err() != nil {
				t.Errorf("contexts: the loser's %v, the winner's %v", set.contexts[0].Err(), set.contexts[1].Err())
			}
			data, err := io.ReadAll(resp.Body)
			if string(data) != "hedge" || err != nil || set.contexts[1].Err() == nil {
				t.Errorf("%q, %v; the winner's context: %v", data, err, set.contexts[1].Err())
			}
			if s := h.Stats(); s.Wins != 1 || s.Running != 0 {
				t.Errorf("%+v", s)
			}
			if _, err := rt.RoundTrip(request(t, t.Context(), "GET", nil)); err != nil || budget.Stats().Tokens != 9.5 {
				t.Errorf("%v; %v tokens, want 9.5: a call pays once", err, budget.Stats().Tokens)
			}
			if err := h.Close(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
}

// What a loser answers is drained and closed, in a goroutine that Close waits for.
func TestTransportHedgeLosersAnswerIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, set := newHedgerFor(t, nil), &replicaSet{stubborn: true}
		rt := retry.NewTransport(set, newRetrier(t, retry.Config{}), retry.TransportConfig{Hedger: h})
		warm(t, rt)
		resp, err := rt.RoundTrip(slow(t, "GET", nil))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if err := h.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n, _ := io.Copy(io.Discard, set.slow); n != 0 || set.slow.closed.Load() == 0 {
			t.Errorf("%d bytes left, closed %d times", n, set.slow.closed.Load())
		}
	})
}

// Attempts that run at once have bodies of their own.
func TestTransportHedgesBodies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, withGetBody := range []bool{true, false} {
			h, set := newHedgerFor(t, nil), new(replicaSet)
			rt := retry.NewTransport(set, newRetrier(t, retry.Config{}), retry.TransportConfig{Hedger: h})
			warm(t, rt)
			own := newBody("hello")
			r := slow(t, "PUT", own)
			if withGetBody {
				r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("hello")), nil }
			}
			resp, err := rt.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			if !slices.Equal(set.bodies, []string{"hello", "hello"}) || own.closed.Load() == 0 {
				t.Errorf("bodies %q; the caller's was closed %d times", set.bodies, own.closed.Load())
			}
		}
	})
}

// What must not be sent twice is not hedged, nor is what cannot be, nor a retry.
func TestTransportDoesNotHedge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, set := newHedgerFor(t, nil), new(replicaSet)
		r := newRetrier(t, retry.Config{PerAttempt: time.Minute, MaxAttempts: 1})
		rt := retry.NewTransport(set, r, retry.TransportConfig{Hedger: h, MaxBody: 1})
		warm(t, rt)
		for _, req := range []*http.Request{slow(t, "POST", nil), slow(t, "PUT", newBody("too long"))} {
			set.contexts = nil
			if _, err := rt.RoundTrip(req); !errors.Is(err, retry.ErrAttemptTimeout) || len(set.contexts) != 1 {
				t.Errorf("%s: %v after %d attempts", req.Method, err, len(set.contexts))
			}
		}
		set.contexts = nil
		nested := slow(t, "GET", nil).WithContext(retry.ContextWithAttempt(t.Context(), 2))
		if resp, err := rt.RoundTrip(nested); err != nil || len(set.contexts) != 1 {
			t.Errorf("%v, %v after %d attempts", resp, err, len(set.contexts))
		}
		if s := h.Stats(); s.Hedges != 0 {
			t.Errorf("%+v", s)
		}
	})
}
