package concurrencygrpc_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// firehose sends messages of 32 KiB, as many as the client accepts, until a
// send fails, and leaves word of why and of how many it were.
type firehose struct {
	sent atomic.Int64
	ctx  context.Context
	end  chan error
}

func (f *firehose) numbers() numbers {
	return numbers{stream: func(stream grpc.ServerStream) error {
		f.ctx = stream.Context()
		for {
			if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, 32<<10))); err != nil {
				f.end <- errors.Join(err, stream.SendMsg(wrapperspb.Bytes(nil)))
				return nil // as if the client had left
			}
			f.sent.Add(1)
		}
	}}
}

// A client that stops reading loses the permit that its stream has, and then the
// stream.
func TestStreamThatNobodyReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1})
		f := &firehose{end: make(chan error, 1)}
		cc := serve(t, f.numbers(), intercept(l, concurrencygrpc.ServerConfig{WriteTimeout: 10 * time.Second}))
		stream, err := cc.NewStream(t.Context(), &watch, service+"Watch")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(send(stream, 1), stream.CloseSend()); err != nil {
			t.Fatal(err)
		}
		var got wrapperspb.BytesValue
		for range 20 { // a slow reader is no stalled one
			<-time.After(9 * time.Second)
			if err := stream.RecvMsg(&got); err != nil {
				t.Fatal(err)
			}
			if l.Stats().InFlight != 1 || f.ctx.Err() != nil {
				t.Fatal("the stream of a slow reader has lost its permit")
			}
		}
		<-time.After(9 * time.Second)
		synctest.Wait()
		if l.Stats().InFlight != 1 {
			t.Error("the permit is back before its time")
		}
		<-time.After(2 * time.Second)
		synctest.Wait()
		if l.Stats().InFlight != 0 || !errors.Is(f.ctx.Err(), context.Canceled) {
			t.Errorf("%d permits are out; the handler's context: %v", l.Stats().InFlight, f.ctx.Err())
		}
		// What is on its way arrives if it is read after all, and nothing else.
		received := int64(20)
		for err = nil; err == nil; {
			if err = stream.RecvMsg(&got); err == nil {
				received++
			}
		}
		outcome{codes.DeadlineExceeded, "", 0}.check(t, err, stream.Trailer())
		if err := <-f.end; status.Code(err.(interface{ Unwrap() []error }).Unwrap()[1]) != codes.DeadlineExceeded {
			t.Errorf("the handler's sends failed with %v", err)
		}
		if sent := f.sent.Load(); received < sent || received > sent+1 {
			t.Errorf("%d messages were sent, and one that hung, and %d received", sent, received)
		}
		idle(t, l)
	})
}

// The context that a timeout needs is gone with the stream.
func TestStreamContextEnds(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	var ctx context.Context
	if err := concurrencygrpc.StreamServerInterceptor(l, concurrencygrpc.ServerConfig{WriteTimeout: time.Hour})(
		nil, fakeStream{ctx: context.Background()}, &grpc.StreamServerInfo{},
		func(_ any, stream grpc.ServerStream) error { ctx = stream.Context(); return ctx.Err() }); err != nil {
		t.Error(err)
	}
	if ctx.Err() == nil {
		t.Error("the context has not ended")
	}
}

// Without a timeout a stream may hang for ever.
func TestStreamWithoutTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(t, concurrency.Config{Max: 1})
		f := &firehose{end: make(chan error, 1)}
		cc := serve(t, f.numbers(), intercept(l, concurrencygrpc.ServerConfig{}))
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := cc.NewStream(ctx, &watch, service+"Watch"); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Hour)
		synctest.Wait()
		if l.Stats().InFlight != 1 {
			t.Error("the stream has lost its permit")
		}
		cancel()
		<-f.end
		synctest.Wait()
		idle(t, l)
	})
}

