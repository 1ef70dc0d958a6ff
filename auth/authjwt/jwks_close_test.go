package authjwt

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// closing is the end of a bubble, which finds goroutines that are left.
func closing(t *testing.T, j *JWKS, within time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	return j.Close(ctx)
}

func TestJWKSClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		told := new(errorLog)
		j := readyJWKS(t, server, JWKSConfig{OnError: told.add})
		jwksPass(2 * time.Second)
		server.set(func(s *jwksServer) { s.delay = time.Hour })
		waits := make(chan error)
		go func() {
			_, err := jwksAsk(t.Context(), j, "b")
			waits <- err
		}()
		synctest.Wait()
		began := time.Now()
		if err := closing(t, j, time.Second); err != nil || time.Since(began) != 0 {
			t.Errorf("Close: %v after %v", err, time.Since(began))
		}
		if err := <-waits; err != nil {
			t.Errorf("a call of Refresh that waited: %v", err)
		}
		fetches := len(server.fetches())
		jwksPass(1000 * time.Hour)
		if ok, err := jwksAsk(t.Context(), j, "a"); !ok || err != nil {
			t.Errorf("a key after Close: %v, %v", ok, err)
		}
		if ok, err := jwksAsk(t.Context(), j, "b"); ok || err != nil {
			t.Errorf("an unknown key after Close: %v, %v", ok, err)
		}
		if err := j.Ready(t.Context()); err != nil {
			t.Errorf("Ready after Close: %v", err)
		}
		if n := len(server.fetches()); n != fetches || len(told.take()) != 0 {
			t.Errorf("%d fetches after Close, or errors", n-fetches)
		}
	})
}

func TestJWKSCloseBeforeTheFirstDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newJWKSServer("a")
		server.delay = time.Hour
		j := newTestJWKS(t, server, JWKSConfig{})
		ready := make(chan error)
		go func() { ready <- j.Ready(t.Context()) }()
		waits := make(chan error)
		go func() {
			_, err := j.Refresh(t.Context(), nil, "a")
			waits <- err
		}()
		synctest.Wait()
		if err := closing(t, j, time.Second); err != nil {
			t.Error(err)
		}
		if err := <-ready; err == nil || !strings.Contains(err.Error(), "closed") {
			t.Errorf("Ready: %v", err)
		}
		wantUnavailable(t, <-waits)
		_, err := j.Refresh(t.Context(), nil, "a")
		wantUnavailable(t, err)
	})
}

// After Close nothing is left to wait for, or to come again for.
func TestJWKSRefreshAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := readyJWKS(t, newJWKSServer("a"), JWKSConfig{MinInterval: time.Minute})
		if err := closing(t, j, time.Second); err != nil {
			t.Fatal(err)
		}
		if ok, err := jwksAsk(t.Context(), j, "b"); ok || err != nil {
			t.Errorf("an unknown key: %v, %v", ok, err)
		}
	})
}

// What does not heed its context is named, there is no second one beside it, it counts
// as a failure, and what it brings in the end is taken.
func TestJWKSLoadThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		var calls atomic.Int64
		release := make(chan struct{})
		told := make(chan error, 10)
		j := readyJWKS(t, nil, JWKSConfig{
			Load: func(context.Context) ([]byte, error) {
				calls.Add(1)
				if hangs.Load() {
					<-release
					return jwksDocument("b"), nil
				}
				return jwksDocument("a"), nil
			},
			OnError: func(err error) { told <- err },
		})
		hangs.Store(true)
		jwksPass(2 * time.Second)
		began := time.Now()
		_, err := jwksAsk(t.Context(), j, "b")
		wantUnavailable(t, err)
		if time.Since(began) != 5*time.Second {
			t.Errorf("answered after %v", time.Since(began))
		}
		if err := <-told; !strings.Contains(err.Error(), "JWKSConfig.Load: has not returned after 6s") || time.Since(began) != 6*time.Second {
			t.Errorf("OnError: %v after %v", err, time.Since(began))
		}
		began = time.Now()
		_, err = jwksAsk(t.Context(), j, "c")
		if wantUnavailable(t, err); time.Since(began) != 0 {
			t.Errorf("while it hangs a call is answered after %v", time.Since(began))
		}
		jwksPass(time.Hour)
		if calls.Load() != 2 || j.Stats().Failures != 1 || len(told) != 0 {
			t.Errorf("%d calls, %+v", calls.Load(), j.Stats())
		}
		close(release)
		synctest.Wait()
		if !jwksHas(j.KeySet(), "b") || j.Stats().Failures != 1 {
			t.Errorf("the late document is not in use: %+v", j.Stats())
		}
	})
}

// One that fails late has failed once.
func TestJWKSLoadThatFailsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		told := new(errorLog)
		fail := true
		j := newTestJWKS(t, nil, JWKSConfig{OnError: told.add, Load: func(context.Context) ([]byte, error) {
			if fail {
				fail = false
				jwksPass(10 * time.Second)
				return nil, errors.New("gone")
			}
			return jwksDocument("a"), nil
		}})
		if err := j.Ready(t.Context()); err != nil {
			t.Error(err)
		}
		if s := j.Stats(); s.Failures != 1 || s.Fetches != 2 || len(told.take()) != 2 {
			t.Errorf("Stats: %+v", s)
		}
	})
}

func TestJWKSCloseNamesWhatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		j := newTestJWKS(t, nil, JWKSConfig{Load: func(context.Context) ([]byte, error) {
			<-release
			return jwksDocument("a"), nil
		}})
		jwksPass(3 * time.Second)
		err := closing(t, j, time.Second)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "a fetch of JWKSConfig.Load, begun 4s ago, has not returned") {
			t.Errorf("Close: %v", err)
		}
		close(release)
		if err := closing(t, j, time.Second); err != nil {
			t.Errorf("Close: %v", err)
		}
		if j.KeySet() != nil {
			t.Error("a document after Close")
		}
	})
}

// An OnError that hangs holds up nobody but Close.
func TestJWKSOnErrorThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		server := newJWKSServer("a")
		server.fails = errors.New("connection refused")
		j := newTestJWKS(t, server, JWKSConfig{OnError: func(error) { <-release }})
		synctest.Wait()
		server.set(func(s *jwksServer) { s.fails = nil })
		if err := j.Ready(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := closing(t, j, time.Second); err == nil || !strings.Contains(err.Error(), "OnError has not returned") {
			t.Errorf("Close: %v", err)
		}
		close(release)
	})
}

// What a Load does to its goroutine is a failure as any other.
func TestJWKSLoadThatPanicsOrExits(t *testing.T) {
	for want, end := range map[string]func(){
		"panicked: out of order": func() { panic("out of order") },
		"runtime.Goexit":         runtime.Goexit,
	} {
		synctest.Test(t, func(t *testing.T) {
			var good atomic.Bool
			told := make(chan error, 1)
			j := newTestJWKS(t, nil, JWKSConfig{
				Load: func(context.Context) ([]byte, error) {
					if !good.Load() {
						end()
					}
					return jwksDocument("a"), nil
				},
				OnError: func(err error) { told <- err },
			})
			if err := <-told; !strings.Contains(err.Error(), want) {
				t.Errorf("OnError: %v, want %q", err, want)
			}
			good.Store(true)
			if err := j.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
