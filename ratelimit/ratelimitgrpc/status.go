package ratelimitgrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/ratelimit"
)

// Domain is the domain of each google.rpc.ErrorInfo that [Status] makes.
const Domain = grpcstatus.Domain

// Status returns what an error of a [ratelimit.Limiter] or a
// [ratelimit.Reservation] means to a gRPC client, as an error that a handler
// returns as it is. It is nil if err is. The package comment has the table.
//
// The interceptors call it. A handler that reserves by itself calls it, too:
//
//	res, _, err := ratelimit.Reserve(ctx, tokens, key, estimate)
//	if err != nil {
//		return nil, ratelimitgrpc.Status(ctx, err)
//	}
//
// ctx must be the handler's, or one made from it; in a stream handler that is
// stream.Context(). It tells a client that went away from something else that
// was canceled, which is Internal, and it is where the trailer
// grpc-retry-pushback-ms goes. So call Status once in a call, for the error
// that is about to be returned: to a client, two such trailers are an order not
// to retry. On a ctx that is not of gRPC's, there is no trailer.
//
// The text is fixed for each code and reason: what err says stays here, but for
// the name of the rule, which is in the ErrorInfo's metadata as "rule".
func Status(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var limited *ratelimit.LimitedError
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	switch {
	case errors.As(err, &limited):
		return resourceExhausted(ctx, limited)
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

func resourceExhausted(ctx context.Context, limited *ratelimit.LimitedError) error {
	info := &errdetails.ErrorInfo{Reason: "RATE_LIMITED"}
	if rule := limited.Decision.Rule; rule != "" {
		info.Metadata = map[string]string{"rule": rule}
	}
	if !limited.Retryable() {
		info.Reason = "COST_EXCEEDS_LIMIT"
		return grpcstatus.Never(ctx, codes.ResourceExhausted, "The request asks for more than the limit ever allows at once.", info)
	}
	return grpcstatus.Later(ctx, codes.ResourceExhausted, "The limit is used up for the moment.", info, limited.RetryDelay())
}
