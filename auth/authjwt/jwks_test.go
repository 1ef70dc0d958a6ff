package authjwt

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

func TestJWKSRefreshesOnSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a", "b")
		server.delay = 50 * time.Millisecond
		j := readyJWKS(t, server, JWKSConfig{})
		jwksPass(time.Hour)
		begun := server.fetches()
		if n := len(begun); n < 6 || n > 7 {
			t.Errorf("%d fetches in an hour", n)
		}
		pauses := map[time.Duration]bool{}
		for i := 1; i < len(begun); i++ {
			d := begun[i].Sub(begun[i-1]) - server.delay
			if d < 9*time.Minute || d > 10*time.Minute {
				t.Errorf("fetch %d began after %v", i, d)
			}
			pauses[d] = true
		}
		if len(pauses) < 2 {
			t.Errorf("no jitter: %v", pauses)
		}
		server.publish("b", "c")
		jwksPass(10*time.Minute + server.delay)
		if set := j.KeySet(); jwksHas(set, "a") || !jwksHas(set, "b") || !jwksHas(set, "c") {
			t.Error("the new document is not in use after RefreshInterval")
		}
	})
}

// A set is replaced only by other keys, so that what was verified by it need not be
// verified again.
func TestJWKSKeepsTheSetOfTheSameKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a", "b")
		j := readyJWKS(t, server, JWKSConfig{})
		first := j.KeySet()
		jwksPass(11 * time.Minute)
		if j.KeySet() != first {
			t.Error("another set for the same document")
		}
		server.publish("b", "a")
		jwksPass(11 * time.Minute)
		if j.KeySet() != first {
			t.Error("another set for the same keys in another order")
		}
		server.publish("a")
		jwksPass(11 * time.Minute)
		if j.KeySet() == first || len(j.KeySet().keys) != 1 {
			t.Error("the same set for other keys")
		}
		server.publish("b", "a")
		jwksPass(11 * time.Minute)
		if len(j.KeySet().keys) != 2 {
			t.Error("a document that was there before does not come back")
		}
	})
}

func TestJWKSBadDocumentsNeverReplaceGoodOnes(t *testing.T) {
	const secret = "s3cret-of-the-body"
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		told := new(errorLog)
		j := readyJWKS(t, server, JWKSConfig{OnError: told.add, MaxStale: 1000 * time.Hour})
		good := j.KeySet()
		for name, change := range map[string]func(*jwksServer){
			"empty":      func(s *jwksServer) { s.document = nil },
			"HTML":       func(s *jwksServer) { s.document = []byte("<html>" + secret) },
			"no keys":    func(s *jwksServer) { s.document = []byte(`{"x":"` + secret + `"}`) },
			"empty set":  func(s *jwksServer) { s.document = jwksDocument() },
			"cut short":  func(s *jwksServer) { s.document = jwksDocument("a", secret)[:150] },
			"too long":   func(s *jwksServer) { s.document = append(jwksDocument("b"), make([]byte, maxDocument)...) },
			"status 500": func(s *jwksServer) { s.document, s.status = []byte(secret), 500 },
			"status 204": func(s *jwksServer) { s.document, s.status = jwksDocument("b"), 204 },
			"status 401": func(s *jwksServer) { s.document, s.status = jwksDocument("b"), 401 },
			"no answer":  func(s *jwksServer) { s.fails = errors.New("connection refused") },
		} {
			told.take()
			server.set(change)
			jwksPass(11 * time.Minute)
			if j.KeySet() != good {
				t.Errorf("%s: the set was replaced", name)
			}
			errs := told.take()
			if len(errs) == 0 {
				t.Errorf("%s: nobody was told", name)
			}
			for _, err := range errs {
				if text := err.Error(); !strings.HasPrefix(text, "authjwt: keys from https://issuer.example/jwks: ") || strings.Contains(text, secret) {
					t.Errorf("%s: the error is %q", name, text)
				}
			}
			server.set(func(s *jwksServer) { s.document, s.status, s.fails = jwksDocument("a"), 200, nil })
			jwksPass(11 * time.Minute)
		}
		if s := j.Stats(); s.Failures < 10 || s.Keys != 1 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// Pauses after failures double, with jitter; what is asked for meanwhile waits with
// them, or is answered at once; the first success ends it.
func TestJWKSBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.fails = errors.New("connection refused")
		j := newTestJWKS(t, server, JWKSConfig{})
		stop := jwksFlood(j, 10, jwksRandomKid)
		jwksPass(10 * time.Minute)
		stop()
		begun := server.fetches()
		want := time.Second
		for i := 1; i < len(begun); i++ {
			if d := begun[i].Sub(begun[i-1]); d < want || d > want*3/2 {
				t.Errorf("fetch %d began after %v, want %v and up to half as much again", i, d, want)
			}
			want = min(2*want, 30*time.Second)
		}
		server.set(func(s *jwksServer) { s.fails = nil })
		jwksPass(45 * time.Second)
		if !jwksHas(j.KeySet(), "a") {
			t.Error("no keys after the source is back")
		}
		fetches := len(server.fetches())
		if ok, err := jwksAsk(t.Context(), j, "b"); ok || err != nil {
			t.Errorf("an unknown key: %v, %v", ok, err)
		}
		if n := len(server.fetches()); n != fetches+1 {
			t.Errorf("%d fetches for an unknown key after the source was back", n-fetches)
		}
	})
}

