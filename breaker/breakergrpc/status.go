package breakergrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/internal/grpcstatus"
)

// Domain is the domain of each google.rpc.ErrorInfo that [Status] makes.
const Domain = grpcstatus.Domain

// Status returns what an error of [breaker.Breaker.Allow] or of a call of Do
// means to a gRPC client, as an error that a handler returns as it is. It is nil
// if err is. The package comment has the table. The server's interceptors call
// it, and so does a handler that has a breaker of its own:
//
//	answer, err := breaker.Call(ctx, b, ask)
//	if err != nil {
//		return nil, breakergrpc.Status(ctx, err)
//	}
//
// ctx must be the handler's, or one made from it; in a stream handler that is
// stream.Context(). It tells a client that went away from something else that
// was canceled, which is Internal, and it is where the trailer
// grpc-retry-pushback-ms goes. So call Status once in a call, for the error
// that is about to be returned: to a client, two such trailers are an order not
// to retry. On a ctx that is not of gRPC's, there is no trailer.
//
// The text is fixed for each code and reason: what err says stays here, the
// breaker's name included.
func Status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	switch {
	case errors.Is(err, breaker.ErrOpen):
		var delay time.Duration
		if open, ok := errors.AsType[*breaker.OpenError](err); ok {
			delay = open.RetryAfter
		}
		return grpcstatus.Later(ctx, codes.Unavailable, "What the service needs is broken at the moment.",
			&errdetails.ErrorInfo{Reason: "BREAKER_OPEN"}, delay)
	case errors.As(err, &transient) && transient.Retryable():
		return grpcstatus.Later(ctx, codes.Unavailable, "The service is not available at the moment.",
			&errdetails.ErrorInfo{Reason: "UNAVAILABLE"}, transient.RetryDelay())
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "The answer was not ready in time.")
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return status.Error(codes.Canceled, "The client canceled the request.")
	default:
		return status.Error(codes.Internal, "The request could not be processed.")
	}
}
