package concurrencygrpc

import (
	"context"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// errStalled is the end of a stream that nobody reads.
var errStalled = status.Error(codes.DeadlineExceeded, "The client did not read the answer in time.")

// serveStream is called with a permit, which it releases.
func (s *server) serveStream(srv any, stream *serverStream, clientStreams bool, handler grpc.StreamHandler) error {
	p := stream.permit
	stream.clientStreams = clientStreams
	if s.cfg.WriteTimeout > 0 {
		stream.timeout = s.cfg.WriteTimeout
		stream.ctx, stream.cancel = context.WithCancel(stream.ctx)
		defer stream.cancel()
	}
	returned := false
	defer func() {
		if !returned { // but left by panic or Goexit
			p.Ignore()
		}
		p.Release()
	}()
	if clientStreams {
		p.Ignore() // unless it is overload
	}
	err := handler(srv, stream)
	returned = true
	if stream.stalled.Load() {
		// A handler may take the failed send for the client's leaving.
		return errStalled
	}
	judge(p, stream.ctx.Err(), err)
	return err
}

// serverStream has the class in its context, knows when the answer begins, and
// does not wait for ever for a client that does not read.
type serverStream struct {
	grpc.ServerStream
	ctx           context.Context
	permit        *concurrency.Permit
	clientStreams bool

	// With a timeout:
	timeout time.Duration
	cancel  context.CancelFunc
	timer   *time.Timer // runs while a message is being sent
	stalled atomic.Bool
}

func (s *serverStream) Context() context.Context { return s.ctx }

func (s *serverStream) SendMsg(m any) error {
	if !s.clientStreams {
		s.permit.FirstByte()
	}
	if s.timeout == 0 {
		return s.ServerStream.SendMsg(m)
	}
	if s.stalled.Load() {
		return errStalled
	}
	// gRPC forbids two sends at a time, so that one timer is enough.
	if s.timer == nil {
		s.timer = time.AfterFunc(s.timeout, s.stall)
	} else {
		s.timer.Reset(s.timeout)
	}
	err := s.ServerStream.SendMsg(m)
	if !s.timer.Stop() { // stall has begun
		s.stalled.Store(true)
		return errStalled
	}
	return err
}

// stall gives up on the client. What it has been sent stays in the connection,
// but nothing that the permit is for goes on.
func (s *serverStream) stall() {
	s.stalled.Store(true)
	s.permit.Ignore()
	s.permit.Release()
	s.cancel()
}
