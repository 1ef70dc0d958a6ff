package batchinggrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/internal/grpcstatus"
)

// Domain is the domain of each google.rpc.ErrorInfo that [Status] makes.
const Domain = grpcstatus.Domain

// Status returns what an error of [batching.Batcher.Do] means to a gRPC
// client, as an error that a handler returns as it is. It is nil if err is.
// The package comment has the table.
//
// ctx must be the handler's, or one made from it; in a stream handler that is
// stream.Context(). It tells a client that went away from a batcher that was
// canceled otherwise, which is Internal, and it is where the trailer
// grpc-retry-pushback-ms goes. So call Status once in a call, for the error
// that the handler is about to return: to a client, two such trailers are an
// order not to retry. On a ctx that is not of gRPC's, there is no trailer.
//
// The text is fixed for each code and reason: what err says stays here. That
// goes for an err that is a gRPC status, too, since the text in one may come
// from a backend's address as well as from an author who wrote for clients,
// and its code is about the call that the backend made: Unauthenticated, say,
// would send the client for new credentials. Whoever means a status for the
// client returns it before asking Status:
//
//	if errors.Is(err, errBlurred) {
//		return nil, status.Error(codes.InvalidArgument, "The image is blurred.")
//	}
//	return nil, batchinggrpc.Status(ctx, err)
//
// It is an error, and not a *status.Status, because that is what a handler
// returns; status.Convert gives the other.
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
		return unavailable(ctx, err, transient.RetryDelay())
	case errors.Is(err, batching.ErrTooLarge):
		return status.Error(codes.InvalidArgument, "The request is more than the model can process at once.")
	case errors.Is(err, batching.ErrBatchTimeout), errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "The answer was not ready in time.")
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return status.Error(codes.Canceled, "The client canceled the request.")
	default:
		return status.Error(codes.Internal, "The request could not be processed.")
	}
}

// unavailable is for errors after which the same call may succeed.
func unavailable(ctx context.Context, err error, delay time.Duration) error {
	text, reason := "The service is not available at the moment.", "UNAVAILABLE"
	switch {
	case errors.Is(err, batching.ErrQueueFull):
		text, reason = "More requests are waiting than the service accepts.", "QUEUE_FULL"
	case errors.Is(err, batching.ErrShed):
		text, reason = "The answer would not be ready in time.", "SHED"
	case errors.Is(err, batching.ErrClosed):
		text, reason = "This instance of the service is shutting down.", "DRAINING"
	}
	return grpcstatus.Later(ctx, codes.Unavailable, text, &errdetails.ErrorInfo{Reason: reason}, delay)
}
