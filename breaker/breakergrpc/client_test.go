package breakergrpc_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// A server that fails is not called, until a probe finds it well.
func TestClient(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{ConsecutiveFailures: 5, Probes: 1, OpenFor: 2 * time.Second, MaxOpenFor: 2 * time.Second})
				calls, broken := 0, true
				cc := serve(t, always(func(_ context.Context, n int64) (int64, error) {
					if calls++; broken {
						return 0, errDisk
					}
					return n, nil
				}), nil, guard(b, breakergrpc.ClientConfig{})...)
				for range 5 {
					if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unknown {
						t.Errorf("%v", got.err)
					}
				}
				for range 3 {
					if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable || !errors.Is(got.err, breaker.ErrOpen) {
						t.Errorf("an open breaker: %v", got.err)
					}
				}
				if calls != 5 {
					t.Errorf("%d calls reached the server", calls)
				}
				broken = false
				<-time.After(2 * time.Second)
				if got := call(t.Context(), cc, 7); got.err != nil || got.n != 7 {
					t.Errorf("the probe got %d, %v", got.n, got.err)
				}
				if s := b.State(); s != breaker.Recovering && s != breaker.Closed {
					t.Errorf("after a good probe it is %v", s)
				}
			})
		})
	}
}

// The error of a call that was not made is a status to gRPC's own, what it is to
// errors.Is and errors.As, and says to retries what they need; and a handler may
// tell a client of its own by Status.
func TestClientErrors(t *testing.T) {
	b := opened(t)
	cc := serve(t, numbers{}, nil, guard(b, breakergrpc.ClientConfig{})...)
	for kind, call := range kinds {
		got := call(t.Context(), cc, 1)
		st, ok := status.FromError(got.err)
		if !ok || st.Code() != codes.Unavailable {
			t.Errorf("%s: %v", kind, got.err)
		}
		var open *breaker.OpenError
		if !errors.Is(got.err, breaker.ErrOpen) || !errors.As(got.err, &open) || open.Name != secret {
			t.Errorf("%s: %v is not the breaker's", kind, got.err)
		}
		var transient interface {
			Retryable() bool
			RetryDelay() time.Duration
		}
		if !errors.As(got.err, &transient) || transient.Retryable() || transient.RetryDelay() <= 0 {
			t.Errorf("%s: %v does not say when to come back", kind, got.err)
		}
		wait := int64((transient.RetryDelay() + time.Second - 1) / time.Second)
		outcome{codes.Unavailable, "BREAKER_OPEN", wait}.check(t, breakergrpc.Status(t.Context(), got.err), nil)
	}
	if got := b.Stats().Rejected; got != uint64(len(kinds)) {
		t.Errorf("%d calls rejected", got)
	}
}

// One breaker for each target and method, and none for some.
func TestClientPick(t *testing.T) {
	var targets []string
	b, none := newBreaker(t, breaker.Config{}), opened(t)
	cc := serve(t, echo, nil, guard(none, breakergrpc.ClientConfig{
		Pick: func(_ context.Context, target, fullMethod string) *breaker.Breaker {
			targets = append(targets, target)
			switch fullMethod {
			case service + "Unary", service + "Watch":
				return b
			case service + "Chat":
				return none
			}
			return nil
		},
	})...)
	for kind, call := range kinds {
		want := codes.OK
		if kind == "chat" {
			want = codes.Unavailable
		}
		if got := call(t.Context(), cc, 1); status.Code(got.err) != want {
			t.Errorf("%s: %v", kind, got.err)
		}
	}
	for _, target := range targets {
		if target != "passthrough:///bufconn" {
			t.Errorf("target %q", target)
		}
	}
	if _, err := breakergrpc.StreamClientInterceptor(nil, breakergrpc.ClientConfig{
		Pick: func(_ context.Context, target, _ string) *breaker.Breaker {
			if target != "" {
				t.Errorf("target %q of no connection", target)
			}
			return nil
		},
	})(t.Context(), &watch, nil, "", madeUp(nil)); err != nil {
		t.Error(err)
	}
	counts{successes: 2}.check(t, b)
}

// A call that is left by an inner interceptor's panic or Goexit is a failure.
func TestClientReportsPanics(t *testing.T) {
	for _, leave := range []func(){func() { panic(secret) }, runtime.Goexit} {
		b := newBreaker(t, breaker.Config{})
		unary := breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{})
		stream := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})
		for _, call := range []func(){
			func() {
				_ = unary(t.Context(), "", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					leave()
					return nil
				})
			},
			func() {
				_, _ = stream(t.Context(), &watch, nil, "", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					leave()
					return nil, nil
				})
			},
		} {
			done := make(chan any)
			go func() {
				defer func() { done <- recover() }()
				call()
				t.Error("it returned")
			}()
			<-done
		}
		counts{failures: 2}.check(t, b)
	}
}

