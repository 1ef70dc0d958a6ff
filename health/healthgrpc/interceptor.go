package healthgrpc

import (
	"context"
	"errors"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// StreamServerInterceptor ends the contexts of streams, with the cause
// [health.ErrDraining], when h.Context ends: shortly before [health.Serve] cuts
// them. Their handlers can send a last message then. One that returns its
// context's error, or Canceled, ends its stream with UNAVAILABLE and the reason
// DRAINING, which says to clients that the stream is not complete.
//
// It is the innermost interceptor: those of telemetry see what the client gets. It
// does not wake a handler that waits in RecvMsg.
func StreamServerInterceptor(h *health.Health) grpc.StreamServerInterceptor {
	base := h.Context()
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, cancel := context.WithCancelCause(stream.Context())
		defer cancel(nil)
		defer context.AfterFunc(base, func() { cancel(health.ErrDraining) })()
		err := handler(srv, &parting{stream, ctx})
		if err == nil || !errors.Is(context.Cause(ctx), health.ErrDraining) {
			return err
		}
		if errors.Is(err, context.Canceled) || errors.Is(err, health.ErrDraining) || status.Code(err) == codes.Canceled {
			if s := reqstate.FromContext(ctx); s != nil {
				s.SetReason("draining")
			}
			return draining(stream.Context())
		}
		return err
	}
}

// parting is a stream with a context of its own.
type parting struct {
	grpc.ServerStream
	ctx context.Context
}

func (p *parting) Context() context.Context { return p.ctx }
