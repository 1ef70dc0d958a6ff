package breakergrpc_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// A server whose handlers fail stops calling them, says until when, and finds out
// that they are well again.
func TestServer(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{ConsecutiveFailures: 5, Probes: 1, OpenFor: 2 * time.Second, MaxOpenFor: 2 * time.Second})
				calls, broken := 0, true
				cc := serve(t, always(func(_ context.Context, n int64) (int64, error) {
					if calls++; broken {
						return 0, errDisk
					}
					return n, nil
				}), intercept(b, breakergrpc.ServerConfig{}))
				for range 5 {
					if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unknown {
						t.Errorf("%v", got.err)
					}
					synctest.Wait() // a server reports a moment after its client knows
				}
				for range 3 {
					got := call(t.Context(), cc, 1)
					if status.Code(got.err) != codes.Unavailable {
						t.Fatalf("an open breaker let a call through: %v", got.err)
					}
					s := b.Stats()
					wait := int64((s.RetryAfter + time.Second - 1) / time.Second)
					outcome{codes.Unavailable, "BREAKER_OPEN", wait}.check(t, got.err, got.trailer)
				}
				if calls != 5 || b.Stats().Opened != 1 {
					t.Errorf("%d calls, opened %d times", calls, b.Stats().Opened)
				}
				broken = false
				<-time.After(2 * time.Second)
				if got := call(t.Context(), cc, 7); got.err != nil || got.n != 7 {
					t.Errorf("the probe got %d, %v", got.n, got.err)
				}
				synctest.Wait()
				if s := b.State(); s != breaker.Recovering && s != breaker.Closed {
					t.Errorf("after a good probe it is %v", s)
				}
			})
		})
	}
}

// A client that leaves says nothing of the server, and one whose deadline passes
// does.
func TestServerClientThatLeaves(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, g := newBreaker(t, breaker.Config{}), newGate()
				cc := serve(t, always(g.handle), intercept(b, breakergrpc.ServerConfig{}))
				ctx, cancel := context.WithCancel(t.Context())
				done := make(chan answer)
				go func() { done <- call(ctx, cc, 1) }()
				<-g.begun
				cancel()
				if got := <-done; status.Code(got.err) != codes.Canceled {
					t.Error(got.err)
				}
				synctest.Wait()
				counts{ignored: 1}.check(t, b)

				for range 20 { // it races
					go func() { done <- call(within(t, time.Minute), cc, 1) }()
					<-g.begun
					if got := <-done; status.Code(got.err) != codes.DeadlineExceeded {
						t.Error(got.err)
					}
					synctest.Wait()
				}
				if got := told(b); got.ignored != 1 || got.failures == 0 {
					t.Errorf("the breaker was told %+v", got)
				}
			})
		})
	}
}

// However the handler is left, that goes on, and is told.
func TestServerReports(t *testing.T) {
	for kind, through := range map[string]func(b *breaker.Breaker, handler func()) error{
		"unary": func(b *breaker.Breaker, handler func()) error {
			_, err := breakergrpc.UnaryServerInterceptor(b, breakergrpc.ServerConfig{})(t.Context(), nil, &grpc.UnaryServerInfo{},
				func(context.Context, any) (any, error) { handler(); return nil, nil })
			return err
		},
		"stream": func(b *breaker.Breaker, handler func()) error {
			return breakergrpc.StreamServerInterceptor(b, breakergrpc.ServerConfig{})(nil, fakeStream{ctx: t.Context()},
				&grpc.StreamServerInfo{}, func(_ any, stream grpc.ServerStream) error { _ = stream.SendMsg(nil); handler(); return nil })
		},
	} {
		for name, tt := range map[string]struct {
			leave func()
			want  counts
		}{
			"return": {func() {}, counts{successes: 1}},
			"panic":  {func() { panic(secret) }, counts{failures: 1}},
			"Goexit": {runtime.Goexit, counts{failures: 1}},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{})
				left := make(chan string)
				go func() {
					how := "Goexit"
					defer func() {
						if v := recover(); v != nil {
							how = fmt.Sprint("panic ", v)
						}
						left <- how
					}()
					if err := through(b, func() { tt.leave() }); err != nil {
						t.Error(err)
					}
					how = "return"
				}()
				if got, want := <-left, map[string]string{"return": "return", "panic": "panic " + secret, "Goexit": "Goexit"}[name]; got != want {
					t.Errorf("left by %s, want %s", got, want)
				}
				tt.want.check(t, b)
			})
		}
	}
}

// Health checks are not shed, unless Pick wants it.
func TestServerPick(t *testing.T) {
	const health = "/grpc.health.v1.Health/"
	b, other := opened(t), newBreaker(t, breaker.Config{})
	pick := func(_ context.Context, fullMethod string) *breaker.Breaker {
		switch fullMethod {
		case service + "Unary", service + "Watch":
			return other
		case health + "Unary", health + "Watch":
			return b
		}
		return nil
	}
	for name, tt := range map[string]struct {
		b       *breaker.Breaker
		pick    func(context.Context, string) *breaker.Breaker
		service string
		want    codes.Code
	}{
		"default":            {b, nil, service, codes.Unavailable},
		"default, health":    {b, nil, health, codes.OK},
		"picked":             {b, pick, service, codes.OK},
		"picked, for health": {nil, pick, health, codes.Unavailable},
	} {
		cc := serve(t, echo, intercept(tt.b, breakergrpc.ServerConfig{Pick: tt.pick}))
		if got := callUnaryOf(t.Context(), cc, tt.service, 1); status.Code(got.err) != tt.want {
			t.Errorf("%s: %v", name, got.err)
		}
		if got := callStreamOf(t.Context(), cc, tt.service, watch, 1); status.Code(got.err) != tt.want {
			t.Errorf("%s, stream: %v", name, got.err)
		}
		if got := callStreamOf(t.Context(), cc, service, chat, 1); tt.pick != nil && got.err != nil {
			t.Errorf("%s, with no breaker: %v", name, got.err)
		}
	}
	for other.Stats().Successes < 2 && t.Context().Err() == nil {
		runtime.Gosched() // a server reports a moment after its client knows
	}
	counts{successes: 2}.check(t, other)
}

