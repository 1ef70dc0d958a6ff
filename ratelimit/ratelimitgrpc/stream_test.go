package ratelimitgrpc_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// talk sends the numbers from 1 to n, one for each answer, and returns the last
// answer and how it ended.
func talk(t *testing.T, cc *grpc.ClientConn, n int64) (last int64, a answer) {
	t.Helper()
	stream, err := cc.NewStream(t.Context(), &streamDesc, streamMethod)
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(1); i <= n && a.err == nil; i++ {
		if err := send(stream, i); err != nil && err != io.EOF {
			t.Fatal(err)
		}
		var got int64
		if got, a.err = receive(stream); a.err == nil {
			last = got
		}
	}
	if a.err == nil {
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		_, a.err = receive(stream)
	}
	a.trailer = stream.Trailer()
	return last, a
}

func TestStreamPerMessage(t *testing.T) {
	value := func(_ context.Context, _ string, msg any) int { return int(msg.(*wrapperspb.Int64Value).Value) }
	for name, tt := range map[string]struct {
		cfg  ratelimitgrpc.ServerConfig
		sent int64
		last int64
		want outcome
	}{
		"received":            {ratelimitgrpc.ServerConfig{PerReceived: true}, 6, 6, outcome{}},
		"one too many":        {ratelimitgrpc.ServerConfig{PerReceived: true}, 7, 6, outcome{codes.ResourceExhausted, "RATE_LIMITED", 600, ""}},
		"sent":                {ratelimitgrpc.ServerConfig{PerSent: true}, 6, 6, outcome{}},
		"one sent too many":   {ratelimitgrpc.ServerConfig{PerSent: true}, 7, 6, outcome{codes.ResourceExhausted, "RATE_LIMITED", 600, ""}},
		"both":                {ratelimitgrpc.ServerConfig{PerReceived: true, PerSent: true}, 3, 3, outcome{}},
		"both, one too many":  {ratelimitgrpc.ServerConfig{PerReceived: true, PerSent: true}, 4, 3, outcome{codes.ResourceExhausted, "RATE_LIMITED", 600, ""}},
		"by value":            {ratelimitgrpc.ServerConfig{PerReceived: true, Cost: value}, 3, 3, outcome{}},
		"by value, too much":  {ratelimitgrpc.ServerConfig{PerReceived: true, Cost: value}, 4, 3, outcome{codes.ResourceExhausted, "RATE_LIMITED", 2400, ""}},
		"by value, when sent": {ratelimitgrpc.ServerConfig{PerSent: true, Cost: value}, 4, 3, outcome{codes.ResourceExhausted, "RATE_LIMITED", 2400, ""}},
		"the stream":          {ratelimitgrpc.ServerConfig{}, 100, 100, outcome{}},
	} {
		bubble(t, name, func(t *testing.T) {
			tt.cfg.Key = oneKey
			cc := serve(t, echo, intercept(newLimiter(t, ratelimit.PerHour(6)), tt.cfg))
			last, got := talk(t, cc, tt.sent)
			if errors.Is(got.err, io.EOF) {
				got.err = nil
			}
			tt.want.check(t, got.err, got.trailer)
			if last != tt.last {
				t.Errorf("the last answer is %d, want %d", last, tt.last)
			}
		})
	}
}

// Whatever a handler makes of a denied message, the stream ends with the denial
// and no message more goes through.
func TestStreamEndsWithTheDenial(t *testing.T) {
	for name, result := range map[string]error{"nil": nil, "another": errors.New(secret)} {
		t.Run(name, func(t *testing.T) {
			var calls []codes.Code
			handler := numbers{stream: func(stream grpc.ServerStream) error {
				for range 3 {
					_, err := receive(stream)
					calls = append(calls, status.Code(err))
				}
				for range 2 {
					calls = append(calls, status.Code(send(stream, 1)))
				}
				return result
			}}
			// The third message would be let through if it were asked about.
			l := &fake{d: ratelimit.Decision{OK: true, RetryAfter: time.Hour}, first: []bool{true, false}}
			cc := serve(t, handler, intercept(l, ratelimitgrpc.ServerConfig{Key: oneKey, PerReceived: true, PerSent: true}))
			stream, err := cc.NewStream(t.Context(), &streamDesc, streamMethod)
			if err != nil {
				t.Fatal(err)
			}
			for range 4 { // the last is never received
				if err := send(stream, 1); err != nil && err != io.EOF {
					t.Fatal(err)
				}
			}
			_, err = receive(stream)
			outcome{codes.ResourceExhausted, "RATE_LIMITED", 3600, ""}.check(t, err, stream.Trailer())
			want := []codes.Code{codes.OK, codes.ResourceExhausted, codes.ResourceExhausted, codes.ResourceExhausted, codes.ResourceExhausted}
			if !slices.Equal(calls, want) {
				t.Errorf("the handler's calls ended with %v, want %v", calls, want)
			}
			if len(l.asked) != 2 {
				t.Errorf("%d messages were charged", len(l.asked))
			}
		})
	}
}

// together is a limiter that denies when it has been asked twice.
type together struct{ asked sync.WaitGroup }

func (l *together) AllowN(context.Context, string, int) (ratelimit.Decision, error) {
	l.asked.Done()
	l.asked.Wait()
	return ratelimit.Decision{RetryAfter: 1}, nil
}

func (*together) Return(context.Context, string, int) error { return nil }

// Both directions at once may be denied at once: there is one Deny and one
// trailer, since two are an order not to retry. And neither waits for the
// other's answer.
func TestStreamIsDeniedOnce(t *testing.T) {
	handler := numbers{stream: func(stream grpc.ServerStream) error {
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := receive(stream); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("receive: %v", err)
			}
		})
		wg.Go(func() {
			if err := send(stream, 1); status.Code(err) != codes.ResourceExhausted {
				t.Errorf("send: %v", err)
			}
		})
		wg.Wait()
		return nil
	}}
	var l together
	l.asked.Add(2)
	told := 0
	cc := serve(t, handler, intercept(&l, ratelimitgrpc.ServerConfig{
		Key: oneKey, PerReceived: true, PerSent: true,
		Deny: func(context.Context, string, error) error { told++; return nil },
	}))
	got := callStream(t.Context(), cc, 1)
	outcome{codes.ResourceExhausted, "RATE_LIMITED", 1, ""}.check(t, got.err, got.trailer)
	if told != 1 {
		t.Errorf("Deny was called %d times", told)
	}
}

// What the transport fails with is not charged, and is the handler's to see.
func TestStreamClientThatLeaves(t *testing.T) {
	seen := make(chan error, 1)
	handler := numbers{stream: func(stream grpc.ServerStream) error {
		for {
			if _, err := receive(stream); err != nil {
				seen <- err
				return err
			}
		}
	}}
	l := &fake{d: ratelimit.Decision{OK: true}}
	cc := serve(t, handler, intercept(l, ratelimitgrpc.ServerConfig{Key: oneKey, PerReceived: true}))
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
	if err != nil {
		t.Fatal(err)
	}
	if err := send(stream, 1); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-seen; status.Code(err) != codes.Canceled {
		t.Errorf("the handler saw %v", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.asked) > 1 {
		t.Errorf("%d messages were charged", len(l.asked))
	}
}
