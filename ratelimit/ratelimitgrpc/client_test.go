package ratelimitgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// A backend stands for the connection: it answers each call with what the
// method's next word is, and notes when it was called.
type backend struct {
	start time.Time
	mu    sync.Mutex
	words map[string][]word
	calls []time.Duration // since start
}

// A word is how a server ends a call.
type word struct {
	code     codes.Code
	info     time.Duration // of RetryInfo, if not 0
	pushback []string      // the trailer
}

func newBackend() *backend {
	return &backend{start: time.Now(), words: make(map[string][]word)}
}

func (b *backend) next(method string) (word, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, time.Since(b.start))
	if len(b.words[method]) == 0 {
		return word{}, nil
	}
	w := b.words[method][0]
	b.words[method] = b.words[method][1:]
	st := status.New(w.code, "")
	if w.info != 0 {
		st, _ = st.WithDetails(&errdetails.ErrorInfo{}, &errdetails.RetryInfo{RetryDelay: durationpb.New(w.info)})
	}
	return w, st.Err()
}

func (b *backend) invoke(_ context.Context, method string, _, _ any, _ *grpc.ClientConn, opts ...grpc.CallOption) error {
	w, err := b.next(method)
	for _, o := range opts {
		if o, ok := o.(grpc.TrailerCallOption); ok && w.pushback != nil {
			*o.TrailerAddr = metadata.MD{"grpc-retry-pushback-ms": w.pushback}
		}
	}
	return err
}

func (b *backend) at(t *testing.T, want ...time.Duration) {
	t.Helper()
	b.mu.Lock()
	defer b.mu.Unlock()
	if !slices.Equal(b.calls, want) {
		t.Errorf("calls were made at %v, want %v", b.calls, want)
	}
	b.calls = nil
}

// client makes calls of b through an interceptor.
func (b *backend) client(l *rate.Limiter, cfg ratelimitgrpc.ClientConfig) func(ctx context.Context, method string, req any) error {
	intercept := ratelimitgrpc.UnaryClientInterceptor(l, cfg)
	return func(ctx context.Context, method string, req any) error {
		return intercept(ctx, method, req, nil, nil, b.invoke)
	}
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// refusal checks the error of a call that was not made for want of room.
func refusal(t *testing.T, err error, retryAfter time.Duration) {
	t.Helper()
	if status.Code(err) != codes.ResourceExhausted || !errors.Is(err, ratelimit.ErrLimited) {
		t.Errorf("%v, want a status of ResourceExhausted that is ErrLimited", err)
		return
	}
	r, ok := err.(interface {
		Retryable() bool
		RetryDelay() time.Duration
	})
	if !ok || r.Retryable() != (retryAfter > 0) || r.RetryDelay() != retryAfter {
		t.Errorf("%#v, want a RetryDelay of %v", err, retryAfter)
	}
	if errors.Is(err, context.DeadlineExceeded) != (retryAfter > 0) {
		t.Errorf("%v is DeadlineExceeded, or is not", err)
	}
	// What a handler answers its own client, if that is where the call came from.
	want := outcome{codes.Internal, "", 0, ""}
	if retryAfter > 0 {
		want = outcome{codes.Unavailable, "UNAVAILABLE", int64(retryAfter / time.Second), ""}
	}
	want.check(t, ratelimitgrpc.Status(t.Context(), err), nil)
	var limited *ratelimit.LimitedError
	if errors.As(err, &limited) {
		t.Error("it is a *LimitedError, which means that a caller of this process is over its limit")
	}
}

const method = "/a.B/C"

func TestClientPaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		call := b.client(rate.NewLimiter(rate.Every(time.Second), 2), ratelimitgrpc.ClientConfig{
			Cost: func(_ context.Context, m string, req any) int {
				if m != method {
					t.Errorf("method %q", m)
				}
				return req.(int)
			},
		})
		for _, cost := range []int{1, 1, 1, 2, 0, -1, 0} {
			if err := call(t.Context(), method, cost); err != nil {
				t.Error(err)
			}
		}
		b.at(t, 0, 0, time.Second, 3*time.Second, 3*time.Second, 3*time.Second, 3*time.Second)
		refusal(t, call(t.Context(), method, 3), 0) // which there is never room for
		b.at(t)
	})
}

func TestClientWithoutLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		call := b.client(nil, ratelimitgrpc.ClientConfig{})
		for range 3 {
			if err := call(t.Context(), method, nil); err != nil {
				t.Error(err)
			}
		}
		b.at(t, 0, 0, 0)
	})
}

