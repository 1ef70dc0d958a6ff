package retrygrpc

import (
	"context"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
)

// A failure is the error of an attempt, with what it says of another one. It is
// what the Retrier sees; callers see what is inside.
type failure struct {
	error
	retryable bool
	delay     time.Duration
	told      *told // of a hedge
	reported  bool  // of a stream: to the Retrier
}

func (f *failure) Unwrap() error              { return f.error }
func (f *failure) Retryable() bool            { return f.retryable }
func (f *failure) RetryDelay() time.Duration  { return f.delay }
func (f *failure) GRPCStatus() *status.Status { return statusOf(f.error) }

// Is makes of a status what it is to a Retrier: the end of a context.
func (f *failure) Is(target error) bool {
	switch target {
	case context.Canceled, context.DeadlineExceeded:
		return statusOf(f.error).Code() == status.FromContextError(target).Code()
	}
	return false
}

// The contract between packages, of whose halves an error may have either.
type (
	retryable interface {
		error
		Retryable() bool
	}
	delayed interface {
		error
		RetryDelay() time.Duration
	}
)

// judge makes of the error of an attempt, which was made with ctx for a call with
// the context of caller, what a Retrier understands.
func (c *client) judge(caller, ctx context.Context, fullMethod string, err error, trailer metadata.MD) *failure {
	f := &failure{error: err}
	info, invited := retryInfo(err)
	pushback, pushed, forbidden := parsePushback(trailer)
	says, states := errors.AsType[retryable](err)
	if caller.Err() != nil || forbidden || states && !says.Retryable() {
		return f
	}
	f.delay = max(info, pushback)
	if says, ok := errors.AsType[delayed](err); ok {
		f.delay = max(f.delay, says.RetryDelay())
	}
	switch {
	case c.cfg.Retry != nil:
		f.retryable = c.cfg.Retry(fullMethod, err)
	case states:
		f.retryable = true
	default:
		f.retryable = byCode(caller, ctx, statusOf(err).Code(), invited || pushed)
	}
	return f
}

// byCode is what gRFC A6 leaves to the service's owner. invited says that the
// server has said when to come back.
func byCode(caller, ctx context.Context, code codes.Code, invited bool) bool {
	switch code {
	case codes.Unavailable:
		return true
	case codes.ResourceExhausted: // also of a message that is too large, and then for ever
		return invited
	case codes.DeadlineExceeded:
		// The attempt's own: the server may find it has passed before ctx does.
		return endsBefore(ctx, caller)
	}
	// Not Aborted: what was aborted is to be done again from where it began,
	// which is further out.
	return false
}

// retryInfo is how long a server wants a client to wait, and whether it says so.
func retryInfo(err error) (d time.Duration, ok bool) {
	for _, detail := range statusOf(err).Details() {
		if info, is := detail.(*errdetails.RetryInfo); is {
			d, ok = max(d, info.GetRetryDelay().AsDuration()), true
		}
	}
	return d, ok
}

// parsePushback is what the trailer says: how long to wait, and whether there is
// to be another attempt at all.
func parsePushback(trailer metadata.MD) (d time.Duration, ok, forbidden bool) {
	values := trailer.Get(grpcstatus.Pushback)
	if len(values) == 0 {
		return 0, false, false
	}
	ms, err := strconv.ParseInt(values[0], 10, 64)
	if errors.Is(err, strconv.ErrRange) && strings.Trim(strings.TrimPrefix(values[0], "+"), "0123456789") == "" {
		err = nil // a wait all the same: ms is the longest that there is; strconv stops before it sees what follows
	}
	if len(values) > 1 || err != nil || ms < 0 {
		return 0, false, true
	}
	const most = math.MaxInt64 / int64(time.Millisecond)
	return time.Duration(min(ms, most)) * time.Millisecond, true, false
}

// statusOf is what gRPC makes of an error, on either side.
func statusOf(err error) *status.Status {
	if st, ok := status.FromError(err); ok {
		return st
	}
	return status.FromContextError(err)
}
