package retrygrpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
)

// StreamClientInterceptor is [UnaryClientInterceptor] for streams. It makes
// another attempt, and sends again what was sent, until the first message of the
// answer, or its header if the caller asks for that, has been received. From then
// on, and once a client has sent more than cfg.MaxBuffer or asked for the
// stream's Context, the stream is what gRPC makes it.
//
// Attempts are made while the caller receives, which it must do anyway. Until
// then SendMsg succeeds on a broken stream, and keeps the message. The streams of
// methods whose clients send several messages are also attempted again while they
// are opened; one that needed that is not retried after it.
//
// [retry.Config] PerAttempt bounds how long an attempt may take to its first
// message, from when the caller begins to receive. Servers see the caller's
// deadline. What ends a stream is what gRPC wants to: an error of RecvMsg, io.EOF
// among them, or the one message of a method that answers with one; the end of
// the context, or of the connection.
//
// It panics if r is nil or if cfg has a Hedger without Idempotent.
func StreamClientInterceptor(r *retry.Retrier, cfg ClientConfig) grpc.StreamClientInterceptor {
	c := newClient("StreamClientInterceptor", r, cfg)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, fullMethod string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		s := &stream{client: c, ctx: ctx, desc: desc, cc: cc, fullMethod: fullMethod, streamer: streamer}
		s.opts, s.finishers = splitOnFinish(opts)
		if err := s.start(); err != nil {
			s.finish(err)
			return nil, err
		}
		if s.finishers != nil {
			// However the stream ends that nobody reads.
			stop := context.AfterFunc(ctx, func() { s.finish(status.FromContextError(ctx.Err()).Err()) })
			s.unwatch.Store(&stop)
			if s.finished.Load() {
				stop()
			}
		}
		return s, nil
	}
}

// A stream is one to its caller, in all its attempts.
type stream struct {
	client     *client
	ctx        context.Context // the caller's
	desc       *grpc.StreamDesc
	cc         *grpc.ClientConn
	fullMethod string
	streamer   grpc.Streamer
	opts       []grpc.CallOption

	finishers finishers
	finished  atomic.Bool
	delivered sync.Once
	unwatch   atomic.Pointer[func() bool]

	receiving sync.Mutex  // until begun: the one that makes attempts
	begun     atomic.Bool // first has returned, and with it what ended is
	ended     error       // of all attempts

	sending sync.Mutex // the caller's messages, and those that are sent again

	// committed says that there are no further attempts. It changes under mu.
	committed atomic.Bool
	mu        sync.Mutex // never held in a call of gRPC's, which calls us with a lock of its own
	attempt   *attempt   // the latest, or nil if that could not be opened
	last      *failure   // of the latest attempt
	kept      replay
}

// errLeft ends a stream whose attempt an inner interceptor left by a panic.
var errLeft = status.Error(codes.Internal, "The stream has been left in the midst of an attempt.")

// start opens the first attempt, or what comes of it if there are no messages of
// the caller's to wait for.
func (s *stream) start() error {
	a, err := s.open(s.ctx)
	if err == nil {
		s.attempt = a
		return nil
	}
	failed := s.client.judge(s.ctx, s.ctx, s.fullMethod, err, nil)
	if failed.retryable && !s.desc.ClientStreams {
		s.last = failed // first goes on from there, with the request
		return nil
	}
	err = conclude(s.ctx, s.client.retrier.Do(s.ctx, func(ctx context.Context) error {
		if f := failed; f != nil {
			failed = nil
			return f
		}
		a, err := s.open(ctx)
		if err != nil {
			return s.client.judge(s.ctx, ctx, s.fullMethod, err, nil)
		}
		s.attempt = a
		return nil
	}))
	if err == nil { // it has had its retries
		s.commit()
		s.begun.Store(true)
	}
	return err
}

// first calls op, which receives the beginning of the answer or the whole of it,
// on as many attempts as that takes.
func (s *stream) first(op func(grpc.ClientStream) error, whole bool) error {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if s.begun.Load() {
		return s.rest(op)
	}
	atEnd := false
	s.ended = errLeft // by panic or Goexit
	defer func() {
		s.commit()
		if a := s.latest(); a != nil && s.ended == errLeft {
			a.cancel(nil)
		}
		s.begun.Store(true)
	}()
	s.ended = conclude(s.ctx, s.client.retrier.Do(s.ctx, func(ctx context.Context) error {
		err := s.try(ctx, op, whole)
		if atEnd = err == io.EOF; atEnd {
			return nil // a success, if a short one
		}
		return err
	}))
	if s.ended == nil && atEnd {
		s.ended = io.EOF
	}
	return s.ended
}

// rest calls op where there are no further attempts.
func (s *stream) rest(op func(grpc.ClientStream) error) error {
	if s.ended != nil {
		return s.ended
	}
	return op(s.attempt)
}

