package auth

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// testSource gives tokens named 1, 2, … that live for life.
type testSource struct {
	calls atomic.Int64
	life  time.Duration // 0: no ExpiresAt
	takes time.Duration
	err   atomic.Pointer[error]
}

func (s *testSource) Token(ctx context.Context) (Token, error) {
	n := s.calls.Add(1)
	if s.takes > 0 {
		select {
		case <-time.After(s.takes):
		case <-ctx.Done():
			return Token{}, ctx.Err()
		}
	}
	if err := s.err.Load(); err != nil {
		return Token{}, *err
	}
	t := Token{Value: fmt.Sprint(n)}
	if s.life > 0 {
		t.ExpiresAt = time.Now().Add(s.life)
	}
	return t, nil
}

func (s *testSource) fail(err error) { s.err.Store(&err) }

func mustReuse(t testing.TB, src TokenSource, cfg ReuseConfig) *Reuse {
	t.Helper()
	r, err := NewReuse(src, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// wantToken asks r.
func wantToken(t *testing.T, r *Reuse, want string) {
	t.Helper()
	got, err := r.Token(t.Context())
	if err != nil || got.Value != want {
		t.Errorf("%v: token %q, %v; want %q", time.Now().Format(time.TimeOnly), got.Value, err, want)
	}
}

func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// The next token is asked for in the background, early, and once.
func TestReuseRefreshesEarly(t *testing.T) {
	for name, tt := range map[string]struct {
		life         time.Duration
		cfg          ReuseConfig
		fresh, stale time.Duration // ages
	}{
		"a fifth":              {10 * time.Minute, ReuseConfig{}, 7*time.Minute + 29*time.Second, 8 * time.Minute},
		"5 min":                {10 * time.Hour, ReuseConfig{}, 10*time.Hour - 6*time.Minute - 16*time.Second, 10*time.Hour - 5*time.Minute},
		"as configured":        {10 * time.Hour, ReuseConfig{Early: time.Hour}, 8*time.Hour + 44*time.Minute, 9 * time.Hour},
		"no more than half":    {10 * time.Minute, ReuseConfig{Early: time.Hour}, 5*time.Minute - 1, 5 * time.Minute},
		"a second at least":    {1200 * time.Millisecond, ReuseConfig{}, time.Second - 1, time.Second},
		"unknown":              {0, ReuseConfig{}, time.Minute - 1, time.Minute},
		"unknown, configured":  {0, ReuseConfig{MaxAge: time.Hour}, time.Hour - 1, time.Hour},
		"always half":          {10 * time.Minute, ReuseConfig{Early: math.MaxInt64}, 5*time.Minute - 1, 5 * time.Minute},
		"unknown, Early is no": {0, ReuseConfig{Early: 10 * time.Minute, MaxAge: time.Hour}, time.Hour - 1, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := &testSource{life: tt.life}
				r := mustReuse(t, src, tt.cfg)
				wantToken(t, r, "1")
				after(tt.fresh)
				wantToken(t, r, "1")
				synctest.Wait()
				if n := src.calls.Load(); n != 1 {
					t.Fatalf("asked %d times after %v", n, tt.fresh)
				}
				after(tt.stale - tt.fresh)
				wantToken(t, r, "1") // does not wait
				synctest.Wait()
				wantToken(t, r, "2")
				if n := src.calls.Load(); n != 2 {
					t.Errorf("asked %d times", n)
				}
			})
		})
	}
}

