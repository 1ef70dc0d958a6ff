package breakergrpc

import (
	"context"
	"errors"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
)

// A judge says what the error of a call says of the health of what it called.
type judge func(ctx context.Context, fullMethod string, err error) breaker.Outcome

func byCode(ctx context.Context, _ string, err error) breaker.Outcome {
	if errors.Is(err, breaker.ErrOpen) { // another one, further in
		return breaker.Ignore
	}
	code := codeOf(err)
	if code == codes.Canceled && ctx.Err() != nil { // not by the caller, or nobody would ask: by a deadline
		return breaker.Failure
	}
	switch code {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Internal, codes.Unknown, codes.DataLoss:
		return breaker.Failure
	case codes.Canceled, codes.ResourceExhausted:
		return breaker.Ignore
	}
	return breaker.Success
}

// onClient judges a call that this process made with ctx.
func (j judge) onClient(ctx context.Context, fullMethod string, err error) breaker.Outcome {
	switch {
	case err == nil:
		return breaker.Success
	case isCanceled(ctx): // whatever became of the call because of it
		return breaker.Ignore
	}
	return j(ctx, fullMethod, err)
}

// onServer judges a call that this process served with ctx, which gRPC cancels
// only after the handler has returned, or because the client left.
func (j judge) onServer(ctx context.Context, fullMethod string, err error) breaker.Outcome {
	switch {
	case isCanceled(ctx) && !isLate(ctx):
		return breaker.Ignore
	case ctx.Err() != nil && err == nil: // too late, and the client knows it as such
		return breaker.Failure
	case err == nil:
		return breaker.Success
	case isRefusal(err):
		return breaker.Ignore
	case isCanceled(ctx): // its error is Canceled, most likely
		return breaker.Failure
	}
	return j(ctx, fullMethod, err)
}

// isCanceled reports whether ctx's caller has given up. A cancel whose cause is a
// deadline is none of that kind.
func isCanceled(ctx context.Context) bool {
	return ctx.Err() == context.Canceled && !errors.Is(context.Cause(ctx), context.DeadlineExceeded)
}

// slack is how much earlier than the server a client may find that a call's
// deadline has passed. It resets the stream then, which is Canceled here, and the
// two race: the server's time began when the call arrived.
const slack = 10 * time.Millisecond

// isLate reports whether a call that was canceled was so for its deadline.
func isLate(ctx context.Context) bool {
	deadline, ok := ctx.Deadline()
	return ok && time.Until(deadline) < slack
}

// A refusal is the error of a call that was turned away, to everybody like the
// one inside, but to [isRefusal].
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func (r *refusal) GRPCStatus() *status.Status {
	if st, ok := status.FromError(r.error); ok {
		return st
	}
	return status.FromContextError(r.error)
}

// isRefusal reports whether something of Ballast's turned the call away: a
// breaker, or what gives its reasons as package grpcstatus does. A handler that
// passes on such an error of a service that it called says the same.
func isRefusal(err error) bool {
	if _, ok := errors.AsType[*refusal](err); ok {
		return true
	}
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.Unavailable {
		return false
	}
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok && info.GetDomain() == Domain {
			return true
		}
	}
	return false
}

// codeOf is what gRPC makes of an error, on either side.
func codeOf(err error) codes.Code {
	if st, ok := status.FromError(err); ok {
		return st.Code()
	}
	return status.FromContextError(err).Code()
}
