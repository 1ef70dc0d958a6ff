package concurrencygrpc_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// While one call goes on there is no room for another, and after it there is.
func TestClient(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			l, g := newLimiter(t, concurrency.Config{Max: 1}), newGate()
			cc := serve(t, always(g.handle), nil, bulkhead(l, concurrencygrpc.ClientConfig{})...)
			for _, end := range []error{nil, status.Error(codes.NotFound, "Nobody is here.")} {
				done := make(chan answer)
				go func() { done <- call(t.Context(), cc, 7) }()
				<-g.begun
				for other, call := range kinds {
					got := call(t.Context(), cc, 1)
					if status.Code(got.err) != codes.Unavailable || !errors.Is(got.err, concurrency.ErrQueueFull) {
						t.Errorf("%s beside it: %v", other, got.err)
					}
				}
				g.word <- end
				if got := <-done; status.Code(got.err) != status.Code(end) || end == nil && got.n != 7 {
					t.Errorf("%d, %v", got.n, got.err)
				}
				idle(t, l) // as soon as the caller knows
			}
		})
	}
}

// The error of a call that was not made is a status to gRPC's own, what it is
// to errors.Is, and says whether to try again; and to a client of this process
// it means what the limiter's error does.
func TestClientErrors(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 1, MaxWait: time.Hour})
	hold, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	cc := serve(t, echo, nil, bulkhead(l, concurrencygrpc.ClientConfig{})...)
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	for kind, call := range kinds {
		for want, ctx := range map[error]context.Context{
			context.Canceled:         canceled,
			context.DeadlineExceeded: within(t, 0),
		} {
			got := call(ctx, cc, 1)
			if !errors.Is(got.err, want) || status.Code(got.err) != status.FromContextError(want).Code() {
				t.Errorf("%s: %v, want %v", kind, got.err, want)
			}
		}
	}

	none := newLimiter(t, concurrency.Config{Max: 1})
	hold, err = none.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	got := callUnary(t.Context(), serve(t, echo, nil, bulkhead(none, concurrencygrpc.ClientConfig{})...), 1)
	var transient interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	if !errors.As(got.err, &transient) || !transient.Retryable() || transient.RetryDelay() != time.Second {
		t.Errorf("%v does not say when to try again", got.err)
	}
	outcome{codes.Unavailable, "QUEUE_FULL", 1}.check(t, concurrencygrpc.Status(t.Context(), got.err), nil)
}

// A stream's permit is held until the stream ends, and not longer, in each of
// the ways that gRPC has.
func TestClientStreamReleases(t *testing.T) {
	drain := func(stream grpc.ClientStream) error {
		for {
			if _, err := receive(stream); err != nil {
				return err
			}
		}
	}
	for name, tt := range map[string]struct {
		desc    grpc.StreamDesc
		handler func(ctx context.Context, n int64) (int64, error)
		end     func(t *testing.T, cc *grpc.ClientConn, stream grpc.ClientStream, cancel func())
	}{
		"received to the end": {watch, nil, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
			if err := drain(stream); err != io.EOF {
				t.Error(err)
			}
		}},
		"an error": {chat, func(context.Context, int64) (int64, error) { return 0, errors.New(secret) },
			func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
				if err := drain(stream); status.Code(err) != codes.Unknown {
					t.Error(err)
				}
			}},
		"the one answer": {upload, nil, func(t *testing.T, _ *grpc.ClientConn, stream grpc.ClientStream, _ func()) {
			if n, err := receive(stream); n != 1 || err != nil {
				t.Error(n, err)
			}
		}},
		"the context, and nobody receives": {chat, nil, func(_ *testing.T, _ *grpc.ClientConn, _ grpc.ClientStream, cancel func()) {
			cancel()
		}},
		"the connection, and nobody receives": {watch, nil, func(t *testing.T, cc *grpc.ClientConn, _ grpc.ClientStream, _ func()) {
			if err := cc.Close(); err != nil {
				t.Error(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Max: 1})
				handler := echo
				if tt.handler != nil {
					handler = always(tt.handler)
				}
				cc := serve(t, handler, nil, bulkhead(l, concurrencygrpc.ClientConfig{})...)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				stream, err := cc.NewStream(ctx, &tt.desc, service+tt.desc.StreamName)
				if err != nil {
					t.Fatal(err)
				}
				if err := send(stream, 1); err != nil {
					t.Error(err)
				}
				if err := stream.CloseSend(); err != nil {
					t.Error(err)
				}
				synctest.Wait() // the answer has arrived by now, unread
				if l.Stats().InFlight != 1 {
					t.Error("the permit is back before the end")
				}
				tt.end(t, cc, stream, cancel)
				synctest.Wait()
				idle(t, l)
			})
		})
	}
}