// A call that cannot be made in time fails at once, and takes no turn.
func TestClientFailsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		call := b.client(rate.NewLimiter(rate.Every(10*time.Second), 1), ratelimitgrpc.ClientConfig{})
		if err := call(t.Context(), method, nil); err != nil {
			t.Error(err)
		}
		for range 3 {
			refusal(t, call(within(t, 9*time.Second), method, nil), 10*time.Second)
		}
		if d := time.Since(b.start); d != 0 {
			t.Errorf("it took %v", d)
		}
		if err := call(within(t, 11*time.Second), method, nil); err != nil {
			t.Error(err)
		}
		b.at(t, 0, 10*time.Second)

		call = b.client(rate.NewLimiter(0, 0), ratelimitgrpc.ClientConfig{})
		refusal(t, call(t.Context(), method, nil), 0)

		call = b.client(rate.NewLimiter(0, 1), ratelimitgrpc.ClientConfig{})
		if err := call(t.Context(), method, nil); err != nil {
			t.Error(err)
		}
		refusal(t, call(within(t, time.Second), method, nil), 0)
	})
}

// A context that ends before the call's turn is what the call fails with.
func TestClientContextEnds(t *testing.T) {
	for name, word := range map[string]word{
		"for the limiter": {},
		"for the server":  {codes.Unavailable, 10 * time.Second, nil},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend()
				b.words[method] = append(b.words[method], word)
				call := b.client(rate.NewLimiter(rate.Every(10*time.Second), 1), ratelimitgrpc.ClientConfig{})
				if err := call(t.Context(), method, nil); status.Code(err) != word.code {
					t.Error(err)
				}
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				for range 2 {
					err := call(ctx, method, nil)
					if status.Code(err) != codes.Canceled || !errors.Is(err, context.Canceled) || errors.Is(err, ratelimit.ErrLimited) {
						t.Errorf("while it waits: %v", err)
					}
					if d := time.Since(b.start); d != time.Second {
						t.Errorf("after %v", d)
					}
				}
				err := call(within(t, -1), method, nil)
				if status.Code(err) != codes.DeadlineExceeded || !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("before it waits: %v", err)
				}
				b.at(t, 0)
			})
		})
	}
}

func TestClientObeysTheServer(t *testing.T) {
	const hour = time.Hour
	for name, tt := range map[string]struct {
		word word
		most time.Duration // MaxPushback
		want time.Duration
	}{
		"RetryInfo":                            {word{codes.ResourceExhausted, 10 * time.Second, nil}, 0, 10 * time.Second},
		"RetryInfo, unavailable":               {word{codes.Unavailable, 10 * time.Second, nil}, 0, 10 * time.Second},
		"trailer":                              {word{codes.ResourceExhausted, 0, []string{"2500"}}, 0, 2500 * time.Millisecond},
		"both":                                 {word{codes.ResourceExhausted, time.Second, []string{"2500"}}, 0, 2500 * time.Millisecond},
		"both, the other way":                  {word{codes.ResourceExhausted, 3 * time.Second, []string{"2500"}}, 0, 3 * time.Second},
		"too long":                             {word{codes.ResourceExhausted, hour, nil}, 0, 10 * time.Minute},
		"too long, trailer":                    {word{codes.ResourceExhausted, 0, []string{fmt.Sprint(int64(math.MaxInt64))}}, 0, 10 * time.Minute},
		"bounded":                              {word{codes.ResourceExhausted, hour, nil}, 2 * time.Second, 2 * time.Second},
		"bounded above":                        {word{codes.ResourceExhausted, hour, nil}, 2 * hour, hour},
		"not obeyed":                           {word{codes.ResourceExhausted, hour, []string{"2500"}}, -1, 0},
		"never":                                {word{codes.ResourceExhausted, 0, []string{"-1"}}, 0, 0},
		"never, however much":                  {word{codes.ResourceExhausted, 0, []string{fmt.Sprint(int64(math.MinInt64))}}, 0, 0},
		"never, by a number that wraps around": {word{codes.ResourceExhausted, 0, []string{"-9233720367580"}}, 0, 0},
		"negative RetryInfo":                   {word{codes.ResourceExhausted, -hour, nil}, 0, 0},
		"nonsense":                             {word{codes.ResourceExhausted, 0, []string{"soon"}}, 0, 0},
		"too much for a number":                {word{codes.ResourceExhausted, 0, []string{"99999999999999999999"}}, 0, 0},
		"two trailers":                         {word{codes.ResourceExhausted, 0, []string{"2500", "2500"}}, 0, 0},
		"no word":                              {word{codes.ResourceExhausted, 0, nil}, 0, 0},
		"a code that is not about it":          {word{codes.Internal, hour, []string{"2500"}}, 0, 0},
		"success":                              {word{codes.OK, 0, []string{"2500"}}, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBackend()
				b.words[method] = []word{tt.word}
				call := b.client(nil, ratelimitgrpc.ClientConfig{MaxPushback: tt.most})
				if err := call(t.Context(), method, nil); status.Code(err) != tt.word.code {
					t.Error(err)
				}
				if err := call(t.Context(), "/another/Method", nil); err != nil {
					t.Error(err)
				}
				if err := call(t.Context(), method, nil); err != nil {
					t.Error(err)
				}
				b.at(t, 0, 0, tt.want)
			})
		})
	}
}

func TestClientObeysTheServerUntilTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		b.words[method] = []word{{codes.Unavailable, 10 * time.Second, nil}}
		call := b.client(nil, ratelimitgrpc.ClientConfig{})
		if err := call(t.Context(), method, nil); status.Code(err) != codes.Unavailable {
			t.Error(err)
		}
		refusal(t, call(within(t, 9*time.Second), method, nil), 10*time.Second)
		if d := time.Since(b.start); d != 0 {
			t.Errorf("it took %v", d)
		}
		b.at(t, 0)
	})
}

// The latest word is obeyed, and one that was given before and comes late does
// not shorten it.
func TestClientObeysTheLatestWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		call := b.client(nil, ratelimitgrpc.ClientConfig{})
		b.words[method] = []word{{codes.Unavailable, 10 * time.Second, nil}, {codes.Unavailable, 20 * time.Second, nil}, {codes.Unavailable, 3 * time.Second, nil}}
		intercept := ratelimitgrpc.UnaryClientInterceptor(nil, ratelimitgrpc.ClientConfig{})
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 3 { // all are under way before the first answer
			wg.Go(func() {
				_ = intercept(t.Context(), method, nil, nil, nil, func(ctx context.Context, m string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
					<-release
					return b.invoke(ctx, m, req, reply, cc, opts...)
				})
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if err := intercept(t.Context(), method, nil, nil, nil, b.invoke); err != nil {
			t.Error(err)
		}
		b.at(t, 0, 0, 0, 20*time.Second)
		if err := call(t.Context(), method, nil); err != nil { // another interceptor knows nothing of it
			t.Error(err)
		}
		b.at(t, 20*time.Second)
	})
}

// Those whom the server kept back do not all go at once when it lets them, not
// even those that had taken their turn before it spoke.
func TestClientQueuesAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		b.words[method] = []word{{codes.ResourceExhausted, 10 * time.Second, nil}}
		intercept := ratelimitgrpc.UnaryClientInterceptor(rate.NewLimiter(rate.Every(time.Second), 1), ratelimitgrpc.ClientConfig{})
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				_ = intercept(t.Context(), method, nil, nil, nil, func(ctx context.Context, m string, req, reply any, cc *grpc.ClientConn, opts ...grpc.CallOption) error {
					err := b.invoke(ctx, m, req, reply, cc, opts...)
					<-time.After(500 * time.Millisecond) // on the way back
					return err
				})
			})
			synctest.Wait() // they come one after the other
		}
		wg.Wait()
		b.at(t, 0, 10500*time.Millisecond, 11500*time.Millisecond, 12500*time.Millisecond)
	})
}

// What costs nothing does not wait for those that do.
func TestClientExempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		l := rate.NewLimiter(rate.Every(time.Hour), 1)
		l.Reserve()
		l.Reserve() // somebody waits
		call := b.client(l, ratelimitgrpc.ClientConfig{Cost: func(context.Context, string, any) int { return 0 }})
		if err := call(within(t, time.Second), method, nil); err != nil {
			t.Error(err)
		}
		b.at(t, 0)
	})
}

// What one server says is not about another.
func TestClientOfTwoServers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBackend()
		b.words[method] = []word{{codes.Unavailable, 10 * time.Second, nil}}
		intercept := ratelimitgrpc.UnaryClientInterceptor(nil, ratelimitgrpc.ClientConfig{})
		first, second := serve(t, echo, nil), serveOn(t, otherAddr{bufconn.Listen(1)}, echo, nil)
		for _, cc := range []*grpc.ClientConn{first, second, first} {
			_ = intercept(t.Context(), method, nil, nil, cc, b.invoke)
		}
		b.at(t, 0, 0, 10*time.Second)
	})
}

