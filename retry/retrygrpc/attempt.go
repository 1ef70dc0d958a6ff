package retrygrpc

import (
	"context"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
)

// An attempt is a stream to a server.
type attempt struct {
	grpc.ClientStream
	cancel   context.CancelCauseFunc
	told     told
	panicked atomic.Pointer[any] // an inner interceptor, in a goroutine of ours
}

// rescue keeps a panic for whoever receives, who can handle it.
func (a *attempt) rescue() {
	if v := recover(); v != nil {
		a.panicked.Store(&v)
		a.cancel(nil)
	}
}

// open opens a stream for the attempt that ctx is of. It lives on when ctx has
// ended, but is not opened after that.
func (s *stream) open(ctx context.Context) (*attempt, error) {
	own := s.ctx
	if n := retry.Attempt(ctx); n != retry.Attempt(own) {
		own = retry.ContextWithAttempt(own, n)
	}
	own, cancel := context.WithCancelCause(outgoing(own))
	defer s.bind(ctx, cancel)()
	a := &attempt{cancel: cancel}
	// gRPC calls it at the end of the attempt, whichever way that ends.
	opts := append(a.told.divert(s.opts), grpc.OnFinish(func(err error) { cancel(nil); s.attemptOver(err) }))
	opened := false
	defer func() {
		if !opened { // but left by an error, or an inner interceptor's panic
			cancel(nil)
		}
	}()
	var err error
	if a.ClientStream, err = s.streamer(own, s.desc, s.cc, s.fullMethod, opts...); err != nil {
		return nil, s.lateOr(ctx, err)
	}
	opened = true
	return a, nil
}

// bind has cancel called if ctx, an attempt's, ends before the function that it
// returns is called. That one reports whether ctx did not. The cause tells a
// breaker further in that it was the attempt's time, and no caller's word.
func (s *stream) bind(ctx context.Context, cancel context.CancelCauseFunc) (unbind func() bool) {
	if ctx.Done() == s.ctx.Done() { // it is the stream's own
		return func() bool { return true }
	}
	return context.AfterFunc(ctx, func() { cancel(context.Cause(ctx)) })
}

// lateOr is the error of an attempt with ctx which gRPC says is err: it takes
// bind's cancel for the caller's.
func (s *stream) lateOr(ctx context.Context, err error) error {
	if ctx.Err() != context.DeadlineExceeded || status.Code(err) != codes.Canceled {
		return err
	}
	return &callError{status.FromContextError(ctx.Err()), context.Cause(ctx)}
}
