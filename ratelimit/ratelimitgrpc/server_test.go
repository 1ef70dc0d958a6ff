package ratelimitgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

var denied = outcome{codes.ResourceExhausted, "RATE_LIMITED", 1800, ""} // two an hour

func TestServer(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, echo, intercept(newLimiter(t, ratelimit.PerHour(2)), ratelimitgrpc.ServerConfig{Key: byUser}))
			for _, user := range []string{"ann", "bob"} {
				ctx := as(t.Context(), user)
				for i := range int64(2) {
					if got := call(ctx, cc, i+7); got.err != nil || got.n != i+7 {
						t.Errorf("call %d of %s: %d, %v", i, user, got.n, got.err)
					} else if len(got.header.Get("ratelimit"))+len(got.trailer.Get("grpc-retry-pushback-ms")) > 0 {
						t.Errorf("unasked: %v, %v", got.header, got.trailer)
					}
				}
				got := call(ctx, cc, 1)
				denied.check(t, got.err, got.trailer)
			}
		})
	}
}

// Calls of both kinds count against one limit if they have one Limiter and Key.
func TestServerKindsShareALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc := serve(t, echo, intercept(newLimiter(t, ratelimit.PerHour(2)), ratelimitgrpc.ServerConfig{Key: oneKey}))
		for _, call := range kinds {
			if got := call(t.Context(), cc, 1); got.err != nil {
				t.Error(got.err)
			}
		}
		for _, call := range kinds {
			got := call(t.Context(), cc, 1)
			denied.check(t, got.err, got.trailer)
		}
	})
}

func TestServerCost(t *testing.T) {
	cost := func(_ context.Context, method string, req any) int {
		if method == streamMethod {
			if req != nil {
				t.Errorf("the stream's start costs as %v", req)
			}
			return 3
		}
		return int(req.(*wrapperspb.Int64Value).Value)
	}
	bubble(t, "in this order", func(t *testing.T) {
		cc := serve(t, echo, intercept(newLimiter(t, ratelimit.PerHour(10)), ratelimitgrpc.ServerConfig{Key: oneKey, Cost: cost}))
		for _, step := range []struct {
			name string
			call func(context.Context, *grpc.ClientConn, int64) answer
			n    int64
			want outcome
		}{
			{"more than ever", callUnary, 11, outcome{codes.ResourceExhausted, "COST_EXCEEDS_LIMIT", -1, ""}},
			{"seven", callUnary, 7, outcome{}},
			{"four more", callUnary, 4, outcome{codes.ResourceExhausted, "RATE_LIMITED", 360, ""}},
			{"a stream for three", callStream, 1000, outcome{}},
			{"exempt", callUnary, 0, outcome{}},
			{"negative", callUnary, -1, outcome{codes.Internal, "", 0, ""}},
			{"another stream", callStream, 0, outcome{codes.ResourceExhausted, "RATE_LIMITED", 3 * 360, ""}},
		} {
			t.Log(step.name)
			got := step.call(t.Context(), cc, step.n)
			step.want.check(t, got.err, got.trailer)
		}
	})
}

// What a limiter that fails decides is what is done.
func TestServerOfALimiterThatFails(t *testing.T) {
	down := otherError{true, 0, nil}
	for name, tt := range map[string]struct {
		limiter *fake
		want    outcome
	}{
		"open":              {&fake{d: ratelimit.Decision{OK: true}, err: down}, outcome{}},
		"closed":            {&fake{err: down}, outcome{codes.Unavailable, "UNAVAILABLE", 1, ""}},
		"for good":          {&fake{err: errors.New(secret)}, outcome{codes.Internal, "", 0, ""}},
		"denied by a rule":  {&fake{d: ratelimit.Decision{Rule: "day", RetryAfter: 1}}, outcome{codes.ResourceExhausted, "RATE_LIMITED", 1, "day"}},
		"denied and failed": {&fake{d: ratelimit.Decision{RetryAfter: rate.InfDuration}, err: down}, outcome{codes.Unavailable, "UNAVAILABLE", 1, ""}},
	} {
		cc := serve(t, echo, intercept(tt.limiter, ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByMethod, Headers: true}))
		for kind, call := range kinds {
			t.Run(name+" "+kind, func(t *testing.T) {
				got := call(t.Context(), cc, 1)
				tt.want.check(t, got.err, got.trailer)
			})
		}
		if slices.Sort(tt.limiter.keys); !slices.Equal(tt.limiter.keys, []string{streamMethod, unaryMethod}) {
			t.Errorf("keys %q", tt.limiter.keys)
		}
	}
}

func TestServerHeaders(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, echo, intercept(newLimiter(t, ratelimit.PerHour(2)), ratelimitgrpc.ServerConfig{Key: oneKey, Headers: true}))
			for _, want := range []string{`"default";r=1;t=1800`, `"default";r=0;t=1800`, `"default";r=0;t=1800`} {
				got := call(t.Context(), cc, 1)
				if limit, policy := got.header.Get("ratelimit"), got.header.Get("ratelimit-policy"); !slices.Equal(limit, []string{want}) ||
					!slices.Equal(policy, []string{`"default";q=2;w=3600`}) {
					t.Errorf("ratelimit %q, want %q; ratelimit-policy %q", limit, want, policy)
				}
			}
		})
	}
}

