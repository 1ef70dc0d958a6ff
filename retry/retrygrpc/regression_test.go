package retrygrpc_test

import (
	"context"
	"path"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// A loser may be anywhere when its call is over, and what it sends then must not
// be the caller's message, which is the caller's again: to be changed, or pooled.
func TestHedgesLoserKeepsOffTheRequest(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		r := &replica{answer: func(context.Context, int) error { return nil }}
		released, over := make(chan struct{}), make(chan int64, 1)
		slow := false
		h := newHedger(t, 1)
		cc := serve(t, r.numbers(), nil, grpc.WithChainUnaryInterceptor(
			retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{Hedger: h, Idempotent: idempotent}),
			func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
				if slow && retry.Attempt(ctx) == 1 {
					<-released // whatever becomes of ctx
					over <- req.(*wrapperspb.Int64Value).Value
				}
				return invoker(ctx, method, req, reply, cc, opts...)
			}))
		r.warm(t, cc)
		slow = true
		in, out := wrapperspb.Int64(7), new(wrapperspb.Int64Value)
		if err := cc.Invoke(t.Context(), service+"Unary", in, out); err != nil || out.Value != 8 {
			t.Fatalf("%v, %v", out, err)
		}
		close(released)
		in.Value = 9
		if sent := <-over; sent != 7 {
			t.Errorf("the loser sends %d", sent)
		}
	})
}

// A call that is both retried and hedged has one share of the budget, not two.
func TestHedgedCallsPayOnce(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		b, err := retry.NewBudget(retry.BudgetConfig{Ratio: 0.25, Floor: 1})
		if err != nil {
			t.Fatal(err)
		}
		h, err := retry.NewHedger(retry.HedgeConfig{Budget: b})
		if err != nil {
			t.Fatal(err)
		}
		r := newRetrier(t, retry.Config{MaxAttempts: 2, Budget: b})
		cc := serve(t, always(func(context.Context, int64) (int64, error) { return 0, down("") }), nil,
			again(r, retrygrpc.ClientConfig{Hedger: h, Idempotent: idempotent})...)
		const calls = 40
		for range calls {
			if got := callUnary(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable {
				t.Fatal(got.err)
			}
		}
		if n := b.Stats().Spent; n > calls/4+1 || n < calls/4 || h.Stats().Calls == 0 {
			t.Errorf("%d retries of %d calls: want a quarter, and 1", n, calls)
		}
	})
}

// An attempt whose time is over together with its first message is ended by gRPC
// in a goroutine of its own, which also fills in what options point to. Neither
// the next attempt nor the caller may touch that meanwhile.
func TestStreamOptionsOfAnAttemptJustMissed(t *testing.T) {
	for n := range 40 {
		bubble(t, "", func(t *testing.T) {
			most := 1 + n%2
			cc, attempts := serveMissed(t, most)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var header, trailer metadata.MD
			stream, err := cc.NewStream(ctx, &watch, service+"Watch", grpc.Header(&header), grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			got, err := receive(stream)
			if *attempts != most || most == 1 && status.Code(err) != codes.DeadlineExceeded || most > 1 && (got != 1 || err != nil) {
				t.Errorf("%d, %v, %d attempts", got, err, *attempts)
			}
			if header != nil || trailer != nil {
				t.Errorf("it is not over, and has told %v, %v", header, trailer)
			}
			cancel()
			if _, err := receive(stream); err == nil {
				t.Error("it goes on")
			}
			if most > 1 && header.Get("a") == nil {
				t.Errorf("in the end it has told %v", header)
			}
		})
	}
}

// An answer of one message is whole when it is there, and late is better than
// twice.
func TestStreamWholeAnswerJustInTime(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cc, attempts := serveMissed(t, 3)
		if got := callStream(upload)(t.Context(), cc, 1); got.err != nil || got.n != 1 || *attempts != 1 {
			t.Errorf("%+v after %d attempts", got, *attempts)
		}
	})
}

// serveMissed serves streams whose first attempts get an answer at the end of
// their time.
func serveMissed(t *testing.T, most int) (cc *grpc.ClientConn, attempts *int) {
	attempts = new(int)
	stream := func(stream grpc.ServerStream) error {
		if err := stream.SetHeader(metadata.Pairs("a", "b")); err != nil {
			return err
		}
		if err := send(stream, 1); err != nil || grpcMethod(stream) == "Upload" {
			return err
		}
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	r := newRetrier(t, retry.Config{
		MaxAttempts: most, PerAttempt: time.Second, Backoff: func() retry.Backoff { return every(0) },
	})
	return serve(t, numbers{stream: stream}, nil, grpc.WithChainStreamInterceptor(
		retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{}),
		func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			cs, err := streamer(ctx, desc, cc, method, opts...)
			if *attempts++; *attempts > 1 {
				return cs, err
			}
			return &missed{cs, ctx}, err
		})), attempts
}

func grpcMethod(stream grpc.ServerStream) string {
	method, _ := grpc.MethodFromServerStream(stream)
	return path.Base(method)
}

// missed receives, and returns when its time is over.
type missed struct {
	grpc.ClientStream
	ctx context.Context
}

func (s *missed) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if s.ctx.Err() != nil { // it ended by itself
		<-time.After(time.Minute)
	}
	<-s.ctx.Done()
	return err
}