// Deny is told the error, and may answer in its own words.
func TestServerDeny(t *testing.T) {
	for kind, call := range kinds {
		for want, answer := range map[codes.Code]error{codes.Aborted: status.Error(codes.Aborted, "Not today."),
			codes.DeadlineExceeded: context.DeadlineExceeded, codes.Unavailable: nil} {
			var methods []string
			cc := serve(t, echo, intercept(opened(t), breakergrpc.ServerConfig{
				Deny: func(_ context.Context, fullMethod string, err error) error {
					methods = append(methods, fmt.Sprint(fullMethod, " ", errors.Is(err, breaker.ErrOpen)))
					return answer
				},
			}))
			if got := call(t.Context(), cc, 1); status.Code(got.err) != want {
				t.Errorf("%s: the client got %v, want %v", kind, got.err, want)
			}
			if len(methods) != 1 || !slices.Contains([]string{service + "Unary true", service + "Upload true", service + "Watch true", service + "Chat true"}, methods[0]) {
				t.Errorf("%s: Deny was told %q", kind, methods)
			}
		}
	}
}

// A call that another breaker further in turned away says nothing of what this
// one is for, whatever its Deny made of it.
func TestServerRefusalFurtherIn(t *testing.T) {
	for name, deny := range map[string]func(context.Context, string, error) error{
		"Status":    nil,
		"its own":   func(context.Context, string, error) error { return status.Error(codes.Unavailable, "Later.") },
		"no status": func(context.Context, string, error) error { return context.DeadlineExceeded },
	} {
		b := newBreaker(t, breaker.Config{})
		through := breakergrpc.UnaryServerInterceptor(b, breakergrpc.ServerConfig{})
		refuse := breakergrpc.UnaryServerInterceptor(opened(t), breakergrpc.ServerConfig{Deny: deny})
		_, err := through(t.Context(), nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, req any) (any, error) {
			return refuse(ctx, req, &grpc.UnaryServerInfo{}, nil)
		})
		if err == nil {
			t.Errorf("%s: let through", name)
		}
		counts{ignored: 1}.check(t, b)
	}
}

func TestConfigErrors(t *testing.T) {
	for want, build := range map[string]func(){
		"breakergrpc: UnaryServerInterceptor of a nil *Breaker, without ServerConfig.Pick":  func() { breakergrpc.UnaryServerInterceptor(nil, breakergrpc.ServerConfig{}) },
		"breakergrpc: StreamServerInterceptor of a nil *Breaker, without ServerConfig.Pick": func() { breakergrpc.StreamServerInterceptor(nil, breakergrpc.ServerConfig{}) },
		"breakergrpc: UnaryClientInterceptor of a nil *Breaker, without ClientConfig.Pick":  func() { breakergrpc.UnaryClientInterceptor(nil, breakergrpc.ClientConfig{}) },
		"breakergrpc: StreamClientInterceptor of a nil *Breaker, without ClientConfig.Pick": func() { breakergrpc.StreamClientInterceptor(nil, breakergrpc.ClientConfig{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v != want {
					t.Errorf("%v, want %q", v, want)
				}
			}()
			build()
		}()
	}
}

// Whatever happens to many calls at a time, each is told once, on both sides.
func TestStress(t *testing.T) {
	const callers, each = 8, 30
	never := breaker.Config{FailureRate: 1, ConsecutiveFailures: -1, MinCalls: 1 << 30}
	server, client := newBreaker(t, never), newBreaker(t, never)
	cc := serve(t, always(func(_ context.Context, n int64) (int64, error) {
		switch {
		case n%3 == 0:
			return 0, errDisk
		case n%7 == 0:
			return 0, status.Error(codes.NotFound, "Nobody is here.")
		}
		return n, nil
	}), intercept(server, breakergrpc.ServerConfig{}), guard(client, breakergrpc.ClientConfig{})...)
	all := []func(context.Context, *grpc.ClientConn, int64) answer{callUnary, callStream(upload), callStream(watch), callStream(chat)}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range int64(each) {
				ctx, cancel := context.WithCancel(t.Context())
				if n%5 == 0 {
					go cancel()
				}
				switch got := all[i%len(all)](ctx, cc, n); status.Code(got.err) {
				case codes.OK, codes.Unknown, codes.NotFound, codes.Canceled:
				default:
					t.Error(got.err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	sum := func(b *breaker.Breaker) uint64 { c := told(b); return c.successes + c.failures + c.ignored }
	for sum(client) < callers*each && t.Context().Err() == nil { // a canceled stream is seen to end by a goroutine of gRPC's
		runtime.Gosched()
	}
	if n := sum(client); n != callers*each {
		t.Errorf("%d calls, and %d outcomes: %+v", callers*each, n, told(client))
	}
	if n := sum(server); n > callers*each {
		t.Errorf("%d calls, and %d outcomes: %+v", callers*each, n, told(server))
	}
}