// otherAddr is a listener that has another address.
type otherAddr struct{ net.Listener }

func (otherAddr) Addr() net.Addr { return textAddr("another") }

// client makes a connection whose calls go through both interceptors.
func client(l *rate.Limiter, cfg ratelimitgrpc.ClientConfig) []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithUnaryInterceptor(ratelimitgrpc.UnaryClientInterceptor(l, cfg)),
		grpc.WithStreamInterceptor(ratelimitgrpc.StreamClientInterceptor(l, cfg)),
	}
}

// Over a connection, with both sides' interceptors: after the first denial, the
// client calls when the server wants it to, and is not denied again.
func TestClientAndServer(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				limit := ratelimit.Limit{Rate: rate.Every(10 * time.Second), Burst: 1}
				cc := serve(t, echo, intercept(newLimiter(t, limit), ratelimitgrpc.ServerConfig{Key: oneKey}),
					client(nil, ratelimitgrpc.ClientConfig{})...)
				if got := call(t.Context(), cc, 1); got.err != nil {
					t.Error(got.err)
				}
				got := call(t.Context(), cc, 1)
				outcome{codes.ResourceExhausted, "RATE_LIMITED", 10, ""}.check(t, got.err, got.trailer)
				start := time.Now()
				if got := call(t.Context(), cc, 1); got.err != nil {
					t.Error(got.err)
				}
				if d := time.Since(start); d < 10*time.Second || d > 13*time.Second {
					t.Errorf("the next call was made after %v", d)
				}
			})
		})
	}
}

// A stream is paced when it is opened, and its messages are not.
func TestClientStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc := serve(t, echo, nil, client(rate.NewLimiter(rate.Every(time.Second), 1), ratelimitgrpc.ClientConfig{})...)
		start := time.Now()
		for i := range 3 {
			if last, got := talk(t, cc, 5); got.err != io.EOF || last != 5 {
				t.Errorf("%d, %v", last, got.err)
			}
			if d := time.Since(start); d != time.Duration(i)*time.Second {
				t.Errorf("stream %d ended after %v", i, d)
			}
		}
		_, err := cc.NewStream(within(t, time.Millisecond), &streamDesc, streamMethod)
		refusal(t, err, time.Second)
	})
}

// With PerSent the messages are.
func TestClientStreamPerSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cc := serve(t, echo, nil, client(rate.NewLimiter(rate.Every(time.Second), 1), ratelimitgrpc.ClientConfig{PerSent: true})...)
		start := time.Now()
		if last, got := talk(t, cc, 5); got.err != io.EOF || last != 5 {
			t.Errorf("%d, %v", last, got.err)
		}
		if d := time.Since(start); d != 4*time.Second {
			t.Errorf("five messages took %v", d)
		}
	})
}

// A message that cannot be sent in time ends the stream on both sides, and both
// directions are told why.
func TestClientStreamCannotSendInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		served := make(chan error, 1)
		handler := numbers{stream: func(stream grpc.ServerStream) error {
			err := echo.stream(stream)
			served <- err
			return err
		}}
		cc := serve(t, handler, nil, client(rate.NewLimiter(rate.Every(10*time.Second), 1), ratelimitgrpc.ClientConfig{PerSent: true})...)
		stream, err := cc.NewStream(within(t, 9*time.Second), &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := send(stream, 1); err != nil {
			t.Error(err)
		}
		if _, err := receive(stream); err != nil {
			t.Error(err)
		}
		refusal(t, send(stream, 2), 10*time.Second)
		_, err = receive(stream)
		refusal(t, err, 10*time.Second)
		if err := <-served; status.Code(err) != codes.Canceled {
			t.Errorf("the server's side ended with %v", err)
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("after %v", d)
		}
		if err := send(stream, 3); err == nil {
			t.Error("a message was sent after the end")
		}
	})
}

// Once the server has ended a stream, sending says so as gRPC does, and at once.
func TestClientStreamThatTheServerEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		handler := numbers{stream: func(grpc.ServerStream) error { return status.Error(codes.NotFound, "Nobody is here.") }}
		cc := serve(t, handler, nil, client(rate.NewLimiter(rate.Every(time.Hour), 1), ratelimitgrpc.ClientConfig{PerSent: true})...)
		stream, err := cc.NewStream(t.Context(), &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := receive(stream); status.Code(err) != codes.NotFound {
			t.Error(err)
		}
		start := time.Now()
		for range 2 {
			if err := send(stream, 1); err != io.EOF {
				t.Errorf("%v, want io.EOF", err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("after %v", d)
		}
	})
}