// A file's token is read anew every minute, or when it was rejected.
func TestReuseFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	write := func(token string) {
		if err := os.WriteFile(path, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	synctest.Test(t, func(t *testing.T) {
		write("one")
		r := mustReuse(t, FileTokenSource(path), ReuseConfig{})
		wantToken(t, r, "one")
		write("two")
		after(time.Minute - 1)
		wantToken(t, r, "one")
		after(1)
		wantToken(t, r, "one") // and the file is read
		synctest.Wait()
		wantToken(t, r, "two")
		write("three")
		r.Invalidate("two")
		wantToken(t, r, "three")
	})
}

// Replicas that started together do not ask together.
func TestReuseJitter(t *testing.T) {
	r := mustReuse(t, &testSource{}, ReuseConfig{Early: time.Minute})
	now := time.Now()
	seen := make(map[time.Time]bool)
	for range 50 {
		at := r.staleAt(Token{ExpiresAt: now.Add(time.Hour)}, now)
		if d := at.Sub(now); d > 59*time.Minute || d < 58*time.Minute+45*time.Second {
			t.Errorf("stale after %v", d)
		}
		seen[at] = true
	}
	if len(seen) < 25 {
		t.Errorf("%d moments of 50", len(seen))
	}
}

// A thousand who need a token wait for one call, each as long as they like.
func TestReuseSingleFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &testSource{life: time.Hour, takes: 10 * time.Second}
		r := mustReuse(t, src, ReuseConfig{})
		impatient, cancel := context.WithCancelCause(t.Context())
		why := errors.New("why")
		var got, gone atomic.Int64
		for i := range 1000 {
			ctx := t.Context()
			if i%2 == 0 { // the first of all among them
				ctx = impatient
			}
			go func() {
				switch token, err := r.Token(ctx); {
				case err == nil && token.Value == "1":
					got.Add(1)
				case err == why:
					gone.Add(1)
				default:
					t.Errorf("%v %v", token, err)
				}
			}()
		}
		after(time.Second)
		cancel(why)
		synctest.Wait()
		if gone.Load() != 500 || got.Load() != 0 {
			t.Errorf("%d have gone, %d have a token", gone.Load(), got.Load())
		}
		after(9 * time.Second)
		if got.Load() != 500 || src.calls.Load() != 1 {
			t.Errorf("%d have a token after %d calls", got.Load(), src.calls.Load())
		}
	})
}

// A source that fails in the background costs nothing before the token expires,
// and is asked ever less often.
func TestReuseSourceFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []error
		src := &testSource{life: 10 * time.Minute}
		r := mustReuse(t, src, ReuseConfig{OnError: func(err error) { told = append(told, err) }})
		wantToken(t, r, "1")
		start := time.Now()
		down := errors.New("down")
		src.fail(down)
		for time.Since(start) < 10*time.Minute-100*time.Millisecond {
			wantToken(t, r, "1")
			synctest.Wait()
			<-time.After(100 * time.Millisecond)
		}
		// Of 2 to 2.5 min: 8 until 30 s are reached, and then one in 15 to 30 s.
		if n := src.calls.Load(); n < 8 || n > 18 || int64(len(told)) != n-1 || told[0] != down {
			t.Errorf("%d calls, %v", n, told)
		}
		after(100 * time.Millisecond)
		before := src.calls.Load()
		var transient interface {
			Retryable() bool
			RetryDelay() time.Duration
		}
		_, err := r.Token(t.Context())
		if !errors.Is(err, down) || !errors.Is(err, ErrUnavailable) || !errors.As(err, &transient) || !transient.Retryable() || transient.RetryDelay() <= 0 || transient.RetryDelay() > 30*time.Second {
			t.Fatalf("expired: %v", err)
		}
		for range 100 {
			if _, err := r.Token(t.Context()); !errors.Is(err, down) {
				t.Errorf("%v", err)
			}
		}
		if n := src.calls.Load() - before; n > 1 {
			t.Errorf("%d calls for a hundred", n)
		}
		src.err.Store(nil)
		after(transient.RetryDelay())
		token, err := r.Token(t.Context())
		if err != nil || token.Value == "1" {
			t.Errorf("up again: %v %v", token, err)
		}
	})
}

// What is no token counts as a failure, and whether to try again is the source's word.
func TestReuseBadAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, tt := range map[string]struct {
			src       TokenSourceFunc
			want      string
			retryable bool
		}{
			"empty":   {func(context.Context) (Token, error) { return Token{}, nil }, "gave an empty token", true},
			"expired": {func(context.Context) (Token, error) { return Token{Value: "secret", ExpiresAt: time.Now()}, nil }, "has expired", true},
			"slow": {func(ctx context.Context) (Token, error) {
				<-ctx.Done()
				return Token{}, ctx.Err()
			}, "did not answer within 30s", true},
			"for good": {func(context.Context) (Token, error) { return Token{}, forGood{} }, "for good", false},
		} {
			_, err := mustReuse(t, tt.src, ReuseConfig{}).Token(t.Context())
			if err == nil || !strings.HasPrefix(err.Error(), "auth: no token for calls: ") || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
				t.Fatalf("%s: %v", name, err)
			}
			if err.(*sourceError).Retryable() != tt.retryable || errors.Is(err, ErrUnavailable) != tt.retryable || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		}
	})
}

type forGood struct{}

func (forGood) Error() string   { return "for good" }
func (forGood) Retryable() bool { return false }

