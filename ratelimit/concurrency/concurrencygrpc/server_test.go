package concurrencygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
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
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
	"github.com/ballast-go/ballast/ratelimit/concurrency/concurrencygrpc"
)

// While one call runs there is no room for another, and after it there is.
func TestServer(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			l, g := newLimiter(t, concurrency.Config{Max: 1}), newGate()
			cc := serve(t, always(g.handle), intercept(l, concurrencygrpc.ServerConfig{}))
			for _, end := range []error{nil, status.Error(codes.NotFound, "Nobody is here.")} {
				done := make(chan answer)
				go func() { done <- call(t.Context(), cc, 7) }()
				<-g.begun
				for other, call := range kinds {
					if l.Stats().InFlight != 1 {
						t.Error("no permit is out")
					}
					got := call(t.Context(), cc, 1)
					t.Run(other+" is turned away", func(t *testing.T) {
						outcome{codes.Unavailable, "QUEUE_FULL", 1}.check(t, got.err, got.trailer)
					})
				}
				g.word <- end
				if got := <-done; status.Code(got.err) != status.Code(end) || end == nil && got.n != 7 {
					t.Errorf("%d, %v", got.n, got.err)
				}
			}
			waitIdle(t, l)
		})
	}
}

// waitIdle waits until no permit is out. A server may release it a moment after
// its client has the answer.
func waitIdle(t *testing.T, l *concurrency.Limiter) {
	t.Helper()
	for l.Stats().InFlight > 0 && t.Context().Err() == nil {
		runtime.Gosched()
	}
	idle(t, l)
}

// A client that leaves, in whatever way, frees the permit that its call has and
// the place in the queue of one that waits.
func TestServerClientThatLeaves(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, g := newLimiter(t, concurrency.Config{Max: 1, MaxQueue: 1, MaxWait: time.Hour}), newGate()
				denied := make(chan error, 1)
				cc := serve(t, always(g.handle), intercept(l, concurrencygrpc.ServerConfig{
					Deny: func(ctx context.Context, _ string, err error) error { denied <- err; return nil },
				}))
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				wg.Go(func() {
					if got := call(ctx, cc, 1); status.Code(got.err) != codes.Canceled {
						t.Errorf("the one that had a permit got %v", got.err)
					}
				})
				<-g.begun
				waiting, leave := context.WithTimeout(t.Context(), time.Minute)
				defer leave()
				wg.Go(func() {
					if got := call(waiting, cc, 1); status.Code(got.err) != codes.DeadlineExceeded {
						t.Errorf("the one that waited got %v", got.err)
					}
				})
				synctest.Wait()
				if s := l.Stats(); s.InFlight != 1 || s.Queued != 1 {
					t.Errorf("%d permits are out, %d calls wait", s.InFlight, s.Queued)
				}
				if err := <-denied; !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
					t.Errorf("the one that waited was denied because of %v", err)
				}
				cancel()
				wg.Wait()
				synctest.Wait()
				idle(t, l)
			})
		})
	}
}

// The permit comes back however the handler is left, and the way it is left
// goes on.
func TestServerReleases(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	unary := concurrencygrpc.UnaryServerInterceptor(l, concurrencygrpc.ServerConfig{})
	for kind, through := range map[string]func(handler func()) error{
		"unary": func(handler func()) error {
			_, err := unary(t.Context(), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
				handler()
				return nil, errDisk
			})
			return err
		},
		"stream": func(handler func()) error {
			return concurrencygrpc.StreamServerInterceptor(l, concurrencygrpc.ServerConfig{})(nil, fakeStream{ctx: t.Context()},
				&grpc.StreamServerInfo{}, func(any, grpc.ServerStream) error { handler(); return errDisk })
		},
		"stream with a timeout": func(handler func()) error {
			return concurrencygrpc.StreamServerInterceptor(l, concurrencygrpc.ServerConfig{WriteTimeout: time.Hour})(nil, fakeStream{ctx: t.Context()},
				&grpc.StreamServerInfo{}, func(any, grpc.ServerStream) error { handler(); return errDisk })
		},
	} {
		for name, leave := range map[string]func(){
			"return": func() {},
			"panic":  func() { panic(secret) },
			"Goexit": runtime.Goexit,
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				left := make(chan string)
				go func() {
					how := "Goexit"
					defer func() {
						if v := recover(); v != nil {
							how = fmt.Sprint("panic ", v)
						}
						left <- how
					}()
					how = fmt.Sprint("return ", through(func() {
						if l.Stats().InFlight != 1 {
							t.Error("the handler has no permit")
						}
						how = "Goexit"
						leave()
					}))
				}()
				want := map[string]string{"return": "return " + errDisk.Error(), "panic": "panic " + secret, "Goexit": "Goexit"}[name]
				if got := <-left; got != want {
					t.Errorf("left by %s, want %s", got, want)
				}
				idle(t, l)
			})
		}
	}
}

