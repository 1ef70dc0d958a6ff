package rpcstate_test

import (
	"context"
	"runtime"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
)

// guard goes through as a way does, in the Guard of its kind.
var guards = map[string]func(ctx context.Context, handle rpcstate.Handle, handler func(context.Context) error) error{
	"unary": func(ctx context.Context, handle rpcstate.Handle, handler func(context.Context) error) error {
		resp, err := rpcstate.GuardUnary(ctx, nil, method, func(ctx context.Context, _ any) (any, error) { return "half", handler(ctx) }, handle)
		if err != nil && resp != nil && resp != "half" {
			panic("an answer beside the error")
		}
		return err
	},
	"stream": func(ctx context.Context, handle rpcstate.Handle, handler func(context.Context) error) error {
		return rpcstate.GuardStream(nil, &messages{ctx: ctx}, method, func(_ any, s grpc.ServerStream) error { return handler(s.Context()) }, handle)
	},
}

func TestGuard(t *testing.T) {
	for kind, guard := range guards {
		through := ways[kind]
		for name, tt := range map[string]struct {
			leave   func() error
			how     string
			told    int
			outcome reqstate.Outcome
		}{
			"return": {func() error { return nil }, "return <nil>", 0, reqstate.Complete},
			"error":  {func() error { return context.DeadlineExceeded }, "return context deadline exceeded", 0, reqstate.TimedOut},
			"panic":  {func() error { panic("x") }, "return rpc error: code = Internal desc = told", 1, reqstate.Panicked},
			"Goexit": {func() error { runtime.Goexit(); return nil }, "Goexit", 0, reqstate.Aborted},
		} {
			for _, outside := range []bool{true, false} {
				var j journal
				told := 0
				handle := func(ctx context.Context, v any) error {
					told++
					if v != "x" || reqstate.FromContext(ctx) == nil {
						t.Errorf("%s, %s: told %v", kind, name, v)
					}
					return status.Error(codes.Internal, "told")
				}
				how := left(func() error {
					if outside { // as it should be mounted
						return guard(t.Context(), handle, func(ctx context.Context) error {
							return through(ctx, &j, func(context.Context) error { return tt.leave() })
						})
					}
					return through(t.Context(), &j, func(ctx context.Context) error {
						return guard(ctx, handle, func(context.Context) error { return tt.leave() })
					})
				})
				if how != tt.how || told != tt.told {
					t.Errorf("%s, %s, outside %t: %s; told %d times", kind, name, outside, how, told)
				}
				if rec := j.only(t); rec.Outcome != tt.outcome {
					t.Errorf("%s, %s, outside %t: %v", kind, name, outside, rec.Outcome)
				}
			}
		}
	}
}

// A panic of an observer is told, too, and the answer stands: it is the observer's
// mistake, and not the call's.
func TestGuardObserver(t *testing.T) {
	for kind, guard := range guards {
		through := ways[kind]
		told := 0
		handle := func(context.Context, any) error { told++; return status.Error(codes.Internal, "told") }
		err := guard(t.Context(), handle, func(ctx context.Context) error {
			return through(ctx, &journal{onEnd: func() { panic("observer") }}, func(context.Context) error { return nil })
		})
		if err != nil || told != 1 {
			t.Errorf("%s: %v, told %d times", kind, err, told)
		}
	}
}
