package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// An attempt has its time until the first message, and the stream all of it. To
// what is further in, the end of it is a deadline's.
func TestStreamPerAttempt(t *testing.T) {
	for _, desc := range []grpc.StreamDesc{upload, watch, chat} {
		bubble(t, desc.StreamName, func(t *testing.T) {
			var attempts int
			var ctxs []context.Context
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				if attempts++; attempts == 1 {
					<-stream.Context().Done()
					return stream.Context().Err()
				}
				if desc.ServerStreams {
					_ = send(stream, 1)
					<-time.After(time.Hour)
				}
				return send(stream, 2)
			}}, nil, grpc.WithChainStreamInterceptor(
				retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{PerAttempt: time.Second}), retrygrpc.ClientConfig{}),
				func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
					ctxs = append(ctxs, ctx)
					return streamer(ctx, desc, cc, method, opts...)
				}))
			start := time.Now()
			got := callStreamRaw(t.Context(), cc, desc)
			if got.err != nil || attempts != 2 {
				t.Errorf("%d, %v after %d attempts", got.n, got.err, attempts)
			}
			want := time.Second + pause
			if desc.ServerStreams {
				want += time.Hour
			}
			if took := time.Since(start); took != want {
				t.Errorf("it took %v, want %v", took, want)
			}
			if cause := context.Cause(ctxs[0]); !errors.Is(cause, retry.ErrAttemptTimeout) || !errors.Is(cause, context.DeadlineExceeded) {
				t.Errorf("the first attempt's context ended because of %v", cause)
			}
			for _, ctx := range ctxs {
				if ctx.Err() == nil {
					t.Error("an attempt's context lives on")
				}
			}
		})
	}
}

// callStreamRaw receives all that comes.
func callStreamRaw(ctx context.Context, cc *grpc.ClientConn, desc grpc.StreamDesc) (a answer) {
	stream, err := cc.NewStream(ctx, &desc, service+desc.StreamName)
	if err != nil {
		return answer{err: err}
	}
	if err := errors.Join(send(stream, 1), stream.CloseSend()); err != nil {
		return answer{err: err}
	}
	for {
		n, err := receive(stream)
		switch {
		case err == io.EOF:
			return a
		case err != nil:
			return answer{err: err}
		}
		if a.n = n; !desc.ServerStreams {
			return a
		}
	}
}

// The Trailer, and the options, are the last attempt's.
func TestStreamTrailer(t *testing.T) {
	for _, desc := range []grpc.StreamDesc{upload, watch, chat} {
		bubble(t, desc.StreamName, func(t *testing.T) {
			attempts := 0
			cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
				attempts++
				stream.SetTrailer(metadata.Pairs(fmt.Sprint("attempt-", attempts), "yes"))
				if attempts == 1 {
					return down("")
				}
				return send(stream, 1)
			}}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			var trailer metadata.MD
			stream, err := cc.NewStream(t.Context(), &desc, service+desc.StreamName, grpc.Trailer(&trailer))
			if err != nil {
				t.Fatal(err)
			}
			_ = send(stream, 1)
			_ = stream.CloseSend()
			for err = nil; err == nil; {
				if _, err = receive(stream); err == nil && !desc.ServerStreams {
					break
				}
			}
			for name, md := range map[string]metadata.MD{"method": stream.Trailer(), "option": trailer} {
				if md.Get("attempt-1") != nil || md.Get("attempt-2") == nil {
					t.Errorf("%s: %v", name, md)
				}
			}
		})
	}
	bubble(t, "of one that was not opened", func(t *testing.T) {
		opens := 0
		cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			stream.SetTrailer(metadata.Pairs("attempt-1", "yes"))
			return down("")
		}}, nil, grpc.WithChainStreamInterceptor(
			retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{MaxAttempts: 2}), retrygrpc.ClientConfig{}),
			func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
				if opens++; opens == 2 {
					return nil, down("no connection")
				}
				return streamer(ctx, desc, cc, method, opts...)
			}))
		var trailer metadata.MD
		stream, err := cc.NewStream(t.Context(), &watch, service+"Watch", grpc.Trailer(&trailer))
		if err != nil {
			t.Fatal(err)
		}
		_ = send(stream, 1)
		if _, err := receive(stream); status.Convert(err).Message() != "no connection" || stream.Trailer() != nil || trailer != nil {
			t.Errorf("%v, trailers %v and %v", err, stream.Trailer(), trailer)
		}
	})
	bubble(t, "of no attempt", func(t *testing.T) {
		opens := 0
		cc := serve(t, numbers{}, nil, grpc.WithChainStreamInterceptor(
			retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{}), refuse(9, &opens)))
		stream := open(t, t.Context(), cc, watch, 1)
		if err := stream.CloseSend(); err != nil {
			t.Error(err)
		}
		if _, err := receive(stream); status.Code(err) != codes.Unavailable || stream.Trailer() != nil || stream.Context() != t.Context() {
			t.Errorf("%v, %v", err, stream.Trailer())
		}
	})
}