// Streams that no connection is behind: those that do not come about, and those
// that an inner interceptor makes up.
func TestClientStreamWithoutConnection(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	intercept := concurrencygrpc.StreamClientInterceptor(l, concurrencygrpc.ClientConfig{})
	open := func(desc grpc.StreamDesc, streamer grpc.Streamer) (grpc.ClientStream, error) {
		return intercept(t.Context(), &desc, nil, service+desc.StreamName, streamer)
	}
	failed := errors.New(secret)
	if _, err := open(watch, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return nil, failed
	}); err != failed {
		t.Error(err)
	}
	idle(t, l)

	func() {
		defer func() {
			if v := recover(); v != secret {
				t.Errorf("recovered %v", v)
			}
		}()
		_, _ = open(watch, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			panic(secret)
		})
	}()
	idle(t, l)

	for desc, ends := range map[*grpc.StreamDesc][]error{&watch: {nil, nil, io.EOF}, &upload: {nil}, &chat: {nil, failed}} {
		goroutines := runtime.NumGoroutine()
		stream, err := open(*desc, func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
			return &madeUp{ends: ends}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if n := runtime.NumGoroutine(); n > goroutines {
			t.Errorf("%d goroutines more", n-goroutines)
		}
		for _, want := range ends {
			if l.Stats().InFlight != 1 {
				t.Errorf("%s: the permit is back before the end", desc.StreamName)
			}
			if err := stream.RecvMsg(nil); err != want {
				t.Error(err)
			}
		}
		idle(t, l)
	}
}

type madeUp struct {
	grpc.ClientStream
	ends []error
}

func (s *madeUp) RecvMsg(any) error {
	err := s.ends[0]
	s.ends = s.ends[1:]
	return err
}

func TestClientReleasesOnPanic(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	intercept := concurrencygrpc.UnaryClientInterceptor(l, concurrencygrpc.ClientConfig{})
	for _, leave := range []func(){func() { panic(secret) }, runtime.Goexit} {
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			_ = intercept(t.Context(), "", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
				if l.Stats().InFlight != 1 {
					t.Error("no permit is out")
				}
				leave()
				return nil
			})
		}()
		<-done
		idle(t, l)
	}
}

// A call that panicked tells nothing about the latency.
func TestClientPanicDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const think = 20 * time.Millisecond
		l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
		<-time.After(time.Second) // a rate of calls from the start on would be enormous
		intercept := concurrencygrpc.UnaryClientInterceptor(l, concurrencygrpc.ClientConfig{})
		for i := range 100 {
			func() {
				defer func() { _ = recover() }()
				_ = intercept(t.Context(), "", nil, nil, nil, func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					if i%2 == 0 {
						panic(secret)
					}
					<-time.After(think)
					return nil
				})
			}()
		}
		if d := l.Stats().Latency; d < think*99/100 || d > think*101/100 {
			t.Errorf("latency %v, want %v", d, think)
		}
	})
}

// The class of a call goes along if it is wanted, and is what the next server
// makes of it.
func TestClientSendsItsClass(t *testing.T) {
	var got []string
	server := numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		got = append(got, metadata.ValueFromIncomingContext(ctx, "criticality")...)
		got = append(got, concurrency.CriticalityFromContext(ctx).String())
		return n, nil
	}}
	server.stream = func(stream grpc.ServerStream) error {
		_, _ = server.unary(stream.Context(), 0)
		return nil
	}
	for key, want := range map[string][]string{
		"criticality": {"sheddable", "sheddable", "sheddable", "sheddable", "critical", "critical"},
		"":            {"critical", "critical", "critical", "critical"},
	} {
		got = nil
		cc := serve(t, server, intercept(newLimiter(t, concurrency.Config{Max: 1}), concurrencygrpc.ServerConfig{}),
			bulkhead(newLimiter(t, concurrency.Config{Max: 10}), concurrencygrpc.ClientConfig{MetadataKey: key})...)
		for _, ctx := range []context.Context{concurrency.ContextWithCriticality(t.Context(), concurrency.Sheddable), t.Context()} {
			if a := callUnary(ctx, cc, 1); a.err != nil {
				t.Error(a.err)
			}
			if a := callStream(watch)(ctx, cc, 1); a.err != io.EOF {
				t.Error(a.err)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("with key %q: %q, want %q", key, got, want)
		}
	}
}

// What an adaptive limiter takes for the latency.
func TestClientLatency(t *testing.T) {
	const think, rest = 20 * time.Millisecond, 300 * time.Millisecond
	wait := func(d time.Duration) { <-time.After(d) }
	for name, tt := range map[string]struct {
		desc    *grpc.StreamDesc // nil is unary
		fail    codes.Code       // of every second call
		shrinks bool
	}{
		"unary":              {},
		"stream":             {desc: &watch},
		"not found":          {fail: codes.NotFound},
		"unavailable":        {fail: codes.Unavailable, shrinks: true},
		"late":               {fail: codes.DeadlineExceeded, shrinks: true},
		"stream not found":   {desc: &watch, fail: codes.NotFound},
		"stream unavailable": {desc: &watch, fail: codes.Unavailable, shrinks: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
				before := l.Stats().Limit
				<-time.After(time.Second) // a rate of calls from the start on would be enormous
				i := 0
				respond := func() error {
					if i++; tt.fail != codes.OK && i%2 == 0 {
						return status.Error(tt.fail, "")
					}
					wait(think)
					return nil
				}
				cc := serve(t, numbers{
					unary: func(context.Context, int64) (int64, error) { return 0, respond() },
					stream: func(stream grpc.ServerStream) error {
						if err := respond(); err != nil {
							return err
						}
						_ = send(stream, 1)
						wait(rest)
						return nil
					},
				}, nil, bulkhead(l, concurrencygrpc.ClientConfig{})...)
				for range 100 {
					if tt.desc == nil {
						callUnary(t.Context(), cc, 1)
					} else {
						callStream(*tt.desc)(t.Context(), cc, 1)
					}
				}
				s := l.Stats()
				if d := s.Latency; d < think*99/100 || d > think*101/100 {
					t.Errorf("latency %v, want %v", d, think)
				}
				if (s.Limit < before) != tt.shrinks {
					t.Errorf("the limit went from %d to %d", before, s.Limit)
				}
				idle(t, l)
			})
		})
	}
}

