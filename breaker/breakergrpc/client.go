package breakergrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
)

// ClientConfig configures the client's interceptors. The zero value is useful.
type ClientConfig struct {
	// Pick returns the breaker of a call, in place of the interceptor's: one of
	// a [breaker.Group] by target or method, say. nil lets the call through
	// unjudged. target is what the channel was made for, and fullMethod like
	// "/package.Service/Method". A nil Pick gives every call the interceptor's.
	Pick func(ctx context.Context, target, fullMethod string) *breaker.Breaker

	// Judge says what the error of a call says of the service's health, in place
	// of its code. It is not asked for calls without an error, nor for those
	// that their caller canceled. A stream's may be asked in the midst of
	// gRPC's work on that stream. One that panics counts as Failure, and the
	// panic goes on.
	Judge func(ctx context.Context, fullMethod string, err error) breaker.Outcome

	_ struct{}
}

// UnaryClientInterceptor makes no call while b is open, and tells it how the
// others end. The package comment says what counts as what.
//
// A call that is not made fails with a status of Unavailable that is
// [breaker.ErrOpen], and an *[breaker.OpenError] to errors.As.
//
// It panics if both b and cfg.Pick are nil. Streams need
// [StreamClientInterceptor].
func UnaryClientInterceptor(b *breaker.Breaker, cfg ClientConfig) grpc.UnaryClientInterceptor {
	c := newClient("UnaryClientInterceptor", b, cfg)
	return func(ctx context.Context, fullMethod string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		b := c.pick(ctx, cc, fullMethod)
		if b == nil {
			return invoker(ctx, fullMethod, req, reply, cc, opts...)
		}
		p, err := b.Allow()
		if err != nil {
			return &callError{err}
		}
		outcome := breaker.Failure // of a panic, further in or in Judge, or Goexit
		defer func() { p.Done(outcome) }()
		err = invoker(ctx, fullMethod, req, reply, cc, opts...)
		outcome = c.judge.onClient(ctx, fullMethod, err)
		return err
	}
}

// StreamClientInterceptor is [UnaryClientInterceptor] for streams. A permit
// lasts until the stream has ended, in one of the ways that gRPC wants it to:
// RecvMsg has returned an error, io.EOF among them, or the one message of a
// method that answers with one; the context has ended; or the connection was
// closed. A stream that is dropped without any of these never says how it
// ended, as it never gives back all else that it has. It starts no goroutine.
//
// The answer begins when its first message is received. A stream that is cut
// after that is a Failure by its code, like one that is cut before.
//
// It panics if both b and cfg.Pick are nil. Inner interceptors must open one
// stream each: put retries outside.
func StreamClientInterceptor(b *breaker.Breaker, cfg ClientConfig) grpc.StreamClientInterceptor {
	c := newClient("StreamClientInterceptor", b, cfg)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, fullMethod string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		b := c.pick(ctx, cc, fullMethod)
		if b == nil {
			return streamer(ctx, desc, cc, fullMethod, opts...)
		}
		s := &clientStream{ctx: ctx, desc: desc, fullMethod: fullMethod, client: c}
		if err := s.allow(b, desc.ClientStreams); err != nil {
			return nil, &callError{err}
		}
		left := true // by panic or Goexit
		defer func() {
			if left {
				s.end(breaker.Failure)
			}
		}()
		// gRPC calls it at the end of the stream, whichever way it ends.
		opts = append(opts[:len(opts):len(opts)], grpc.OnFinish(s.finish))
		var err error
		s.ClientStream, err = streamer(ctx, desc, cc, fullMethod, opts...)
		if err != nil {
			s.finish(err)
		}
		left = false
		if err != nil {
			return nil, err
		}
		return s, nil
	}
}

// client is what both interceptors are made of.
type client struct {
	breaker *breaker.Breaker
	cfg     ClientConfig
	judge   judge
}

func newClient(of string, b *breaker.Breaker, cfg ClientConfig) *client {
	if b == nil && cfg.Pick == nil {
		panic("breakergrpc: " + of + " of a nil *Breaker, without ClientConfig.Pick")
	}
	if cfg.Judge == nil {
		cfg.Judge = byCode
	}
	return &client{b, cfg, cfg.Judge}
}

func (c *client) pick(ctx context.Context, cc *grpc.ClientConn, fullMethod string) *breaker.Breaker {
	if c.cfg.Pick == nil {
		return c.breaker
	}
	target := ""
	if cc != nil { // it is in a user's test of the interceptor
		target = cc.Target()
	}
	return c.cfg.Pick(ctx, target, fullMethod)
}

// clientStream knows when the answer begins, and how it ends.
type clientStream struct {
	grpc.ClientStream
	answer
	ctx        context.Context // ClientStream.Context would rule out gRPC's retries
	desc       *grpc.StreamDesc
	fullMethod string
	client     *client
}

func (s *clientStream) SendMsg(m any) error {
	s.asked()
	return s.ClientStream.SendMsg(m)
}

func (s *clientStream) CloseSend() error {
	s.asked()
	return s.ClientStream.CloseSend()
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil {
		s.begin()
	}
	if err != nil || !s.desc.ServerStreams {
		s.finish(err) // an inner interceptor may have made up the stream
	}
	return err
}

// finish may be called twice, with a nil err for io.EOF or without.
func (s *clientStream) finish(err error) {
	if errors.Is(err, io.EOF) {
		err = nil
	}
	outcome := breaker.Failure // if Judge panics
	defer func() { s.end(outcome) }()
	outcome = s.client.judge.onClient(s.ctx, s.fullMethod, err)
}

// callError is the error of a call that was not made: a status, as callers
// expect of a call, that tells errors.Is and errors.As its cause.
type callError struct{ cause error }

func (e *callError) Error() string { return e.GRPCStatus().Err().Error() }
func (e *callError) Unwrap() error { return e.cause }

func (e *callError) GRPCStatus() *status.Status {
	return status.New(codes.Unavailable, e.cause.Error())
}