// try calls op on the attempt that there is, or on a new one. It returns a
// *failure, io.EOF or nil.
func (s *stream) try(ctx context.Context, op func(grpc.ClientStream) error, whole bool) error {
	a, failed := s.next(ctx)
	if failed != nil {
		return failed
	}
	unbind := s.bind(ctx, a.cancel)
	err := op(a)
	if v := a.panicked.Load(); v != nil {
		panic(*v)
	}
	inTime := unbind()
	if err == io.EOF || err == nil && (whole || inTime) {
		return err
	}
	var trailer metadata.MD
	missed := err == nil
	if missed {
		err = status.FromContextError(context.Canceled).Err() // the rest of it would be missing
	} else {
		a.cancel(nil) // an inner interceptor may have made up the stream
		trailer = a.Trailer()
	}
	failed = s.client.judge(s.ctx, ctx, s.fullMethod, s.lateOr(ctx, err), trailer)
	s.mu.Lock()
	defer s.mu.Unlock()
	if missed { // what it tells is gRPC's until it has ended, which nobody sees
		s.attempt, failed.reported = nil, true
	}
	s.last = failed
	return s.final(failed)
}

// final is f, which is not to be retried if nothing is. s.mu is held.
func (s *stream) final(f *failure) *failure {
	if s.committed.Load() {
		f.retryable = false
	}
	return f
}

// next returns the attempt to receive from: the first one, while it has not
// failed, or one that it opens.
func (s *stream) next(ctx context.Context) (*attempt, *failure) {
	s.mu.Lock()
	a, last := s.attempt, s.last
	if a != nil && last == nil {
		s.mu.Unlock()
		return a, nil
	}
	if a == nil && !last.reported || s.committed.Load() {
		last.reported = true
		s.mu.Unlock()
		return nil, s.final(last)
	}
	s.attempt = nil
	s.mu.Unlock()
	a, err := s.open(ctx)
	if err != nil {
		failed := s.client.judge(s.ctx, ctx, s.fullMethod, err, nil)
		failed.reported = true
		s.mu.Lock()
		defer s.mu.Unlock()
		s.last = failed
		return nil, s.final(failed)
	}
	return s.resume(a)
}

// resume makes a the attempt, and sends it what was sent before.
func (s *stream) resume(a *attempt) (*attempt, *failure) {
	s.sending.Lock() // until all is sent again
	s.mu.Lock()
	if s.committed.Load() { // meanwhile, without what cannot be sent again
		last := s.final(s.last)
		s.mu.Unlock()
		s.sending.Unlock()
		a.cancel(nil)
		return nil, last
	}
	s.attempt, s.last = a, nil
	kept := s.kept
	s.mu.Unlock()
	if kept.size <= window/2 { // no send waits for the server
		defer s.sending.Unlock()
		kept.send(a)
		return a, nil
	}
	// A server that answers while it reads waits for us to receive, at last.
	go func() {
		defer s.sending.Unlock()
		defer a.rescue()
		kept.send(a)
	}()
	return a, nil
}

// commit rules out further attempts.
func (s *stream) commit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.committed.Store(true)
	s.kept = replay{}
}

// attemptOver is told of the end of each attempt.
func (s *stream) attemptOver(err error) {
	// Without a caller that receives nothing else would tell of a closed
	// connection.
	if s.finishers != nil && (s.begun.Load() || s.cc != nil && s.cc.GetState() == connectivity.Shutdown) {
		s.finish(err)
	}
}

// over is finish for one who has seen a, the last attempt, end with err: gRPC has
// told all by then. The caller is told only now, since an attempt whose time is
// over ends in a goroutine of gRPC's, while the next one runs.
func (s *stream) over(a *attempt, err error) {
	s.delivered.Do(func() {
		if a != nil {
			a.told.deliver(s.opts)
		}
	})
	s.finish(err)
}

// finish tells the caller's options of the end. Calls after the first do nothing.
func (s *stream) finish(err error) {
	if s.finishers == nil || !s.finished.CompareAndSwap(false, true) {
		return
	}
	if stop := s.unwatch.Load(); stop != nil {
		(*stop)()
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	s.finishers.call(err)
}

func (s *stream) RecvMsg(m any) error {
	op := func(a grpc.ClientStream) error { return a.RecvMsg(m) }
	var err error
	if s.begun.Load() {
		err = s.rest(op)
	} else {
		err = s.first(op, !s.desc.ServerStreams)
	}
	if err != nil || !s.desc.ServerStreams {
		s.over(s.latest(), err)
	}
	return err
}

func (s *stream) Header() (md metadata.MD, err error) {
	if s.begun.Load() && (s.ended == nil || s.ended == io.EOF) {
		return s.attempt.Header()
	}
	err = s.first(func(a grpc.ClientStream) (err error) {
		if md, err = a.Header(); err == nil && md == nil {
			// It ended without any, and so without messages.
			err = a.RecvMsg(nil)
		}
		return err
	}, false)
	if err == io.EOF {
		return md, nil // for RecvMsg to tell
	}
	if err != nil {
		s.over(s.latest(), err)
	}
	return md, err
}

// Trailer is the last attempt's.
func (s *stream) Trailer() metadata.MD {
	if a := s.latest(); a != nil {
		return a.Trailer()
	}
	return nil
}

// Context rules out further attempts, as gRPC's own does.
func (s *stream) Context() context.Context {
	s.commit()
	if a := s.latest(); a != nil {
		return a.Context()
	}
	return s.ctx
}

func (s *stream) latest() *attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.attempt
}