// A caller's OnFinish is called once, at the end, however that comes.
func TestStreamOnFinish(t *testing.T) {
	hang := func(stream grpc.ServerStream) error {
		_ = send(stream, 1)
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	fails := func(grpc.ServerStream) error { return down("") }
	drain := func(stream grpc.ClientStream) {
		for err := error(nil); err == nil; {
			_, err = receive(stream)
		}
	}
	for name, tt := range map[string]struct {
		handler func(grpc.ServerStream) error
		end     func(cc *grpc.ClientConn, stream grpc.ClientStream, cancel func())
		want    codes.Code
	}{
		"read to the end": {func(stream grpc.ServerStream) error { return send(stream, 1) },
			func(_ *grpc.ClientConn, stream grpc.ClientStream, _ func()) { drain(stream) }, codes.OK},
		"all attempts fail": {fails, func(_ *grpc.ClientConn, stream grpc.ClientStream, _ func()) { drain(stream) }, codes.Unavailable},
		"canceled, unread":  {hang, func(_ *grpc.ClientConn, _ grpc.ClientStream, cancel func()) { cancel() }, codes.Canceled},
		"broken, unread":    {fails, func(_ *grpc.ClientConn, _ grpc.ClientStream, cancel func()) { cancel() }, codes.Canceled},
		"half-read":         {hang, func(_ *grpc.ClientConn, stream grpc.ClientStream, cancel func()) { _, _ = receive(stream); cancel() }, codes.Canceled},
		"closed":            {hang, func(cc *grpc.ClientConn, _ grpc.ClientStream, _ func()) { _ = cc.Close() }, codes.Canceled},
		"closed, half-read": {hang, func(cc *grpc.ClientConn, stream grpc.ClientStream, _ func()) { _, _ = receive(stream); _ = cc.Close() }, codes.Canceled},
		"a bad message":     {hang, func(_ *grpc.ClientConn, stream grpc.ClientStream, _ func()) { _ = stream.SendMsg("no message") }, codes.Internal},
		"no header":         {fails, func(_ *grpc.ClientConn, stream grpc.ClientStream, _ func()) { _, _ = stream.Header() }, codes.Unavailable},
		"canceled in a wait": {fails, func(_ *grpc.ClientConn, stream grpc.ClientStream, cancel func()) {
			time.AfterFunc(pause/2, cancel)
			drain(stream)
		}, codes.Canceled},
	} {
		bubble(t, name, func(t *testing.T) {
			var finished []error
			var mu sync.Mutex
			cc := serve(t, numbers{stream: tt.handler}, nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			stream, err := cc.NewStream(ctx, &chat, service+"Chat", grpc.OnFinish(func(err error) {
				mu.Lock()
				defer mu.Unlock()
				finished = append(finished, err)
			}))
			if err != nil {
				t.Fatal(err)
			}
			if err := send(stream, 1); err != nil {
				t.Error(err)
			}
			synctest.Wait()
			if len(finished) != 0 {
				t.Errorf("finished before the end: %v", finished)
			}
			tt.end(cc, stream, cancel)
			synctest.Wait()
			if len(finished) != 1 {
				t.Errorf("finished with %v at the end", finished)
			}
			cancel()
			synctest.Wait()
			if len(finished) != 1 || status.Code(finished[0]) != tt.want {
				t.Errorf("finished with %v, want %v", finished, tt.want)
			}
		})
	}
}

// Panics and Goexit of inner interceptors go on, in whatever call they are, and
// the stream is over.
func TestStreamPanics(t *testing.T) {
	for _, leave := range []func(){func() { panic(secret) }, runtime.Goexit} {
		for _, when := range []string{"opening", "opening again", "receiving"} {
			goexits := make(chan any)
			var ctx context.Context
			opens := 0
			streamer := func(c context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
				ctx = c
				switch opens++; {
				case when == "opening", when == "opening again" && opens == 2:
					leave()
				case when == "opening again":
					return nil, claim{down(""), true, 0}
				}
				return leaving{leave: leave}, nil
			}
			r := newRetrier(t, retry.Config{Backoff: func() retry.Backoff { return every(0) }})
			var stream grpc.ClientStream
			go func() {
				defer func() { goexits <- recover() }()
				stream, _ = retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{})(t.Context(), &watch, nil, "", streamer)
				_ = stream.RecvMsg(nil)
				t.Errorf("%s: it returned", when)
			}()
			if v := <-goexits; v != nil && v != secret {
				t.Errorf("%s: recovered %v", when, v)
			}
			if ctx.Err() == nil {
				t.Errorf("%s: the attempt's context lives on", when)
			}
			if stream != nil {
				if err := stream.RecvMsg(nil); status.Code(err) != codes.Internal {
					t.Errorf("%s: and then %v", when, err)
				}
			}
		}
	}
}

// An attempt whose time is over when its first message arrives has failed: there
// would be no more.
func TestStreamPerAttemptJustMissed(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		var ctxs []context.Context
		streamer := func(ctx context.Context, _ *grpc.StreamDesc, _ *grpc.ClientConn, _ string, _ ...grpc.CallOption) (grpc.ClientStream, error) {
			ctxs = append(ctxs, ctx)
			return &tardy{ctx: ctx, late: len(ctxs) == 1}, nil
		}
		stream, err := retrygrpc.StreamClientInterceptor(newRetrier(t, retry.Config{PerAttempt: time.Second}), retrygrpc.ClientConfig{})(
			t.Context(), &watch, nil, "", streamer)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := stream.RecvMsg(nil); err != nil {
				t.Error(err)
			}
		}
		if len(ctxs) != 2 || ctxs[0].Err() == nil || ctxs[1].Err() != nil {
			t.Errorf("%d attempts", len(ctxs))
		}
	})
}

