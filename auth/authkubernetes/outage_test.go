package authkubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// Whatever the API server answers that is no review is an outage: nobody gets in
// by it, nobody is told that their token is bad, and who is remembered stays so.
func TestOutages(t *testing.T) {
	elsewhere := all()
	other := httptest.NewServer(elsewhere)
	defer other.Close()
	status := func(code int, text string, header ...string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Set(header[i], header[i+1])
			}
			w.WriteHeader(code)
			fmt.Fprint(w, text)
			return true
		}
	}
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request) bool
		after  time.Duration
		reason string
	}{
		"500":           {status(500, `{"kind":"Status","reason":"InternalError"}`), time.Second, `500 "InternalError"`},
		"503":           {status(503, "", "Retry-After", "7"), 7 * time.Second, "503"},
		"429":           {status(429, "", "Retry-After", "1"), time.Second, "429"},
		"429, for long": {status(429, "", "Retry-After", "86400"), time.Minute, "429"},
		"503, nonsense": {status(503, "", "Retry-After", "-1"), time.Second, "503"},
		"401":           {status(401, ""), time.Second, "own credential"},
		"403":           {status(403, `{"reason":"Forbidden"}`), time.Second, "system:auth-delegator"},
		"404":           {status(404, "<html>"), time.Second, "404"},
		"a redirect":    {status(307, "", "Location", other.URL), time.Second, "307"},
		"no JSON":       {status(201, "<html>"), time.Second, "not a review"},
		"no review":     {status(201, "{}"), time.Second, "not a"},
		"204":           {status(204, ""), time.Second, "204"},
		"endless":       {status(201, strings.Repeat(" ", 256<<10+1)), time.Second, "longer than"},
		"cut": {func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, `{"kind":`)
			return true
		}, time.Second, "cut"},
		"aborted": {func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, time.Second, "EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			f := all()
			client := overHTTP(t, f)
			a := authenticator(t, authkubernetes.Config{Client: client})
			z := authorizer(t, authkubernetes.AuthorizerConfig{Client: client})
			known := account("client")
			p, err := a.Authenticate(t.Context(), auth.Credentials{Token: known})
			if err != nil {
				t.Fatal(err)
			}
			if err := z.Authorize(t.Context(), p, "predict", "open"); err != nil {
				t.Fatal(err)
			}
			f.answer(test.answer)
			for range 2 {
				err = try(a, account("client"))
				wantUnavailable(t, err, test.after)
				if !strings.Contains(err.Error(), test.reason) {
					t.Errorf("it says %v", err)
				}
				wantUnavailable(t, z.Authorize(t.Context(), p, "predict", "open, too"), test.after)
			}
			if err := errors.Join(try(a, known), z.Authorize(t.Context(), p, "predict", "open")); err != nil {
				t.Errorf("who is remembered: %v", err)
			}
			if s := a.Stats(); s.Failed != 2 || s.Reviews != 3 || s.Hits != 1 {
				t.Errorf("stats %+v", s)
			}
			f.answer(nil)
			if err := errors.Join(try(a, account("client")), z.Authorize(t.Context(), p, "predict", "open, too")); err != nil {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
	if n := elsewhere.asked.Load(); n != 0 {
		t.Errorf("a redirect took %d tokens elsewhere", n)
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	a := authenticator(t, authkubernetes.Config{Client: authkubernetes.Client{
		REST: &rest.Config{Host: "http://" + l.Addr().String(), BearerToken: "own-secret"},
	}})
	err = try(a, account("client"))
	wantUnavailable(t, err, time.Second)
	if strings.Contains(err.Error(), "own-secret") {
		t.Errorf("it says %v", err)
	}
}

// A server that is slow costs a request Timeout, its own deadline, or nothing if its
// caller leaves; a request that waits for another's review no more than that.
func TestHangingServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		f.answer(hang)
		a := authenticator(t, authkubernetes.Config{Client: direct(f)})
		tok := account("client")
		ask := func(ctx context.Context) (time.Duration, error) {
			start := time.Now()
			_, err := a.Authenticate(ctx, auth.Credentials{Token: tok})
			return time.Since(start), err
		}
		var wg sync.WaitGroup
		for _, who := range []struct {
			after  time.Duration // when it comes
			within time.Duration // its own deadline
			takes  time.Duration
			want   error
		}{
			{0, time.Second, time.Second, context.DeadlineExceeded}, // leaves others without an answer
			{time.Millisecond, 0, 5 * time.Second, auth.ErrUnavailable},
			{time.Millisecond, 2 * time.Second, 2 * time.Second, context.DeadlineExceeded},
			{4 * time.Second, 0, 5 * time.Second, auth.ErrUnavailable},
		} {
			wg.Go(func() {
				sleep(who.after)
				ctx := context.Background()
				if who.within > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, who.within)
					defer cancel()
				}
				if took, err := ask(ctx); took != who.takes || !errors.Is(err, who.want) {
					t.Errorf("%+v: %v after %v", who, err, took)
				}
			})
		}
		wg.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if took, err := ask(ctx); took != time.Second || !errors.Is(err, context.Canceled) {
			t.Errorf("who left: %v after %v", err, took)
		}
		f.answer(nil)
		if _, err := ask(context.Background()); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}

