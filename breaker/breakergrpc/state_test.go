package breakergrpc_test

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
	"github.com/ballast-go/ballast/internal/rpctest"
)

// observed puts both of a server's interceptors inside o.
func observed(o *rpctest.Observer, b *breaker.Breaker, cfg breakergrpc.ServerConfig) []grpc.ServerOption {
	return append(o.Server(),
		grpc.ChainUnaryInterceptor(breakergrpc.UnaryServerInterceptor(b, cfg)),
		grpc.ChainStreamInterceptor(breakergrpc.StreamServerInterceptor(b, cfg)))
}

// What logs and metrics know of a call that was turned away, in the words of HTTP.
func TestState(t *testing.T) {
	own := func(context.Context, string, error) error { return status.Error(codes.Aborted, "Not today.") }
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			b       *breaker.Breaker
			cfg     breakergrpc.ServerConfig
			reason  string
			refused bool
			code    codes.Code
		}{
			"closed":   {b: newBreaker(t, breaker.Config{})},
			"open":     {b: opened(t), reason: "breaker-open", refused: true, code: codes.Unavailable},
			"its word": {b: opened(t), cfg: breakergrpc.ServerConfig{Deny: own}, refused: true, code: codes.Aborted},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				o := rpctest.NewObserver()
				if got := call(t.Context(), serve(t, echo, observed(o, tt.b, tt.cfg)), 1); status.Code(got.err) != tt.code {
					t.Errorf("the client got %v", got.err)
				}
				if rec := o.Record(t); rec.Reason != tt.reason || rec.Refused != tt.refused || rec.Code != uint32(tt.code) {
					t.Errorf("reason %q, refused %t, code %d", rec.Reason, rec.Refused, rec.Code)
				}
			})
		}
	}
}

// A handler that asks a second time, and succeeds, has not turned the call away.
func TestStateOfSecondAttempt(t *testing.T) {
	o := rpctest.NewObserver()
	cc := serve(t, always(func(ctx context.Context, n int64) (int64, error) {
		_ = breakergrpc.Status(ctx, breaker.ErrOpen)
		return n, nil
	}), o.Server())
	if got := callUnary(t.Context(), cc, 1); got.err != nil {
		t.Error(got.err)
	}
	if rec := o.Record(t); rec.Reason != "" || rec.Code != 0 {
		t.Errorf("reason %q, code %d", rec.Reason, rec.Code)
	}
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return secret }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// A Deny that returned a status of OK made a success of a call that was turned away.
func TestDenyOK(t *testing.T) {
	for kind, call := range kinds {
		for _, own := range []error{okError{}, fmt.Errorf("x: %w", okError{})} {
			cc := serve(t, echo, intercept(opened(t), breakergrpc.ServerConfig{
				Deny: func(context.Context, string, error) error { return own },
			}))
			if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable {
				t.Errorf("%s: %v", kind, got.err)
			}
		}
	}
}