// Deny is told the error, and may answer in its own words.
func TestServerDeny(t *testing.T) {
	own := status.Error(codes.Aborted, "Not today.")
	for kind, call := range kinds {
		for name, answer := range map[string]error{"own": own, "none": nil} {
			t.Run(kind+" "+name, func(t *testing.T) {
				var told []string
				cc := serve(t, echo, intercept(&fake{err: errors.New(secret)}, ratelimitgrpc.ServerConfig{
					Key: oneKey,
					Deny: func(ctx context.Context, fullMethod string, err error) error {
						if _, ok := metadata.FromIncomingContext(ctx); !ok {
							t.Error("ctx is not the call's")
						}
						told = append(told, fmt.Sprint(fullMethod, " ", err))
						return answer
					},
				}))
				got := call(t.Context(), cc, 1)
				want := codes.Internal
				if answer != nil {
					want = codes.Aborted
				}
				if status.Code(got.err) != want {
					t.Errorf("the client got %v, want %v", got.err, want)
				}
				method := map[string]string{"unary": unaryMethod, "stream": streamMethod}[kind]
				if !slices.Equal(told, []string{method + " " + secret}) {
					t.Errorf("Deny was told %q", told)
				}
			})
		}
	}
}

// Interceptors add nothing between a handler and what recovers its panics.
func TestServerPanicPassesThrough(t *testing.T) {
	cfg := ratelimitgrpc.ServerConfig{Key: oneKey, PerReceived: true}
	l := newLimiter(t, ratelimit.PerHour(10))
	caught := func(f func()) (v any) {
		defer func() { v = recover() }()
		f()
		return nil
	}
	if v := caught(func() {
		_, _ = ratelimitgrpc.UnaryServerInterceptor(l, cfg)(t.Context(), nil, &grpc.UnaryServerInfo{},
			func(context.Context, any) (any, error) { panic(secret) })
	}); v != secret {
		t.Errorf("unary: %v", v)
	}
	if v := caught(func() {
		_ = ratelimitgrpc.StreamServerInterceptor(l, cfg)(nil, nil, &grpc.StreamServerInfo{},
			func(any, grpc.ServerStream) error { panic(secret) })
	}); v != secret {
		t.Errorf("stream: %v", v)
	}
}

func TestServerWithoutLimiterOrKeyPanics(t *testing.T) {
	l, cfg := newLimiter(t, ratelimit.PerHour(1)), ratelimitgrpc.ServerConfig{Key: oneKey}
	for name, build := range map[string]func(){
		"ratelimitgrpc: UnaryServerInterceptor of a nil Limiter":          func() { ratelimitgrpc.UnaryServerInterceptor(nil, cfg) },
		"ratelimitgrpc: StreamServerInterceptor of a nil Limiter":         func() { ratelimitgrpc.StreamServerInterceptor(nil, cfg) },
		"ratelimitgrpc: UnaryServerInterceptor without ServerConfig.Key":  func() { ratelimitgrpc.UnaryServerInterceptor(l, ratelimitgrpc.ServerConfig{}) },
		"ratelimitgrpc: StreamServerInterceptor without ServerConfig.Key": func() { ratelimitgrpc.StreamServerInterceptor(l, ratelimitgrpc.ServerConfig{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v != name {
					t.Errorf("%v, want %q", v, name)
				}
			}()
			build()
		}()
	}
}

// Never more than the burst gets in, however many come at once.
func TestServerStress(t *testing.T) {
	const burst, callers, each = 50, 8, 20
	cfg := ratelimitgrpc.ServerConfig{Key: oneKey}
	var served atomic.Int64
	handle := numbers{
		unary: func(_ context.Context, n int64) (int64, error) { served.Add(1); return n, nil },
		stream: func(stream grpc.ServerStream) error {
			served.Add(1)
			n, err := receive(stream)
			if err != nil {
				return err
			}
			return send(stream, n)
		},
	}
	cc := serve(t, handle, intercept(newLimiter(t, ratelimit.PerHour(burst)), cfg))
	var wg sync.WaitGroup
	var ok atomic.Int64
	for i := range callers {
		wg.Go(func() {
			call := callUnary
			if i%2 == 0 {
				call = callStream
			}
			for range each {
				got := call(t.Context(), cc, 1)
				if got.err == nil {
					ok.Add(1)
				} else if status.Code(got.err) != codes.ResourceExhausted {
					t.Error(got.err)
				}
			}
		})
	}
	wg.Wait()
	if ok.Load() != burst || served.Load() != burst {
		t.Errorf("%d answers, %d handled, want %d", ok.Load(), served.Load(), burst)
	}
}