// tardy receives when its time is over.
type tardy struct {
	grpc.ClientStream
	ctx  context.Context
	late bool
}

func (s *tardy) Trailer() metadata.MD { return nil }

func (s *tardy) RecvMsg(any) error {
	if s.late {
		<-s.ctx.Done()
	}
	return nil
}

type leaving struct {
	grpc.ClientStream
	leave func()
}

func (l leaving) RecvMsg(any) error { l.leave(); return nil }

// One goroutine that sends and one that receives, on streams that break at any
// time: what arrives is what was sent, or the stream fails, and nothing is left.
func TestStreamStress(t *testing.T) {
	const streams, each = 8, 40
	goroutines := runtime.NumGoroutine()
	var broken atomic.Int64
	t.Run("", func(t *testing.T) {
		var calls atomic.Int64
		cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			n := calls.Add(1)
			var sum, count int64
			for {
				v, err := receive(stream)
				if err == io.EOF {
					return send(stream, sum)
				}
				if err != nil {
					return err
				}
				sum += v
				if count++; n%3 != 0 && count == n%7 {
					broken.Add(1)
					return down("")
				}
			}
		}}, nil, again(newRetrier(t, retry.Config{MaxAttempts: 100, Budget: budget(t, 1e6), Backoff: func() retry.Backoff { return every(0) }}),
			retrygrpc.ClientConfig{})...)
		var wg sync.WaitGroup
		for i := range streams {
			wg.Go(func() {
				for j := range each {
					ctx, cancel := context.WithCancel(t.Context())
					desc := []grpc.StreamDesc{upload, chat}[i%2]
					stream, err := cc.NewStream(ctx, &desc, service+desc.StreamName)
					if err != nil {
						t.Error(err)
						cancel()
						return
					}
					if j%5 == 0 {
						go cancel()
					}
					wg.Go(func() {
						for v := range int64(10) {
							if err := send(stream, v); err != nil {
								return
							}
						}
						_ = stream.CloseSend()
					})
					sum, err := receive(stream)
					if err == nil && sum != 45 || err != nil && status.Code(err) != codes.Canceled {
						t.Errorf("%d, %v", sum, err)
					}
					cancel()
				}
			})
		}
		wg.Wait()
	})
	if broken.Load() == 0 {
		t.Error("nothing was broken")
	}
	for deadline := 0; runtime.NumGoroutine() > goroutines && deadline < 1e6; deadline++ {
		runtime.Gosched()
	}
	if n := runtime.NumGoroutine(); n > goroutines {
		stacks := make([]byte, 1<<16)
		t.Errorf("%d goroutines more:\n%s", n-goroutines, strings.TrimSpace(string(stacks[:runtime.Stack(stacks, true)])))
	}
}