// Made-up tokens neither make more reviews than QPS and Burst, nor anybody wait
// longer than the reviews under way take.
func TestFloodIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		a := authenticator(t, authkubernetes.Config{Client: direct(f)}) // 50 a second, 100 at once, 64 under way
		known := account("client")
		if err := try(a, known); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		var shed atomic.Int64
		const perMillisecond, milliseconds = 10, 2000
		var wg sync.WaitGroup
		for range milliseconds {
			for range perMillisecond {
				wg.Go(func() {
					begin := time.Now()
					err := try(a, token(map[string]any{"aud": audience}))
					if waited := time.Since(begin); waited > 64*time.Second/50 {
						t.Errorf("one waited %v", waited)
					}
					switch {
					case errors.Is(err, auth.ErrUnavailable):
						shed.Add(1)
						wantUnavailable(t, err, 1280*time.Millisecond)
						if !begin.Equal(time.Now()) {
							t.Error("one waited to be turned away")
						}
					case !errors.Is(err, auth.ErrInvalid):
						t.Error(err)
					}
				})
			}
			if err := try(a, known); err != nil {
				t.Fatalf("who is remembered: %v", err)
			}
			sleep(time.Millisecond)
		}
		wg.Wait()
		most := 100 + int64(50*time.Since(start).Seconds()) + 1
		if n := f.asked.Load(); n > most || n < most-10 {
			t.Errorf("%d reviews, want about %d", n, most)
		}
		if s := a.Stats(); s.Shed != uint64(shed.Load()) || s.Shed+s.Reviews != perMillisecond*milliseconds+1 {
			t.Errorf("stats %+v, %d were turned away", s, shed.Load())
		}
	})
}

// A wait for QPS that Timeout cuts off is none.
func TestQPSUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := direct(all())
		c.QPS, c.Burst, c.Timeout = 0.1, 1, time.Second
		a := authenticator(t, authkubernetes.Config{Client: c})
		if err := try(a, account("client")); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		wantUnavailable(t, try(a, account("client")), 640*time.Second)
		if time.Since(start) != 0 {
			t.Errorf("it waited %v", time.Since(start))
		}
	})
}

// Many requests by one token, such as after a restart, ask once.
func TestOneReview(t *testing.T) {
	f := all()
	a := authenticator(t, authkubernetes.Config{Client: overHTTP(t, f)})
	tok := account("client")
	parallel(200, func(int) {
		if err := try(a, tok); err != nil {
			t.Error(err)
		}
	})
	if n := f.asked.Load(); n != 1 {
		t.Errorf("%d reviews", n)
	}
}

// A transport that panics takes its own caller along, and nobody else.
func TestPanicPassesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		entered, leave := make(chan struct{}), make(chan struct{})
		f.answer(func(http.ResponseWriter, *http.Request) bool {
			f.answer(nil)
			close(entered)
			<-leave
			panic("broken transport")
		})
		a := authenticator(t, authkubernetes.Config{Client: direct(f)})
		tok := account("client")
		var wg sync.WaitGroup
		wg.Go(func() {
			defer func() {
				if r := recover(); r != "broken transport" {
					t.Errorf("recovered %v", r)
				}
			}()
			_ = try(a, tok)
		})
		<-entered
		for range 3 {
			wg.Go(func() {
				if err := try(a, tok); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(leave)
		wg.Wait()
		if n := f.asked.Load(); n != 2 {
			t.Errorf("%d reviews", n)
		}
	})
}

// One that is let in has been asked about, whatever becomes of the others.
func TestTokensAreNotMixedUp(t *testing.T) {
	f := all()
	byToken := f.token
	f.token = func(r *http.Request, review *authenticationv1.TokenReview) {
		byToken(r, review)
		if strings.HasSuffix(review.Status.User.Username, "bad") {
			review.Status = authenticationv1.TokenReviewStatus{}
		}
	}
	c := overHTTP(t, f)
	c.QPS, c.Burst, c.MaxInFlight = 5000, 10000, 4096
	a := authenticator(t, authkubernetes.Config{Client: c, CacheEntries: 3})
	good := []string{account("a"), account("b"), account("c"), account("d")}
	bad := []string{account("bad"), account("bad")}
	parallel(8, func(i int) {
		for j := range 100 {
			k := (i + j) % 4
			p, err := a.Authenticate(t.Context(), auth.Credentials{Token: good[k]})
			if err != nil || p.Subject != "system:serviceaccount:prod:"+string(rune('a'+k)) {
				t.Errorf("%d is %+v: %v", k, p, err)
			}
			if err := try(a, bad[j%2]); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("bad: %v", err)
			}
		}
	})
	if n := a.Stats().Entries; n > 6 {
		t.Errorf("%d are remembered", n)
	}
}

// Whether requests are answered, turned away or left, none leaves a goroutine behind.
func TestNoGoroutineStays(t *testing.T) {
	f := all()
	srv := httptest.NewServer(f)
	defer srv.Close()
	transport := &http.Transport{}
	c := authkubernetes.Client{REST: &rest.Config{Host: srv.URL, Transport: transport}, MaxInFlight: 8, QPS: 5000}
	a := authenticator(t, authkubernetes.Config{Client: c})
	before := runtime.NumGoroutine()
	var left atomic.Int64
	f.answer(func(w http.ResponseWriter, r *http.Request) bool {
		if f.asked.Load()%2 == 0 {
			return hang(w, r)
		}
		return false
	})
	parallel(200, func(i int) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%5)*10*time.Millisecond)
		defer cancel()
		_, err := a.Authenticate(ctx, auth.Credentials{Token: account("client")})
		if errors.Is(err, context.DeadlineExceeded) {
			left.Add(1)
		}
	})
	if left.Load() == 0 {
		t.Error("nobody left")
	}
	eventually(t, "its goroutines end", func() error {
		transport.CloseIdleConnections()
		srv.CloseClientConnections()
		if n := runtime.NumGoroutine(); n > before {
			return fmt.Errorf("%d more than %d", n-before, before)
		}
		return nil
	})
}
