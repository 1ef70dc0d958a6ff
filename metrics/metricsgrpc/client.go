package metricsgrpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/metrics"
)

// UnaryClientInterceptor counts each call once, when it is over. Inside of what
// retries attempts are counted; outside, calls. It panics if m is nil or closed, or if another
// collector is in the way of the series.
func UnaryClientInterceptor(m *metrics.Metrics) grpc.UnaryClientInterceptor {
	s := attach("UnaryClientInterceptor", m, false)
	return func(ctx context.Context, full string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		c := s.begin(unary, full)
		returned := false
		defer func() {
			if !returned { // a panic, or runtime.Goexit
				c.end(uint32(codes.Internal), 1, 0)
			}
		}()
		err := invoker(ctx, full, req, reply, cc, opts...)
		returned = true
		received := int64(0)
		if err == nil {
			received = 1
		}
		c.end(rpcstate.Code(err), 1, received)
		return err
	}
}

// StreamClientInterceptor does for streams what UnaryClientInterceptor does for other
// calls. A stream is over when RecvMsg has returned an error, io.EOF included, or the
// only answer of a stream that has one, or when its context is done.
func StreamClientInterceptor(m *metrics.Metrics) grpc.StreamClientInterceptor {
	s := attach("StreamClientInterceptor", m, false)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, full string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		c := s.begin(kindOf(desc.ClientStreams, desc.ServerStreams), full)
		returned := false
		defer func() {
			if !returned { // a panic, or runtime.Goexit
				c.end(uint32(codes.Internal), 0, 0)
			}
		}()
		stream, err := streamer(ctx, desc, cc, full, opts...)
		returned = true
		if err != nil {
			c.end(rpcstate.Code(err), 0, 0)
			return nil, err
		}
		return rpcstate.Watch(ctx, stream, desc, func(err error, sent, received int64) {
			c.end(rpcstate.Code(err), sent, received)
		}), nil
	}
}

// A call is a client's, of a method, since its start.
type call struct {
	method *method
	start  time.Time
}

func (s *side) begin(k kind, full string) call {
	m, own := s.method(k, full)
	if !own {
		s.overflow.Inc()
	}
	if m.started != nil {
		m.started.Inc()
	}
	return call{m, time.Now()}
}

func (c call) end(code uint32, sent, received int64) {
	c.method.count(codes.Code(code), "", time.Since(c.start), nil)
	if c.method.started != nil {
		c.method.sent.Add(float64(sent))
		c.method.received.Add(float64(received))
	}
}
