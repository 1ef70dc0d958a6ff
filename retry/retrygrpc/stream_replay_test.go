package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// What was sent is sent again, in order, with what is sent in the meantime.
func TestStreamReplays(t *testing.T) {
	for _, desc := range []grpc.StreamDesc{upload, chat} {
		bubble(t, desc.StreamName, func(t *testing.T) {
			f := newFlaky(down("")) // after the first attempt, which breaks before all is sent
			n := 0
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				if n++; n == 1 {
					if first, err := receive(stream); first != 1 || err != nil {
						t.Errorf("%d, %v", first, err)
					}
					return down("")
				}
				return f.numbers().stream(stream)
			}}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			stream := open(t, t.Context(), cc, desc, 1)
			synctest.Wait() // the attempt is broken by now
			for i := int64(2); i <= 4; i++ {
				if err := send(stream, i); err != nil {
					t.Errorf("send on a broken stream: %v", err)
				}
			}
			go func() {
				<-time.After(pause / 2)
				if err := errors.Join(send(stream, 5), stream.CloseSend()); err != nil {
					t.Errorf("send in the pause: %v", err)
				}
			}()
			if sum, err := receive(stream); sum != 15 || err != nil {
				t.Errorf("%d, %v", sum, err)
			}
			visits := f.seen()
			if len(visits) != 2 || !slices.Equal(visits[1].sent, []int64{1, 2, 3, 4, 5}) || !slices.Equal(visits[0].sent, visits[1].sent) {
				t.Errorf("%+v", visits)
			}
		})
	}
}

// What is kept is bounded, to the byte.
func TestStreamMaxBuffer(t *testing.T) {
	const each = 100 // on the wire, with gRPC's 5
	msg := wrapperspb.Bytes(make([]byte, each-5-2))
	for name, tt := range map[string]struct {
		most, n  int
		attempts int
	}{
		"up to it":           {1000, 10, 2},
		"above it":           {1000, 11, 1},
		"a byte above it":    {999, 10, 1},
		"nothing sent":       {-1, 0, 2},
		"none is kept":       {-1, 1, 1},
		"the default":        {0, 655, 2},
		"above the default":  {0, 656, 1},
		"much, in a replay":  {1 << 20, 10000, 2},
		"empty ones, too":    {0, 13107, 2},
		"more of them":       {0, 13108, 1},
		"what has no size":   {0, 1, 1},
		"one that is large ": {1000, 1, 1},
	} {
		bubble(t, name, func(t *testing.T) {
			attempts, received := 0, 0
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				attempts++
				received = 0
				for {
					if _, err := (&countStream{stream}).next(); err != nil {
						break
					}
					received++
				}
				if attempts == 1 {
					return down("")
				}
				return send(stream, int64(received))
			}}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: tt.most})...)
			var options []grpc.CallOption
			var m any = msg
			switch name {
			case "empty ones, too", "more of them":
				m = wrapperspb.Bytes(nil)
			case "one that is large ":
				m = wrapperspb.Bytes(make([]byte, 1001))
			case "what has no size":
				m, options = "text", append(options, grpc.ForceCodec(textCodec{}))
			}
			stream, err := cc.NewStream(t.Context(), &upload, service+"Upload", options...)
			if err != nil {
				t.Fatal(err)
			}
			for range tt.n {
				if err := stream.SendMsg(m); err != nil {
					t.Fatal(err)
				}
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			n, err := receive(stream)
			if _, gaveUp := errors.AsType[*retry.Error](err); tt.attempts == 1 && (gaveUp || time.Since(start) > 0) {
				t.Errorf("%v after %v", err, time.Since(start))
			}
			if attempts != tt.attempts {
				t.Errorf("%d attempts, %v", attempts, err)
			}
			if tt.attempts == 2 && (err != nil || n != int64(tt.n)) || tt.attempts == 1 && status.Code(err) != codes.Unavailable {
				t.Errorf("%d, %v", n, err)
			}
		})
	}
}

// countStream receives messages of whatever kind.
type countStream struct{ grpc.ServerStream }

func (s *countStream) next() (any, error) {
	var m wrapperspb.BytesValue
	return &m, s.RecvMsg(&m)
}

// textCodec sends what is no protocol buffer, as an empty one.
type textCodec struct{}

// The one message of a method whose clients do not stream is kept whatever its
// size, as a unary call's is.
func TestStreamKeepsTheOnlyMessage(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		f := newFlaky(down(""), down(""))
		cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: -1})...)
		if got := callStream(watch)(t.Context(), cc, 7); got.n != 7 || got.err != nil {
			t.Errorf("%d, %v", got.n, got.err)
		}
	})
}