func TestJWKSHeedsRetryAfter(t *testing.T) {
	for value, want := range map[string]time.Duration{"120": 2 * time.Minute, "86400": 10 * time.Minute, "0": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			server := newJWKSServer("a")
			server.status, server.header = http.StatusTooManyRequests, http.Header{"Retry-After": {value}}
			j := newTestJWKS(t, server, JWKSConfig{})
			synctest.Wait()
			server.set(func(s *jwksServer) { s.status = 200 })
			_, err := j.Refresh(t.Context(), nil, "a")
			if want > 5*time.Second { // longer than a wait may be: answered at once
				if e := wantUnavailable(t, err); e.RetryAfter != want {
					t.Errorf("Retry-After %s: RetryAfter %v", value, e.RetryAfter)
				}
			}
			if err := j.Ready(t.Context()); err != nil {
				t.Fatal(err)
			}
			begun := server.fetches()
			if d := begun[1].Sub(begun[0]); d < want || d > want+want/2 {
				t.Errorf("Retry-After %s: the next fetch began after %v", value, d)
			}
		})
	}
}

// While the server hangs, known keys are answered at once, and nothing waits for
// longer than Timeout.
func TestJWKSHungServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		j := readyJWKS(t, server, JWKSConfig{})
		jwksPass(2 * time.Second)
		server.set(func(s *jwksServer) { s.delay = 1000 * time.Hour })
		for range 50 {
			began := time.Now()
			ok, err := jwksAsk(t.Context(), j, "b")
			if e := wantUnavailable(t, err); ok || e.RetryAfter < 0 || e.RetryAfter > 45*time.Second || e.Reason == "" {
				t.Errorf("an unknown key: %v, %+v", ok, e)
			}
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("an unknown key was answered after %v", took)
			}
			began = time.Now()
			set, err := j.Refresh(t.Context(), j.KeySet(), "a")
			if ok, askErr := jwksAsk(t.Context(), j, "a"); !ok || !jwksHas(set, "a") || err != nil || askErr != nil {
				t.Errorf("a known key: %v, %v, %v", ok, err, askErr)
			}
			if took := time.Since(began); took != 0 {
				t.Errorf("a known key was answered after %v", took)
			}
			jwksPass(time.Second)
		}
		if server.most != 1 {
			t.Errorf("%d fetches at once", server.most)
		}
	})
}

// A service starts while its identity provider is down, and says that it cannot
// tell; it is ready when the provider is.
func TestJWKSStartsWithoutItsSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 1000 * time.Hour
		began := time.Now()
		j := newTestJWKS(t, server, JWKSConfig{})
		if j.KeySet() != nil || time.Since(began) != 0 {
			t.Errorf("NewJWKS took %v", time.Since(began))
		}
		ended, cancelled := context.WithCancel(t.Context())
		cancelled()
		if err := j.Ready(ended); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "no answer yet") {
			t.Errorf("Ready: %v", err)
		}
		if s := j.Stats(); s.Keys != 0 || s.Fetches != 1 || !s.LastSuccess.IsZero() {
			t.Errorf("Stats: %+v", s)
		}
		set, err := j.Refresh(t.Context(), nil, "a")
		if e := wantUnavailable(t, err); set != nil || e.RetryAfter <= 0 && time.Since(began) != 5*time.Second {
			t.Errorf("Refresh: %v, %+v after %v", set, e, time.Since(began))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err = j.Ready(ctx)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "https://issuer.example/jwks: no answer within 5s") {
			t.Errorf("Ready: %v", err)
		}
		server.set(func(s *jwksServer) { s.delay = 10 * time.Millisecond })
		if err := j.Ready(t.Context()); err != nil {
			t.Errorf("Ready: %v", err)
		}
		if ok, err := jwksAsk(t.Context(), j, "a"); !ok || err != nil {
			t.Errorf("a key: %v, %v", ok, err)
		}
		if s := j.Stats(); s.Keys != 1 || s.LastSuccess != time.Now() {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// Before the first document calls wait for it, and one fetch does for all.
func TestJWKSRefreshWaitsForTheFirstDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 3 * time.Second
		j := newTestJWKS(t, server, JWKSConfig{})
		for range 100 {
			go func() {
				if ok, err := jwksAsk(t.Context(), j, "a"); !ok || err != nil {
					t.Errorf("a key: %v, %v", ok, err)
				}
			}()
		}
		jwksPass(time.Minute)
		if s := j.Stats(); s.Fetches != 1 || s.Waiting != 0 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// Without keys there is no set to be full of unknown keys with: who finds no place
// to wait is told that it cannot be told.
func TestJWKSManyWaitForTheFirstDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = 3 * time.Second
		j := newTestJWKS(t, server, JWKSConfig{})
		for range maxWaiting {
			go func() { _, _ = j.Refresh(t.Context(), nil, "a") }()
		}
		synctest.Wait()
		began := time.Now()
		_, err := j.Refresh(t.Context(), nil, "a")
		wantUnavailable(t, err)
		if time.Since(began) != 0 {
			t.Error("it waited")
		}
		jwksPass(time.Minute)
	})
}

