package retrygrpc

import (
	"context"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ballast-go/ballast/internal/retrypaid"
	"github.com/ballast-go/ballast/retry"
)

// A hedged is one of the calls that an attempt is, with a reply of its own.
type hedged struct {
	reply proto.Message
	told  told
}

// hedge is attempt for a call that is hedged.
func (u *unaryCall) hedge(ctx context.Context) error {
	if retry.Attempt(ctx) > 1 { // what fails wants less load, not more
		return u.attempt(ctx)
	}
	u.attempts++
	// Losers go on when the caller has its messages back.
	req, reply := proto.Clone(u.req.(proto.Message)), u.reply.(proto.Message)
	kind := reply.ProtoReflect().Type()
	paid := retrypaid.Into(ctx, u.client.retrier.Budget())
	won, err := retry.Hedge(paid, u.client.cfg.Hedger, func(ctx context.Context) (*hedged, error) {
		h := &hedged{reply: kind.New().Interface()}
		err := u.invoker(outgoing(ctx), u.fullMethod, req, h.reply, u.cc, h.told.divert(u.opts)...)
		if err == nil {
			return h, nil
		}
		f := u.client.judge(u.ctx, ctx, u.fullMethod, err, h.told.trailer)
		f.told = &h.told
		return nil, f
	}, nil)
	switch {
	case err == nil:
	case ctx.Err() != nil: // and nobody has waited for the calls
		forget(u.opts)
		return u.client.judge(u.ctx, ctx, u.fullMethod, &callError{status.FromContextError(ctx.Err()), context.Cause(ctx)}, nil)
	default:
		f := decisive(err)
		if f == nil {
			return err
		}
		f.told.deliver(u.opts)
		return f
	}
	won.told.deliver(u.opts)
	proto.Reset(reply) // as gRPC's codec does
	proto.Merge(reply, won.reply)
	return nil
}

// decisive is the failure of those in err which counts: one that is not to be
// retried, if there is any.
func decisive(err error) (f *failure) {
	errs := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		errs = joined.Unwrap()
	}
	for _, err := range errs {
		if one, ok := err.(*failure); ok && (f == nil || f.retryable) {
			f = one
		}
	}
	return f
}
