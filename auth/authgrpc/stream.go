package authgrpc

import (
	"context"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/internal/rethrow"
)

// knownStream is a stream whose context knows the principal.
type knownStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *knownStream) Context() context.Context { return s.ctx }

// endingStream is a stream that ends with its context. gRPC has no way to end
// one while its handler waits for a message, and so that is waited for elsewhere.
type endingStream struct{ knownStream }

func (s *endingStream) RecvMsg(m any) error {
	return s.await(func() error { return s.ServerStream.RecvMsg(m) })
}

func (s *endingStream) SendMsg(m any) error {
	return s.await(func() error { return s.ServerStream.SendMsg(m) })
}

// await returns f's error, or an Unauthenticated if the credential expires before.
// f then ends with the stream, which is when the handler returns. A panic of f's, or
// a Goexit, goes on in the handler's goroutine, where somebody may recover it.
func (s *endingStream) await(f func() error) error {
	if s.ctx.Err() != nil {
		return s.over()
	}
	done := make(chan outcome, 1)
	go func() {
		o := outcome{exited: true}
		defer func() {
			if o.panicked = recover(); o.panicked != nil {
				o.stack = rethrow.Stack()
			}
			done <- o
		}()
		o.err = f()
		o.exited = false
	}()
	select {
	case o := <-done:
		if o.exited {
			rethrow.Panic(o.panicked, "authgrpc: a stream panicked, see below; its message was awaited in this goroutine:", o.stack)
		}
		return o.err
	case <-s.ctx.Done():
		return s.over()
	}
}

// outcome is how a function has ended.
type outcome struct {
	err      error
	exited   bool // by a panic, or by Goexit
	panicked any
	stack    string
}

// over is why the stream's context has ended.
func (s *endingStream) over() error {
	if ended(s.ctx) {
		return unauthenticated(s.ctx, "INVALID_CREDENTIAL", invalidText)
	}
	return Status(s.ServerStream.Context(), s.ctx.Err())
}
