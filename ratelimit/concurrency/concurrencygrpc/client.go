package concurrencygrpc

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// ClientConfig configures the client's interceptors. The zero value is useful.
type ClientConfig struct {
	// MetadataKey sends the class of a call's context along under that name,
	// unless it is Critical, which is what a call without a class is. Servers
	// look for "criticality" by default. "" sends nothing.
	MetadataKey string

	_ struct{}
}

// UnaryClientInterceptor gives each call a permit of l's until it returns: a
// bulkhead, so that one slow server cannot tie up all of a client. A call that
// gets none fails with a status of Unavailable, or of Canceled or
// DeadlineExceeded if its context ended first, in which errors.Is finds the
// error of [concurrency.Limiter.Acquire].
//
// Unavailable and DeadlineExceeded count as overload for an adaptive limit;
// other errors do not count.
//
// It panics if l is nil.
func UnaryClientInterceptor(l *concurrency.Limiter, cfg ClientConfig) grpc.UnaryClientInterceptor {
	if l == nil {
		panic("concurrencygrpc: UnaryClientInterceptor of a nil *Limiter")
	}
	return func(ctx context.Context, fullMethod string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		p, err := l.Acquire(ctx)
		if err != nil {
			return refused(err)
		}
		returned := false
		defer func() {
			if !returned { // but left by an inner interceptor's panic
				p.Ignore()
			}
			p.Release()
		}()
		err = invoker(cfg.send(ctx), fullMethod, req, reply, cc, opts...)
		returned = true
		judge(p, nil, err)
		return err
	}
}

// StreamClientInterceptor is [UnaryClientInterceptor] for streams. A permit is
// held until the stream has ended, in one of the ways that gRPC wants it to:
// RecvMsg has returned an error, io.EOF among them, or the one message of a
// method that answers with one; the context has ended; or the connection was
// closed. A stream that is dropped without any of these keeps its permit, as it
// keeps all else. It starts no goroutine.
//
// The latency is the time until the first message of the answer arrives; the
// streams of methods whose clients stream, too, count only as overload.
//
// Inner interceptors must open one stream each: put retries outside.
func StreamClientInterceptor(l *concurrency.Limiter, cfg ClientConfig) grpc.StreamClientInterceptor {
	if l == nil {
		panic("concurrencygrpc: StreamClientInterceptor of a nil *Limiter")
	}
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, fullMethod string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		p, err := l.Acquire(ctx)
		if err != nil {
			return nil, refused(err)
		}
		s := &clientStream{desc: desc, permit: p}
		opened := false
		defer func() {
			if !opened { // but left by an error, or an inner interceptor's panic
				p.Ignore()
				s.end(err)
			}
		}()
		if desc.ClientStreams {
			p.Ignore() // unless it is overload
		}
		// gRPC calls it at the end of the stream, whichever way it ends.
		opts = append(opts[:len(opts):len(opts)], grpc.OnFinish(s.end))
		s.ClientStream, err = streamer(cfg.send(ctx), desc, cc, fullMethod, opts...)
		if err != nil {
			return nil, err
		}
		opened = true
		return s, nil
	}
}

func (c *ClientConfig) send(ctx context.Context) context.Context {
	class := concurrency.CriticalityFromContext(ctx)
	if c.MetadataKey == "" || class == concurrency.Critical {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, c.MetadataKey, class.String())
}

// clientStream knows when the answer begins.
type clientStream struct {
	grpc.ClientStream
	desc   *grpc.StreamDesc
	permit *concurrency.Permit
}

func (s *clientStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil && !s.desc.ClientStreams {
		s.permit.FirstByte()
	}
	if err != nil || !s.desc.ServerStreams {
		s.end(err) // an inner interceptor may have made up the stream
	}
	return err
}

// end releases the permit. It may be called twice, with a nil err for io.EOF or
// without.
func (s *clientStream) end(err error) {
	if !errors.Is(err, io.EOF) {
		judge(s.permit, nil, err)
	}
	s.permit.Release()
}

// callError is the error of a call that was not made: a status, as callers
// expect of a call, that tells errors.Is and errors.As its cause.
type callError struct {
	code  codes.Code
	cause error
}

func (e *callError) Error() string              { return e.GRPCStatus().Err().Error() }
func (e *callError) GRPCStatus() *status.Status { return status.New(e.code, e.cause.Error()) }
func (e *callError) Unwrap() error              { return e.cause }

func refused(err error) error {
	code := status.FromContextError(err).Code()
	if code == codes.Unknown { // it is the limiter's own
		code = codes.Unavailable
	}
	return &callError{code, err}
}