// A stream that has sent too much tells so as gRPC does when it is broken.
func TestStreamTooMuchSentOnABrokenOne(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cc := serve(t, numbers{stream: func(grpc.ServerStream) error { return down("early") }}, nil,
			again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: 20})...)
		stream := open(t, t.Context(), cc, upload, 1, 2)
		synctest.Wait()
		var err error
		n := 2
		for ; err == nil && n < 100; n++ {
			err = send(stream, 1)
		}
		if err != io.EOF || n > 4 {
			t.Errorf("after %d messages: %v", n, err)
		}
		if _, err := receive(stream); status.Convert(err).Message() != "early" {
			t.Errorf("%v", err)
		}
	})
}

// A server that answers while it reads what is sent again would wait for ever for
// a client that does not receive before all is sent.
func TestStreamReplayOfMuch(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		const n, size = 64, 8 << 10 // several windows
		attempts := 0
		msg := wrapperspb.Bytes(make([]byte, size))
		cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			attempts++
			for {
				m, err := (&countStream{stream}).next()
				if err != nil {
					break
				}
				if attempts == 1 {
					continue
				}
				if err := stream.SendMsg(m); err != nil {
					return err
				}
			}
			if attempts == 1 {
				return down("")
			}
			return nil
		}}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: 2 * n * size})...)
		stream := open(t, t.Context(), cc, chat)
		for range n {
			if err := stream.SendMsg(msg); err != nil {
				t.Fatal(err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		got := 0
		for {
			var m wrapperspb.BytesValue
			if err := stream.RecvMsg(&m); err != nil {
				if err != io.EOF {
					t.Error(err)
				}
				break
			}
			got++
		}
		if got != n || attempts != 2 {
			t.Errorf("%d messages came back in %d attempts", got, attempts)
		}
	})
}

// A panic of what sends again, which is in another goroutine if that is much, is
// its caller's to recover as well.
func TestStreamPanicsInReplay(t *testing.T) {
	for _, size := range []int{1 << 10, 1 << 20} {
		bubble(t, fmt.Sprint(size), func(t *testing.T) {
			opens := 0
			var latest context.Context
			streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				opens++
				latest = ctx
				return &brittle{ctx: ctx, broken: opens == 1}, nil
			}
			stream, err := retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: 2 << 20})(
				t.Context(), &upload, nil, "", streamer)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.SendMsg(wrapperspb.Bytes(make([]byte, size))); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if v := recover(); v != secret || latest.Err() == nil {
					t.Errorf("recovered %v, the attempt's context: %v", v, latest.Err())
				}
				if err := stream.CloseSend(); err != nil { // nothing is locked
					t.Error(err)
				}
			}()
			err = stream.RecvMsg(nil)
			t.Errorf("it returned %v", err)
		})
	}
}

// What is sent while an attempt is being opened, and is too much, is neither lost
// nor sent twice: the stream is over.
func TestStreamTooMuchSentWhileItIsOpened(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var stream grpc.ClientStream
		var ctxs []context.Context
		streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			if ctxs = append(ctxs, ctx); len(ctxs) == 2 {
				if err := send(stream, 1); err != io.EOF {
					t.Errorf("send: %v", err)
				}
			}
			return &brittle{ctx: ctx, broken: len(ctxs) == 1}, nil
		}
		stream, err := retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{MaxBuffer: -1})(
			t.Context(), &upload, nil, "", streamer)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := stream.RecvMsg(nil); status.Convert(err).Message() != "" || status.Code(err) != codes.Unavailable || time.Since(start) != pause {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if len(ctxs) != 2 {
			t.Errorf("%d attempts", len(ctxs))
		}
		for _, ctx := range ctxs {
			if ctx.Err() == nil {
				t.Error("an attempt's context lives on")
			}
		}
	})
}

// brittle is a stream that is broken, or panics when something is sent on it.
type brittle struct {
	grpc.ClientStream
	ctx    context.Context
	broken bool
}

func (s *brittle) Trailer() metadata.MD { return nil }
func (s *brittle) CloseSend() error     { return nil }

func (s *brittle) SendMsg(any) error {
	if s.broken {
		return io.EOF
	}
	panic(secret)
}

func (s *brittle) RecvMsg(any) error {
	if s.broken {
		return down("")
	}
	<-s.ctx.Done()
	return status.FromContextError(s.ctx.Err()).Err()
}