// A storm of 401s makes one refresh, and a peer that rejects everything one in 30 s.
func TestReuseInvalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &testSource{life: time.Hour, takes: time.Second}
		r := mustReuse(t, src, ReuseConfig{})
		r.Invalidate("") // nothing is there
		wantToken(t, r, "1")
		r.Invalidate("0")
		wantToken(t, r, "1")
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() {
				r.Invalidate("1")
				wantToken(t, r, "2") // waits
			})
		}
		wg.Wait()
		r.Invalidate("1") // late
		wantToken(t, r, "2")
		for range 20 { // 29 s, as the first second is over
			token, _ := r.Token(t.Context())
			r.Invalidate(token.Value)
			after(1449 * time.Millisecond)
		}
		wantToken(t, r, "2")
		if n := src.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
		after(time.Second)
		r.Invalidate("2")
		wantToken(t, r, "3")
	})
}

// A token that one peer rejects is used on while there is no other.
func TestReuseInvalidatedAndFailing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &testSource{life: time.Minute}
		r := mustReuse(t, src, ReuseConfig{})
		wantToken(t, r, "1")
		src.fail(errors.New("down"))
		r.Invalidate("1")
		for range 100 {
			wantToken(t, r, "1")
		}
		if n := src.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
		after(time.Minute)
		if _, err := r.Token(t.Context()); err == nil {
			t.Error("it gives out a token that has expired")
		}
	})
}

// A panic of the source goes on in who waits, and the next call is a new one.
func TestReuseSourcePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mode := "panic"
		r := mustReuse(t, TokenSourceFunc(func(context.Context) (Token, error) {
			switch mode {
			case "panic":
				panic("boom")
			case "exit":
				runtime.Goexit()
			}
			return Token{Value: "t"}, nil
		}), ReuseConfig{})
		func() {
			defer func() {
				if v := recover(); v != "boom" {
					t.Errorf("recovered %v", v)
				}
			}()
			_, err := r.Token(t.Context())
			t.Errorf("it returned %v", err)
		}()
		if _, err := r.Token(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") || strings.Contains(err.Error(), "boom") {
			t.Errorf("at once: %v", err)
		}
		mode = "exit"
		after(time.Second)
		exited := make(chan bool, 1)
		go func() {
			defer close(exited)
			_, err := r.Token(t.Context())
			exited <- err == nil
		}()
		if _, returned := <-exited; returned {
			t.Error("it returned in spite of a Goexit")
		}
		mode = ""
		after(time.Second)
		wantToken(t, r, "t")
	})
}

// Close ends the call under way and waits for it; nothing is asked afterwards.
func TestReuseClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &testSource{life: time.Hour, takes: time.Second}
		r := mustReuse(t, src, ReuseConfig{})
		wantToken(t, r, "1")
		after(time.Hour - time.Minute)
		wantToken(t, r, "1") // asks for the next
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		wantToken(t, r, "1")
		after(time.Minute)
		_, err := r.Token(t.Context())
		if !errors.Is(err, errReuseClosed) || err.(*sourceError).Retryable() {
			t.Errorf("after Close: %v", err)
		}
		synctest.Wait()
		if n := src.calls.Load(); n != 2 {
			t.Errorf("%d calls", n)
		}
		if err := r.Close(t.Context()); err != nil {
			t.Errorf("twice: %v", err)
		}
	})
}

// Who waits while it is closed is not told of a cancelation, which would look like its own.
func TestReuseCloseWhileAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := mustReuse(t, &testSource{takes: time.Second}, ReuseConfig{})
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err = r.Token(t.Context())
		}()
		synctest.Wait()
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
		<-done
		if !errors.Is(err, errReuseClosed) || errors.Is(err, context.Canceled) || err.(*sourceError).Retryable() {
			t.Error(err)
		}
	})
}

// A source that does not heed its context is named.
func TestReuseCloseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		r := mustReuse(t, TokenSourceFunc(func(context.Context) (Token, error) {
			<-release
			return Token{Value: "t"}, nil
		}), ReuseConfig{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := r.Token(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if err := r.Close(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "still hangs") {
			t.Error(err)
		}
		close(release)
		if err := r.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestNewReuseErrors(t *testing.T) {
	_, err := NewReuse(nil, ReuseConfig{Early: -1, MaxAge: -1, Timeout: -1})
	for _, want := range []string{"src is nil", "ReuseConfig.Early: -1ns is negative", "ReuseConfig.MaxAge: -1ns", "ReuseConfig.Timeout: -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
}

func TestReuseAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	r, ctx := mustReuse(t, &testSource{life: time.Hour}, ReuseConfig{}), t.Context()
	wantToken(t, r, "1")
	if n := testing.AllocsPerRun(100, func() { _, _ = r.Token(ctx) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