// A stream's context goes when the stream does: else each would stay with its
// parent. Contexts that end with the stream end in the four ways that gRPC has.
func TestClientStreamReleasesItsContext(t *testing.T) {
	open := func(t *testing.T, handler numbers, ctx context.Context) (*grpc.ClientConn, grpc.ClientStream, context.Context) {
		t.Helper()
		var inner context.Context
		observe := func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
			inner = ctx
			return streamer(ctx, desc, cc, method, opts...)
		}
		cc := serve(t, handler, nil, grpc.WithChainStreamInterceptor(
			ratelimitgrpc.StreamClientInterceptor(nil, ratelimitgrpc.ClientConfig{PerSent: true}), observe))
		stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if inner.Err() != nil {
			t.Error("the context ended before the stream")
		}
		return cc, stream, inner
	}
	hang := numbers{stream: func(stream grpc.ServerStream) error { <-stream.Context().Done(); return nil }}
	for name, end := range map[string]func(t *testing.T) context.Context{
		"received to the end": func(t *testing.T) context.Context {
			_, stream, inner := open(t, echo, context.Background())
			if err := stream.CloseSend(); err != nil {
				t.Error(err)
			}
			if _, err := receive(stream); err != io.EOF {
				t.Error(err)
			}
			return inner
		},
		"context": func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(context.Background())
			_, _, inner := open(t, hang, ctx)
			cancel()
			return inner
		},
		"connection": func(t *testing.T) context.Context {
			cc, _, inner := open(t, hang, context.Background())
			if err := cc.Close(); err != nil {
				t.Error(err)
			}
			return inner
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				inner := end(t)
				synctest.Wait()
				if inner.Err() == nil {
					t.Error("the context has not ended")
				}
			})
		})
	}
	t.Run("not opened", func(t *testing.T) {
		var inner context.Context
		_, err := ratelimitgrpc.StreamClientInterceptor(nil, ratelimitgrpc.ClientConfig{PerSent: true})(
			t.Context(), &streamDesc, nil, streamMethod,
			func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				inner = ctx
				return nil, errors.New(secret)
			})
		if err == nil || inner.Err() == nil {
			t.Errorf("%v; the context has ended: %v", err, inner.Err())
		}
	})
}

// Callers of both kinds at once, some of which give up, on one limiter.
func TestClientStress(t *testing.T) {
	b := newBackend()
	for range 200 {
		b.words[method] = append(b.words[method], word{}, word{codes.Unavailable, time.Microsecond, nil})
	}
	call := b.client(rate.NewLimiter(1e6, 10), ratelimitgrpc.ClientConfig{})
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 200 {
				ctx, cancel := context.WithCancel(t.Context())
				if i%10 == 0 {
					cancel()
				}
				if err := call(ctx, method, nil); err != nil && status.Code(err) != codes.Unavailable && status.Code(err) != codes.Canceled {
					t.Error(err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if n := len(b.calls); n != 8*200*9/10 {
		t.Errorf("%d calls were made", n)
	}
}

// gRPC's own retries wait as long as the server's trailer says, and do not try
// again what can never succeed.
func TestRetriesOfGRPC(t *testing.T) {
	const policy = `{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 3, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
		"backoffMultiplier": 1, "retryableStatusCodes": ["RESOURCE_EXHAUSTED"]}}]}`
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			d        ratelimit.Decision
			attempts int
		}{
			"later": {ratelimit.Decision{RetryAfter: time.Minute}, 3},
			"never": {ratelimit.Decision{RetryAfter: rate.InfDuration}, 1},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := &fake{d: tt.d}
					cc := serve(t, echo, intercept(l, ratelimitgrpc.ServerConfig{Key: oneKey}), grpc.WithDefaultServiceConfig(policy))
					start := time.Now()
					if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.ResourceExhausted {
						t.Error(got.err)
					}
					if least := time.Duration(tt.attempts-1) * time.Minute; len(l.asked) != tt.attempts || time.Since(start) < least {
						t.Errorf("%d attempts in %v, want %d in %v at least", len(l.asked), time.Since(start), tt.attempts, least)
					}
				})
			})
		}
	}
}
