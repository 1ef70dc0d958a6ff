package ratelimitgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/rpctest"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// observed puts both of a server's interceptors inside o.
func observed(o *rpctest.Observer, l ratelimit.Limiter, cfg ratelimitgrpc.ServerConfig) []grpc.ServerOption {
	return append(o.Server(),
		grpc.ChainUnaryInterceptor(ratelimitgrpc.UnaryServerInterceptor(l, cfg)),
		grpc.ChainStreamInterceptor(ratelimitgrpc.StreamServerInterceptor(l, cfg)))
}

// What logs and metrics know of a call that was turned away, in the words of HTTP. A
// limit says nothing of the service, and so the call does not count as refused by it.
func TestState(t *testing.T) {
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			cfg    ratelimitgrpc.ServerConfig
			calls  int
			reason string
			code   codes.Code
		}{
			"let through": {calls: 1},
			"over":        {calls: 2, reason: "rate-limited", code: codes.ResourceExhausted},
			"for ever": {calls: 1, cfg: ratelimitgrpc.ServerConfig{Cost: func(context.Context, string, any) int { return 2 }},
				reason: "cost-exceeds-limit", code: codes.ResourceExhausted},
			"a message": {calls: 2, cfg: ratelimitgrpc.ServerConfig{PerReceived: true}, reason: "rate-limited", code: codes.ResourceExhausted},
		} {
			bubble(t, kind+" "+name, func(t *testing.T) {
				o := rpctest.NewObserver()
				tt.cfg.Key = oneKey
				cc := serve(t, echo, observed(o, newLimiter(t, ratelimit.PerHour(1)), tt.cfg))
				for i := range tt.calls {
					got, rec := call(t.Context(), cc, 1), o.Record(t)
					if i < tt.calls-1 {
						continue
					}
					if status.Code(got.err) != tt.code || rec.Code != uint32(tt.code) || rec.Reason != tt.reason || rec.Refused {
						t.Errorf("%v, code %d, reason %q, refused %t", got.err, rec.Code, rec.Reason, rec.Refused)
					}
				}
			})
		}
	}
}

// The clock is the call's, which may be read for a call alone: a message comes later.
func TestStateTime(t *testing.T) {
	bubble(t, "messages", func(t *testing.T) {
		o := rpctest.NewObserver()
		l := newLimiter(t, ratelimit.PerHour(1))
		cc := serve(t, echo, observed(o, l, ratelimitgrpc.ServerConfig{Key: oneKey, PerReceived: true}))
		stream, err := cc.NewStream(t.Context(), &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if err := send(stream, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := receive(stream); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Hour)
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if rec := o.Record(t); rec.MessagesIn != 3 || rec.Stream.Chunks != 3 || rec.Stream.LongestGap != time.Hour {
			t.Errorf("%d messages in, stream %+v", rec.MessagesIn, rec.Stream)
		}
	})
	bubble(t, "calls", func(t *testing.T) {
		o := rpctest.NewObserver()
		cc := serve(t, echo, observed(o, newLimiter(t, ratelimit.PerHour(1)), ratelimitgrpc.ServerConfig{Key: oneKey}))
		for i := range 3 {
			if got := callUnary(t.Context(), cc, 1); got.err != nil {
				t.Errorf("hour %d: %v", i, got.err)
			}
			<-time.After(time.Hour)
		}
	})
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return secret }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// A Deny that returned a status of OK made a success of a call that was denied.
func TestDenyOK(t *testing.T) {
	for kind, call := range kinds {
		for _, cfg := range []ratelimitgrpc.ServerConfig{{}, {PerReceived: true}} {
			for _, own := range []error{okError{}, fmt.Errorf("x: %w", okError{})} {
				cfg.Key, cfg.Deny = oneKey, func(context.Context, string, error) error { return own }
				cc := serve(t, echo, intercept(&fake{err: errors.New(secret)}, cfg))
				if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Internal {
					t.Errorf("%s: %v", kind, got.err)
				}
			}
		}
	}
}