var errDisk = errors.New("the disk is full")

// fakeStream is a stream to nobody.
type fakeStream struct {
	grpc.ServerStream
	ctx  context.Context
	send func() error
}

func (s fakeStream) Context() context.Context { return s.ctx }
func (s fakeStream) SendMsg(any) error        { return s.send() }

func TestServerCriticality(t *testing.T) {
	const key = "criticality"
	lowered := func(ctx context.Context) context.Context {
		return concurrency.ContextWithCriticality(ctx, concurrency.SheddablePlus)
	}
	for name, tt := range map[string]struct {
		key   string // of the config
		sent  []string
		has   func(context.Context) context.Context // what an outer interceptor knows
		trust bool
		want  concurrency.Criticality
	}{
		"none":                         {want: concurrency.Critical},
		"lowered":                      {sent: []string{key, "sheddable"}, want: concurrency.Sheddable},
		"raised":                       {sent: []string{key, "critical-plus"}, want: concurrency.Critical},
		"raised by whom we trust":      {sent: []string{key, "critical-plus"}, trust: true, want: concurrency.CriticalPlus},
		"unknown":                      {sent: []string{key, "very"}, trust: true, want: concurrency.Critical},
		"the first counts":             {sent: []string{key, "sheddable", key, "critical-plus"}, trust: true, want: concurrency.Sheddable},
		"raised from the context's":    {sent: []string{key, "critical"}, has: lowered, want: concurrency.SheddablePlus},
		"raised, trusted":              {sent: []string{key, "critical"}, has: lowered, trust: true, want: concurrency.Critical},
		"the context's":                {has: lowered, want: concurrency.SheddablePlus},
		"lowered from the context's":   {sent: []string{key, "sheddable"}, has: lowered, want: concurrency.Sheddable},
		"another key":                  {key: "Class", sent: []string{"class", "sheddable"}, want: concurrency.Sheddable},
		"another key, not the default": {key: "Class", sent: []string{key, "sheddable"}, want: concurrency.Critical},
	} {
		for _, untrusting := range []bool{false, true} { // as nil and as a function
			if untrusting && tt.trust {
				continue
			}
			cfg := concurrencygrpc.ServerConfig{MetadataKey: tt.key}
			if tt.trust || untrusting {
				cfg.Trusted = func(context.Context) bool { return tt.trust }
			}
			l := newLimiter(t, concurrency.Config{Max: 1})
			ctx := metadata.NewIncomingContext(t.Context(), metadata.Pairs(tt.sent...))
			if tt.has != nil {
				ctx = tt.has(ctx)
			}
			var classes []concurrency.Criticality
			if _, err := concurrencygrpc.UnaryServerInterceptor(l, cfg)(ctx, nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, _ any) (any, error) {
				classes = append(classes, concurrency.CriticalityFromContext(ctx))
				return nil, nil
			}); err != nil {
				t.Error(err)
			}
			if err := concurrencygrpc.StreamServerInterceptor(l, cfg)(nil, fakeStream{ctx: ctx}, &grpc.StreamServerInfo{}, func(_ any, stream grpc.ServerStream) error {
				classes = append(classes, concurrency.CriticalityFromContext(stream.Context()))
				return nil
			}); err != nil {
				t.Error(err)
			}
			if !slices.Equal(classes, []concurrency.Criticality{tt.want, tt.want}) {
				t.Errorf("%s: %v, want %v", name, classes, tt.want)
			}
		}
	}
}