// The same of streams that are made up, one of each beside a good one.
func TestClientStreamLatency(t *testing.T) {
	const think, rest = 20 * time.Millisecond, 300 * time.Millisecond
	type made struct {
		desc    *grpc.StreamDesc
		open    func() error // may panic
		receive []func() error
	}
	after := func(d time.Duration, err error) func() error {
		return func() error { <-time.After(d); return err }
	}
	down := status.Error(codes.Unavailable, "")
	good := made{&watch, nil, []func() error{after(think, nil), after(rest, nil), after(rest, io.EOF)}}
	silent := made{&watch, nil, []func() error{after(think, io.EOF)}}
	for name, tt := range map[string]struct {
		other   made
		shrinks bool
	}{
		"good":                 {good, false},
		"no answer":            {silent, false},
		"the client streams":   {made{&chat, nil, []func() error{after(rest, nil), after(0, io.EOF)}}, false},
		"upload":               {made{&upload, nil, []func() error{after(rest, nil)}}, false},
		"panic":                {made{&watch, func() error { panic(secret) }, nil}, false},
		"not opened":           {made{&watch, after(0, errors.New(secret)), nil}, false},
		"not opened, down":     {made{&watch, after(0, down), nil}, true},
		"down":                 {made{&watch, nil, []func() error{after(0, down)}}, true},
		"down, late in a chat": {made{&chat, nil, []func() error{after(0, nil), after(0, down)}}, true},
		"down, an upload":      {made{&upload, nil, []func() error{after(0, down)}}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{}})
				before := l.Stats().Limit
				<-time.After(time.Second) // a rate of calls from the start on would be enormous
				intercept := concurrencygrpc.StreamClientInterceptor(l, concurrencygrpc.ClientConfig{})
				for i := range 100 {
					m := tt.other
					if i%2 == 0 && name != "no answer" { // which must do alone
						m = good
					}
					func() {
						defer func() { _ = recover() }()
						stream, err := intercept(t.Context(), m.desc, nil, "", func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
							if m.open != nil {
								return nil, m.open()
							}
							return &slow{receive: m.receive}, nil
						})
						if err != nil {
							return
						}
						for range m.receive {
							_ = stream.RecvMsg(nil)
						}
					}()
				}
				s := l.Stats()
				if d := s.Latency; d < think*99/100 || d > think*101/100 {
					t.Errorf("latency %v, want %v", d, think)
				}
				if (s.Limit < before) != tt.shrinks {
					t.Errorf("the limit went from %d to %d", before, s.Limit)
				}
				idle(t, l)
			})
		})
	}
}

type slow struct {
	grpc.ClientStream
	receive []func() error
}

func (s *slow) RecvMsg(any) error {
	f := s.receive[0]
	s.receive = s.receive[1:]
	return f()
}

// Never more than Max at a time, and all permits come back, whatever happens to
// the calls.
func TestClientStress(t *testing.T) {
	const most, callers, each = 3, 8, 25
	l := newLimiter(t, concurrency.Config{Max: most, MaxQueue: 2})
	var running atomic.Int64
	cc := serve(t, always(func(_ context.Context, n int64) (int64, error) {
		// A canceled call is over for the client before its handler is.
		running.Add(1)
		defer running.Add(-1)
		if n%3 == 0 {
			return 0, status.Error(codes.NotFound, "Nobody is here.")
		}
		return n, nil
	}), nil, bulkhead(l, concurrencygrpc.ClientConfig{})...)
	all := []func(context.Context, *grpc.ClientConn, int64) answer{callUnary, callStream(upload), callStream(watch), callStream(chat)}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range int64(each) {
				if in := l.Stats().InFlight; in > most {
					t.Errorf("%d permits are out", in)
				}
				ctx, cancel := context.WithCancel(t.Context())
				if n%5 == 0 {
					go cancel()
				}
				got := all[i%len(all)](ctx, cc, n)
				switch code := status.Code(got.err); code {
				case codes.OK, codes.Unavailable, codes.NotFound, codes.Canceled:
				default:
					t.Error(got.err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	waitIdle(t, l)
}
