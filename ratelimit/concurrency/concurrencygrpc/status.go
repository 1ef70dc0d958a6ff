package concurrencygrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// Domain is the domain of each google.rpc.ErrorInfo that [Status] makes.
const Domain = grpcstatus.Domain

// Status returns what an error of [concurrency.Limiter.Acquire] means to a gRPC
// client, as an error that a handler returns as it is. It is nil if err is. The
// package comment has the table. The server's interceptors call it, and so does
// a handler that acquires a permit by itself.
//
// ctx must be the handler's, or one made from it; in a stream handler that is
// stream.Context(). It tells a client that went away from something else that
// was canceled, which is Internal, and it is where the trailer
// grpc-retry-pushback-ms goes. So call Status once in a call, for the error
// that is about to be returned: to a client, two such trailers are an order not
// to retry. On a ctx that is not of gRPC's, there is no trailer.
//
// The text is fixed for each code and reason: what err says stays here.
func Status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	switch {
	case errors.As(err, &transient) && transient.Retryable():
		text, reason := unavailable(err)
		return grpcstatus.Later(ctx, codes.Unavailable, text, &errdetails.ErrorInfo{Reason: reason}, transient.RetryDelay())
	case errors.Is(err, concurrency.ErrTooLarge):
		return status.Error(codes.InvalidArgument, "The request is larger than the service accepts.")
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "The answer was not ready in time.")
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return status.Error(codes.Canceled, "The client canceled the request.")
	default:
		return status.Error(codes.Internal, "The request could not be processed.")
	}
}

// unavailable words errors after which the same call may succeed.
func unavailable(err error) (text, reason string) {
	switch {
	case errors.Is(err, concurrency.ErrQueueFull):
		return "The service is at its limit, and so is its queue.", "QUEUE_FULL"
	case errors.Is(err, concurrency.ErrShed):
		return "The service is at its limit and serves more important requests.", "SHED"
	case errors.Is(err, concurrency.ErrTimeout):
		return "The service is at its limit and could not begin in time.", "QUEUE_TIMEOUT"
	}
	return "The service is not available at the moment.", "UNAVAILABLE"
}
