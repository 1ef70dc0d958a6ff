package concurrencygrpc_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/rpctest"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// observed puts both of a server's interceptors inside o.
func observed(o *rpctest.Observer, l *concurrency.Limiter, cfg concurrencygrpc.ServerConfig) []grpc.ServerOption {
	return append(o.Server(),
		grpc.ChainUnaryInterceptor(concurrencygrpc.UnaryServerInterceptor(l, cfg)),
		grpc.ChainStreamInterceptor(concurrencygrpc.StreamServerInterceptor(l, cfg)))
}

// What logs and metrics know of a call that was turned away, in the words of HTTP.
func TestState(t *testing.T) {
	own := func(context.Context, string, error) error { return status.Error(codes.Aborted, "Not today.") }
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			l       *concurrency.Limiter
			cfg     concurrencygrpc.ServerConfig
			reason  string
			refused bool
			code    codes.Code
		}{
			"room":     {l: newLimiter(t, concurrency.Config{Max: 1})},
			"full":     {l: full(t), reason: "queue-full", refused: true, code: codes.Unavailable},
			"its word": {l: full(t), cfg: concurrencygrpc.ServerConfig{Deny: own}, refused: true, code: codes.Aborted},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				o := rpctest.NewObserver()
				if got := call(t.Context(), serve(t, echo, observed(o, tt.l, tt.cfg)), 1); status.Code(got.err) != tt.code {
					t.Errorf("the client got %v", got.err)
				}
				if rec := o.Record(t); rec.Reason != tt.reason || rec.Refused != tt.refused || rec.Code != uint32(tt.code) {
					t.Errorf("reason %q, refused %t, code %d", rec.Reason, rec.Refused, rec.Code)
				}
			})
		}
	}
}

// full returns a limiter that lets nothing through.
func full(t *testing.T) *concurrency.Limiter {
	l := newLimiter(t, concurrency.Config{Max: 1})
	p, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Release)
	return l
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return secret }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// A Deny that returned a status of OK made a success of a call that was turned away.
func TestDenyOK(t *testing.T) {
	for kind, call := range kinds {
		for _, own := range []error{okError{}, fmt.Errorf("x: %w", okError{})} {
			cc := serve(t, echo, intercept(full(t), concurrencygrpc.ServerConfig{
				Deny: func(context.Context, string, error) error { return own },
			}))
			if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable {
				t.Errorf("%s: %v", kind, got.err)
			}
		}
	}
}