// Keys of a source that does not answer are trusted for MaxStale and no longer; when
// it is back they are the same set.
func TestJWKSMaxStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		j := readyJWKS(t, server, JWKSConfig{})
		set, since := j.KeySet(), time.Now()
		server.set(func(s *jwksServer) { s.fails = errors.New("connection refused") })
		jwksPass(24*time.Hour - 1)
		if j.KeySet() != set {
			t.Fatal("the keys are gone before MaxStale")
		}
		jwksPass(1)
		synctest.Wait()
		if j.KeySet() != nil || j.Stats().Keys != 0 {
			t.Fatal("the keys are trusted after MaxStale")
		}
		if _, err := j.Refresh(t.Context(), nil, "a"); err == nil {
			t.Error("Refresh: no error without keys")
		} else {
			wantUnavailable(t, err)
		}
		if s := j.Stats(); s.LastSuccess != since {
			t.Errorf("Stats: %+v", s)
		}
		server.set(func(s *jwksServer) { s.fails = nil })
		if err := j.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if j.KeySet() != set {
			t.Error("another set for the same keys")
		}
	})
}

// A MinInterval longer than any wait: unknown keys are answered at once with when to
// come again, and the fetch is made then.
func TestJWKSMinIntervalAboveTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		j := readyJWKS(t, server, JWKSConfig{MinInterval: time.Minute})
		jwksPass(10 * time.Second)
		server.publish("b")
		began := time.Now()
		_, err := jwksAsk(t.Context(), j, "b")
		if e := wantUnavailable(t, err); e.RetryAfter != 50*time.Second || time.Since(began) != 0 {
			t.Errorf("%+v after %v", e, time.Since(began))
		}
		jwksPass(50 * time.Second)
		synctest.Wait()
		if !jwksHas(j.KeySet(), "b") {
			t.Error("the fetch was not made")
		}
	})
}

func TestJWKSRefreshEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = time.Second
		j := newTestJWKS(t, server, JWKSConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, err := j.Refresh(ctx, nil, "a")
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, auth.ErrUnavailable) || time.Since(began) != 300*time.Millisecond {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if _, err = j.Refresh(ctx, nil, "a"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that had ended: %v", err)
		}
		jwksPass(time.Minute)
		if _, err = j.Refresh(ctx, j.KeySet(), "b"); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a context that had ended, and keys: %v", err)
		}
		if s := j.Stats(); s.Waiting != 0 || s.Asked != 3 || s.Fetches != 1 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

// A token without a kid wants whatever has not been tried.
func TestJWKSRefreshWithoutKid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		j := readyJWKS(t, server, JWKSConfig{})
		old := j.KeySet()
		if set, err := j.Refresh(t.Context(), old, ""); set != old || err != nil {
			t.Errorf("nothing new: %p, %v", set, err)
		}
		server.publish("b")
		jwksPass(time.Second)
		set, err := j.Refresh(t.Context(), old, "")
		if set == old || err != nil {
			t.Errorf("a new document: %p, %v", set, err)
		}
		if again, err := j.Refresh(t.Context(), old, ""); again != set || err != nil {
			t.Errorf("one that another call has fetched: %p, %v", again, err)
		}
	})
}
