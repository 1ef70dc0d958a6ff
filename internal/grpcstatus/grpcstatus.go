// Package grpcstatus makes the one error that every Ballast package turns gRPC
// clients away with: a code, a google.rpc.ErrorInfo, and when to come back. It
// is what package problem is over HTTP. It tells the call's State, where there is one,
// of the reason, for logs and metrics.
package grpcstatus

import (
	"context"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// Domain is the domain of each ErrorInfo.
const Domain = "github.com/ballast-go/ballast"

// Pushback is the trailer that gRPC's own retries obey (gRFC A6): how many
// milliseconds to wait before the next attempt; below zero, never to make one.
const Pushback = "grpc-retry-pushback-ms"

// maxDelay bounds what a client is told to wait, before jitter. Clients in
// some languages read the trailer as 32 bits of milliseconds, 24 days, and
// take what does not fit as an order never to retry.
const maxDelay = 7 * 24 * time.Hour

// Later returns the error of a call that is turned away for the moment. The
// text is for the client and must hold nothing internal; info is for its
// program, and its Domain is set.
//
// The delay is rounded up to whole seconds, from 1 to 7 days, and jittered
// upward by [problem.Seconds]: the same as Retry-After over HTTP. It goes into
// a google.rpc.RetryInfo and, drawn once so that the two agree, into the
// trailer of the call that ctx is of.
//
// Call it once in a call: to a client, two such trailers are an order not to
// retry. Without a call of gRPC's in ctx there is no trailer.
func Later(ctx context.Context, code codes.Code, text string, info *errdetails.ErrorInfo, delay time.Duration) error {
	seconds := problem.Seconds(min(max(delay, time.Second), maxDelay))
	setTrailer(ctx, strconv.FormatInt(1000*seconds, 10))
	return with(ctx, code, text, info, &errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Seconds: seconds}})
}

// Never is [Later] for a call that cannot succeed however late: there is no
// RetryInfo, and the trailer says not to retry.
func Never(ctx context.Context, code codes.Code, text string, info *errdetails.ErrorInfo) error {
	setTrailer(ctx, "-1")
	return with(ctx, code, text, info)
}

// Refuse is [Later] without a word on when to come back, or whether: there is
// neither RetryInfo nor trailer.
func Refuse(ctx context.Context, code codes.Code, text string, info *errdetails.ErrorInfo) error {
	return with(ctx, code, text, info)
}

// IsFailure reports whether a call that ends with err is none of success to its
// client: an error may have a status of OK, and gRPC sends that.
func IsFailure(err error) bool {
	if err == nil {
		return false
	}
	st, ok := status.FromError(err)
	return !ok || st.Code() != codes.OK
}

func setTrailer(ctx context.Context, pushback string) {
	// Without a stream in ctx nobody waits for a trailer.
	_ = grpc.SetTrailer(ctx, metadata.Pairs(Pushback, pushback))
}

func with(ctx context.Context, code codes.Code, text string, info *errdetails.ErrorInfo, more ...protoadapt.MessageV1) error {
	info.Domain = Domain
	if s := reqstate.FromContext(ctx); s.IsCall() {
		s.SetReason(token(info.Reason))
	}
	st := status.New(code, text)
	if detailed, err := st.WithDetails(append(more, info)...); err == nil { // it is, unless messages do not marshal, and then the code is enough
		st = detailed
	}
	return st.Err()
}

// token is a reason of ErrorInfo's as package problem spells it, and so do logs and
// metrics: QUEUE_FULL is queue-full.
func token(reason string) string {
	return strings.ReplaceAll(strings.ToLower(reason), "_", "-")
}