// The class decides who gets in: half of the limit is for the sheddable.
func TestServerShedsTheLowest(t *testing.T) {
	l, g := newLimiter(t, concurrency.Config{Max: 2}), newGate()
	cc := serve(t, always(g.handle), intercept(l, concurrencygrpc.ServerConfig{}))
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() { callUnary(t.Context(), cc, 1) })
	<-g.begun
	got := callUnary(metadata.AppendToOutgoingContext(t.Context(), "criticality", "sheddable"), cc, 1)
	if status.Code(got.err) != codes.Unavailable {
		t.Errorf("the sheddable one got %v", got.err)
	}
	wg.Go(func() { callUnary(t.Context(), cc, 1) })
	<-g.begun
	g.word <- nil
	g.word <- nil
	if s := l.Stats(); s.Classes[3].Shed+s.Classes[3].QueueFull != 1 {
		t.Errorf("%+v", s.Classes)
	}
}

func TestFromPrefixes(t *testing.T) {
	trusted := concurrencygrpc.FromPrefixes(netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32"))
	for addr, want := range map[string]bool{
		"10.1.2.3:80":          true,
		"[::ffff:10.1.2.3]:80": true,
		"[2001:db8::1]:80":     true,
		"192.0.2.1:80":         false,
		"[2001:db9::1]:80":     false,
		"@":                    false,
	} {
		if got := trusted(peer.NewContext(t.Context(), &peer.Peer{Addr: textAddr(addr)})); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
	if trusted(t.Context()) || trusted(peer.NewContext(t.Context(), &peer.Peer{})) {
		t.Error("nobody is trusted")
	}
}

type textAddr string

func (a textAddr) String() string { return string(a) }
func (textAddr) Network() string  { return "" }

func TestServerSkip(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	hold, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	const health = "/grpc.health.v1.Health/"
	none := func(context.Context, string) bool { return false }
	all := func(ctx context.Context, fullMethod string) bool {
		if _, ok := metadata.FromIncomingContext(ctx); !ok {
			t.Error("ctx is not the call's")
		}
		return fullMethod == service+"Unary" || fullMethod == service+"Watch"
	}
	for name, tt := range map[string]struct {
		skip    func(context.Context, string) bool
		service string
		want    codes.Code
	}{
		"default":            {nil, service, codes.Unavailable},
		"default, health":    {nil, health, codes.OK},
		"none, health":       {none, health, codes.Unavailable},
		"own function's":     {all, service, codes.OK},
		"own, not health":    {all, health, codes.Unavailable},
		"not the like of it": {nil, "/grpc.health.v1.Healthy/", codes.Unimplemented},
	} {
		cc := serve(t, echo, intercept(l, concurrencygrpc.ServerConfig{Skip: tt.skip}))
		if got := callUnaryOf(t.Context(), cc, tt.service, 1); status.Code(got.err) != tt.want {
			t.Errorf("%s: %v", name, got.err)
		}
		if tt.want == codes.Unimplemented {
			continue
		}
		stream, err := cc.NewStream(t.Context(), &watch, tt.service+"Watch")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(send(stream, 1), stream.CloseSend()); err != nil {
			t.Error(err)
		}
		if _, err := receive(stream); status.Code(err) != tt.want {
			t.Errorf("%s, stream: %v", name, err)
		}
	}
}

func TestServerBytes(t *testing.T) {
	l, g := newLimiter(t, concurrency.Config{Max: 10, MaxBytes: 100}), newGate()
	cc := serve(t, always(g.handle), intercept(l, concurrencygrpc.ServerConfig{
		Bytes: func(_ context.Context, fullMethod string, req any) int64 {
			if fullMethod != service+"Unary" {
				if req != nil {
					t.Errorf("a stream's request is %v", req)
				}
				return 30
			}
			return req.(*wrapperspb.Int64Value).Value
		},
	}))
	var wg sync.WaitGroup
	for _, call := range []func(context.Context, *grpc.ClientConn, int64) answer{callUnary, callStream(watch)} {
		wg.Go(func() {
			if got := call(t.Context(), cc, 60); got.err != nil {
				t.Error(got.err)
			}
		})
		<-g.begun
	}
	wg.Go(func() { callUnary(t.Context(), cc, -5) }) // which is none
	<-g.begun
	if s := l.Stats(); s.BytesInFlight != 90 {
		t.Errorf("%d bytes are in flight", s.BytesInFlight)
	}
	got := callUnary(t.Context(), cc, 11)
	outcome{codes.Unavailable, "QUEUE_FULL", 1}.check(t, got.err, got.trailer)
	got = callUnary(t.Context(), cc, 101)
	outcome{codes.InvalidArgument, "", 0}.check(t, got.err, got.trailer)
	for range 3 {
		g.word <- nil
	}
	wg.Wait()
	waitIdle(t, l)
}

// Deny is told the error, and may answer in its own words.
func TestServerDeny(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	hold, err := l.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer hold.Release()
	for kind, call := range kinds {
		for want, answer := range map[codes.Code]error{codes.Aborted: status.Error(codes.Aborted, "Not today."), codes.Unavailable: nil} {
			var told []string
			cc := serve(t, echo, intercept(l, concurrencygrpc.ServerConfig{
				Deny: func(_ context.Context, fullMethod string, err error) error {
					told = append(told, fmt.Sprint(fullMethod, " ", errors.Is(err, concurrency.ErrQueueFull)))
					return answer
				},
			}))
			if got := call(t.Context(), cc, 1); status.Code(got.err) != want {
				t.Errorf("%s: the client got %v, want %v", kind, got.err, want)
			}
			if len(told) != 1 || !slices.Contains([]string{service + "Unary true", service + "Upload true", service + "Watch true", service + "Chat true"}, told[0]) {
				t.Errorf("%s: Deny was told %q", kind, told)
			}
		}
	}
}

func TestServerConfigErrors(t *testing.T) {
	l := newLimiter(t, concurrency.Config{Max: 1})
	negative := concurrencygrpc.ServerConfig{WriteTimeout: -1}
	for want, build := range map[string]func(){
		"concurrencygrpc: UnaryServerInterceptor of a nil *Limiter":                   func() { concurrencygrpc.UnaryServerInterceptor(nil, concurrencygrpc.ServerConfig{}) },
		"concurrencygrpc: StreamServerInterceptor of a nil *Limiter":                  func() { concurrencygrpc.StreamServerInterceptor(nil, concurrencygrpc.ServerConfig{}) },
		"concurrencygrpc: UnaryServerInterceptor with a negative WriteTimeout, -1ns":  func() { concurrencygrpc.UnaryServerInterceptor(l, negative) },
		"concurrencygrpc: StreamServerInterceptor with a negative WriteTimeout, -1ns": func() { concurrencygrpc.StreamServerInterceptor(l, negative) },
		"concurrencygrpc: UnaryClientInterceptor of a nil *Limiter":                   func() { concurrencygrpc.UnaryClientInterceptor(nil, concurrencygrpc.ClientConfig{}) },
		"concurrencygrpc: StreamClientInterceptor of a nil *Limiter":                  func() { concurrencygrpc.StreamClientInterceptor(nil, concurrencygrpc.ClientConfig{}) },
	} {
		func() {
			defer func() {
				if v := recover(); v != want {
					t.Errorf("%v, want %q", v, want)
				}
			}()
			build()
		}()
	}
}

// That the limit of another interceptor further in is reached is no overload of
// what this one is for: whoever floods the one would take down the other.
func TestServerRefusalFurtherInDoesNotCount(t *testing.T) {
	for name, deny := range map[string]func(context.Context, string, error) error{
		"Status":    nil,
		"its own":   func(context.Context, string, error) error { return status.Error(codes.Unavailable, "Later.") },
		"no status": func(context.Context, string, error) error { return context.DeadlineExceeded },
	} {
		synctest.Test(t, func(t *testing.T) {
			outer := newLimiter(t, concurrency.Config{Adaptive: &concurrency.Adaptive{Initial: 100}})
			inner := newLimiter(t, concurrency.Config{Max: 1})
			if _, err := inner.Acquire(t.Context()); err != nil {
				t.Fatal(err)
			}
			through := concurrencygrpc.UnaryServerInterceptor(outer, concurrencygrpc.ServerConfig{})
			refuse := concurrencygrpc.UnaryServerInterceptor(inner, concurrencygrpc.ServerConfig{Deny: deny})
			for range 2000 {
				_, err := through(t.Context(), nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, req any) (any, error) {
					return refuse(ctx, req, &grpc.UnaryServerInfo{}, nil)
				})
				if code := status.Code(err); code != codes.Unavailable && code != codes.DeadlineExceeded {
					t.Fatal(err)
				}
				<-time.After(time.Millisecond)
			}
			if n := outer.Stats().Limit; n != 100 {
				t.Errorf("%s: the limit went from 100 to %d", name, n)
			}
		})
	}
}

// Never more than Max at a time, and all permits come back, whatever happens to
// the calls.
func TestServerStress(t *testing.T) {
	const most, callers, each = 3, 8, 25
	l := newLimiter(t, concurrency.Config{Max: most, MaxQueue: 2})
	var running atomic.Int64
	handle := func(ctx context.Context, n int64) (int64, error) {
		if now := running.Add(1); now > most {
			t.Errorf("%d calls at a time", now)
		}
		defer running.Add(-1)
		runtime.Gosched()
		if n%3 == 0 {
			return 0, status.Error(codes.NotFound, "Nobody is here.")
		}
		return n, nil
	}
	cc := serve(t, always(handle), intercept(l, concurrencygrpc.ServerConfig{WriteTimeout: time.Minute}))
	all := []func(context.Context, *grpc.ClientConn, int64) answer{callUnary, callStream(upload), callStream(watch), callStream(chat)}
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for n := range int64(each) {
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

// Over a connection, with a panic made an answer further out. A handler that
// leaves by Goexit gives none, and its client waits for as long as it likes.
func TestServerHandlersThatDoNotReturn(t *testing.T) {
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			leave func()
			want  codes.Code
		}{
			"panic":  {func() { panic(secret) }, codes.Internal},
			"Goexit": {runtime.Goexit, codes.DeadlineExceeded},
		} {
			t.Run(kind+" "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					l := newLimiter(t, concurrency.Config{Max: 1})
					cfg := concurrencygrpc.ServerConfig{WriteTimeout: time.Hour}
					rescue := func(err *error) {
						if recover() != nil {
							*err = status.Error(codes.Internal, "The request could not be processed.")
						}
					}
					cc := serve(t, always(func(context.Context, int64) (int64, error) { tt.leave(); return 0, nil }), []grpc.ServerOption{
						grpc.ChainUnaryInterceptor(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (_ any, err error) {
							defer rescue(&err)
							return handler(ctx, req)
						}, concurrencygrpc.UnaryServerInterceptor(l, cfg)),
						grpc.ChainStreamInterceptor(func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
							defer rescue(&err)
							return handler(srv, stream)
						}, concurrencygrpc.StreamServerInterceptor(l, cfg)),
					})
					for range 2 { // the second needs the permit of the first
						if got := call(within(t, time.Minute), cc, 1); status.Code(got.err) != tt.want {
							t.Errorf("the client got %v, want %v", got.err, tt.want)
						}
						synctest.Wait()
						idle(t, l)
					}
					if l.Stats().Acquired != 2 {
						t.Errorf("%d permits were given out", l.Stats().Acquired)
					}
				})
			})
		}
	}
}