// What an adaptive limiter takes for the latency, as Stats has it after some
// calls of each kind.
func TestServerLatency(t *testing.T) {
	const think, rest = 20 * time.Millisecond, 300 * time.Millisecond
	wait := func(d time.Duration) { <-time.After(d) }
	ok := func() error { return nil }
	type call struct {
		unary  func(ctx context.Context) error
		stream func(stream grpc.ServerStream) error
		both   bool // the client streams, too
		gone   bool // the client
	}
	fails := func(code codes.Code) call {
		return call{unary: func(context.Context) error { return status.Error(code, "") }}
	}
	good := call{unary: func(context.Context) error { wait(think); return nil }}
	for name, tt := range map[string]struct {
		calls   []call // one after the other, time and again
		latency time.Duration
		shrinks bool
	}{
		"unary": {[]call{good}, think, false},
		"stream": {[]call{{stream: func(s grpc.ServerStream) error {
			wait(think)
			_ = s.SendMsg(nil)
			wait(rest)
			_ = s.SendMsg(nil)
			return nil
		}}}, think, false},
		"stream without an answer": {[]call{{stream: func(grpc.ServerStream) error { wait(think); return nil }}}, think, false},
		"stream of both":           {[]call{good, {both: true, stream: func(s grpc.ServerStream) error { _ = s.SendMsg(nil); return nil }}}, think, false},
		"errors that say nothing":  {[]call{good, fails(codes.NotFound), fails(codes.Internal), fails(codes.ResourceExhausted)}, think, false},
		"a plain error":            {[]call{good, {unary: func(context.Context) error { return errors.New(secret) }}}, think, false},
		"a panic":                  {[]call{good, {unary: func(context.Context) error { panic(secret) }}}, think, false},
		"a panic in a stream":      {[]call{good, {stream: func(grpc.ServerStream) error { panic(secret) }}}, think, false},
		"clients that leave":       {[]call{good, {gone: true, unary: func(context.Context) error { return nil }}}, think, false},
		"unavailable":              {[]call{good, fails(codes.Unavailable)}, think, true},
		"late":                     {[]call{good, fails(codes.DeadlineExceeded)}, think, true},
		"late, as a context says":  {[]call{good, {unary: func(context.Context) error { return context.DeadlineExceeded }}}, think, true},
		"late, without an error": {[]call{good, {unary: func(ctx context.Context) error {
			<-ctx.Done()
			return nil
		}}}, think, true},
		"unavailable, in a stream of both": {[]call{good, {both: true, stream: func(grpc.ServerStream) error { return status.Error(codes.Unavailable, "") }}}, think, true},
		"unavailable, in the midst of a stream of both": {[]call{good, {both: true, stream: func(s grpc.ServerStream) error {
			_ = s.SendMsg(nil)
			return status.Error(codes.Unavailable, "")
		}}}, think, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
				before := l.Stats().Limit
				<-time.After(time.Second) // a rate of calls from the start on would be enormous
				unary := concurrencygrpc.UnaryServerInterceptor(l, concurrencygrpc.ServerConfig{})
				stream := concurrencygrpc.StreamServerInterceptor(l, concurrencygrpc.ServerConfig{})
				for i := range 100 {
					c := tt.calls[i%len(tt.calls)]
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					func() {
						defer cancel()
						defer func() { _ = recover() }()
						if c.unary != nil {
							_, _ = unary(ctx, nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, _ any) (any, error) {
								if c.gone {
									cancel()
								}
								return nil, c.unary(ctx)
							})
							return
						}
						_ = stream(nil, fakeStream{ctx: ctx, send: ok}, &grpc.StreamServerInfo{IsClientStream: c.both},
							func(_ any, stream grpc.ServerStream) error { return c.stream(stream) })
					}()
				}
				s := l.Stats()
				if d := s.Latency; d < tt.latency*99/100 || d > tt.latency*101/100 {
					t.Errorf("latency %v, want %v", d, tt.latency)
				}
				if (s.Limit < before) != tt.shrinks {
					t.Errorf("the limit went from %d to %d", before, s.Limit)
				}
				idle(t, l)
			})
		})
	}
}