// A stream reports once, when it ends, in each of the ways that gRPC has.
func TestClientStreamReports(t *testing.T) {
	drain := func(stream grpc.ClientStream) error {
		for {
			if _, err := receive(stream); err != nil {
				return err
			}
		}
	}
	two := func(err error) numbers { // messages, and an end
		return numbers{stream: func(stream grpc.ServerStream) error {
			return errors.Join(send(stream, 1), send(stream, 2), err)
		}}
	}
	cut := numbers{stream: func(stream grpc.ServerStream) error {
		_ = send(stream, 1)
		return status.Error(codes.Unavailable, "")
	}}
	hang := numbers{stream: func(stream grpc.ServerStream) error {
		_ = send(stream, 1)
		<-stream.Context().Done()
		return stream.Context().Err()
	}}
	for name, tt := range map[string]struct {
		desc    grpc.StreamDesc
		handler numbers
		want    counts
		end     func(t *testing.T, cc *grpc.ClientConn, stream grpc.ClientStream, cancel func())
	}{
		"received to the end": {watch, two(nil), counts{successes: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
			if err := drain(stream); err != io.EOF {
				t.Error(err)
			}
		}},
		"cut after the first message": {watch, cut, counts{failures: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
			if err := drain(stream); status.Code(err) != codes.Unavailable {
				t.Error(err)
			}
		}},
		"cut, and canceled after": {watch, cut, counts{failures: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, cancel func()) {
			_ = drain(stream)
			cancel()
		}},
		"the one answer": {upload, echo, counts{successes: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
			if n, err := receive(stream); n != 1 || err != nil {
				t.Error(n, err)
			}
		}},
		"half-read and canceled": {chat, hang, counts{ignored: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, cancel func()) {
			if _, err := receive(stream); err != nil {
				t.Error(err)
			}
			cancel()
		}},
		"canceled, and read after": {watch, hang, counts{ignored: 1}, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, cancel func()) {
			cancel()
			if err := drain(stream); status.Code(err) != codes.Canceled {
				t.Error(err)
			}
		}},
		"never read, and canceled": {chat, hang, counts{ignored: 1}, func(_ *testing.T, _ *grpc.ClientConn, _ grpc.ClientStream, cancel func()) {
			cancel()
		}},
		"never read, and late": {chat, hang, counts{failures: 1}, func(*testing.T, *grpc.ClientConn, grpc.ClientStream, func()) {
			<-time.After(time.Hour)
		}},
		"the connection is closed": {watch, hang, counts{ignored: 1}, func(t *testing.T, cc *grpc.ClientConn, _ grpc.ClientStream, _ func()) {
			if err := cc.Close(); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBreaker(t, breaker.Config{})
				cc := serve(t, tt.handler, nil, guard(b, breakergrpc.ClientConfig{})...)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				stream, err := cc.NewStream(ctx, &tt.desc, service+tt.desc.StreamName)
				if err != nil {
					t.Fatal(err)
				}
				if err := errors.Join(send(stream, 1), stream.CloseSend()); err != nil {
					t.Error(err)
				}
				synctest.Wait() // the answer has arrived by now, unread
				counts{}.check(t, b)
				tt.end(t, cc, stream, cancel)
				synctest.Wait()
				tt.want.check(t, b)
				cancel()
				synctest.Wait()
				tt.want.check(t, b)
			})
		})
	}
}

// Streams that no connection is behind: those that do not come about, and those
// that an inner interceptor makes up. They leave no goroutine.
func TestClientStreamWithoutConnection(t *testing.T) {
	goroutines := runtime.NumGoroutine()
	down := status.Error(codes.Unavailable, "")
	b := newBreaker(t, breaker.Config{})
	intercept := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})
	if _, err := intercept(t.Context(), &watch, nil, "", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, down
	}); err != down {
		t.Error(err)
	}
	counts{failures: 1}.check(t, b)
	for _, tt := range []struct {
		desc *grpc.StreamDesc
		ends []error
		want counts
	}{
		{&watch, []error{nil, nil, io.EOF}, counts{successes: 1}},
		{&watch, []error{nil, down}, counts{failures: 1}},
		{&upload, []error{nil, io.EOF}, counts{successes: 1}},
		{&chat, []error{nil, errDisk}, counts{failures: 1}},
	} {
		b := newBreaker(t, breaker.Config{})
		stream, err := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})(t.Context(), tt.desc, nil, "", madeUp(tt.ends...))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.ends {
			if err := stream.RecvMsg(nil); err != want {
				t.Error(err)
			}
		}
		tt.want.check(t, b)
	}
	b = newBreaker(t, breaker.Config{})
	stream, err := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})(t.Context(), &upload, nil, "", madeUp(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.RecvMsg(nil); err != nil { // the one message
		t.Error(err)
	}
	counts{successes: 1}.check(t, b)
	if n := runtime.NumGoroutine(); n > goroutines {
		t.Errorf("%d goroutines more", n-goroutines)
	}
}
