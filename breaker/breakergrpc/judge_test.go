package breakergrpc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// What each code counts as, on both sides, for each kind of call.
var outcomes = map[codes.Code]counts{
	codes.OK:                 {successes: 1},
	codes.Canceled:           {ignored: 1},
	codes.Unknown:            {failures: 1},
	codes.InvalidArgument:    {successes: 1},
	codes.DeadlineExceeded:   {failures: 1},
	codes.NotFound:           {successes: 1},
	codes.AlreadyExists:      {successes: 1},
	codes.PermissionDenied:   {successes: 1},
	codes.ResourceExhausted:  {ignored: 1},
	codes.FailedPrecondition: {successes: 1},
	codes.Aborted:            {successes: 1},
	codes.OutOfRange:         {successes: 1},
	codes.Unimplemented:      {successes: 1},
	codes.Internal:           {failures: 1},
	codes.Unavailable:        {failures: 1},
	codes.DataLoss:           {failures: 1},
	codes.Unauthenticated:    {successes: 1},
}

func TestJudgeByCode(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				for code, want := range outcomes {
					server, client := newBreaker(t, breaker.Config{}), newBreaker(t, breaker.Config{})
					cc := serve(t, always(func(context.Context, int64) (int64, error) { return 1, status.Error(code, "") }),
						intercept(server, breakergrpc.ServerConfig{}), guard(client, breakergrpc.ClientConfig{})...)
					if got := call(t.Context(), cc, 1); status.Code(got.err) != code {
						t.Errorf("%v became %v", code, got.err)
					}
					synctest.Wait()
					for side, b := range map[string]*breaker.Breaker{"server": server, "client": client} {
						if got := told(b); got != want {
							t.Errorf("%s, %v: told %+v, want %+v", side, code, got, want)
						}
					}
				}
			})
		})
	}
}

// Errors that are no status of their own.
func TestJudgeOtherErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want counts
	}{
		"any":                          {errDisk, counts{failures: 1}},
		"a deadline":                   {context.DeadlineExceeded, counts{failures: 1}},
		"some cancel":                  {context.Canceled, counts{ignored: 1}},
		"another breaker":              {fmt.Errorf("models: %w", &breaker.OpenError{RetryAfter: time.Second}), counts{ignored: 1}},
		"a wrapped status":             {fmt.Errorf("models: %w", status.Error(codes.NotFound, "")), counts{successes: 1}},
		"another breaker, on the wire": {breakergrpc.Status(t.Context(), &breaker.OpenError{RetryAfter: 1}), counts{ignored: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			server, client := newBreaker(t, breaker.Config{}), newBreaker(t, breaker.Config{})
			if _, err := breakergrpc.UnaryServerInterceptor(server, breakergrpc.ServerConfig{})(t.Context(), nil, &grpc.UnaryServerInfo{},
				func(context.Context, any) (any, error) { return nil, tt.err }); err != tt.err {
				t.Error(err)
			}
			if err := breakergrpc.UnaryClientInterceptor(client, breakergrpc.ClientConfig{})(t.Context(), "", nil, nil, nil, fail(tt.err)); err != tt.err {
				t.Error(err)
			}
			tt.want.check(t, server)
			if name == "another breaker, on the wire" {
				tt.want = counts{failures: 1} // to its client a server that sheds is not there
			}
			tt.want.check(t, client)
		})
	}
}

var errDisk = errors.New("the disk is full")

func fail(err error) grpc.UnaryInvoker {
	return func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return err }
}

// What has become of a call's context says more than its error.
func TestJudgeContext(t *testing.T) {
	down := status.Error(codes.Unavailable, "")
	gone := status.Error(codes.Canceled, "")
	type end func(t *testing.T) context.Context
	canceled := func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return ctx
	}
	late := func(t *testing.T) context.Context {
		ctx := within(t, time.Second)
		<-ctx.Done()
		return ctx
	}
	caused := func(t *testing.T) context.Context {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(context.DeadlineExceeded)
		return ctx
	}
	reset := func(left time.Duration) end { // by a client whose deadline is there a little earlier
		return func(t *testing.T) context.Context {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			<-time.After(time.Second - left)
			cancel()
			return ctx
		}
	}
	success, failure, ignored := counts{successes: 1}, counts{failures: 1}, counts{ignored: 1}
	for name, tt := range map[string]struct {
		ctx            end
		err            error
		server, client counts
	}{
		"canceled":                         {canceled, gone, ignored, ignored},
		"canceled, and down":               {canceled, down, ignored, ignored},
		"canceled, and answered":           {canceled, nil, ignored, success},
		"late":                             {late, status.FromContextError(context.DeadlineExceeded).Err(), failure, failure},
		"late, and answered":               {late, nil, failure, success},
		"late, and no fault":               {late, status.Error(codes.NotFound, ""), success, success},
		"a timer's cancel":                 {caused, down, failure, failure},
		"that, said to be one":             {caused, gone, failure, failure},
		"a reset at the deadline":          {reset(time.Millisecond), gone, failure, ignored},
		"a reset before":                   {reset(20 * time.Millisecond), gone, ignored, ignored},
		"a reset at the deadline, and nil": {reset(time.Millisecond), nil, failure, success},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				server, client := newBreaker(t, breaker.Config{}), newBreaker(t, breaker.Config{})
				ctx := tt.ctx(t)
				_, _ = breakergrpc.UnaryServerInterceptor(server, breakergrpc.ServerConfig{})(ctx, nil, &grpc.UnaryServerInfo{},
					func(context.Context, any) (any, error) { return nil, tt.err })
				_ = breakergrpc.UnaryClientInterceptor(client, breakergrpc.ClientConfig{})(ctx, "", nil, nil, nil, fail(tt.err))
				tt.server.check(t, server)
				tt.client.check(t, client)

				server, client = newBreaker(t, breaker.Config{}), newBreaker(t, breaker.Config{})
				_ = breakergrpc.StreamServerInterceptor(server, breakergrpc.ServerConfig{})(nil, fakeStream{ctx: ctx}, &grpc.StreamServerInfo{},
					func(any, grpc.ServerStream) error { return tt.err })
				stream, err := breakergrpc.StreamClientInterceptor(client, breakergrpc.ClientConfig{})(ctx, &watch, nil, "", madeUp(nil, tt.err))
				if err != nil {
					t.Fatal(err)
				}
				for err = nil; err == nil; {
					err = stream.RecvMsg(nil)
				}
				tt.server.check(t, server)
				tt.client.check(t, client)
			})
		})
	}
}

// madeUp opens a stream that receives what it is told, and io.EOF for the last if
// that is nil.
func madeUp(ends ...error) grpc.Streamer {
	if n := len(ends) - 1; ends[n] == nil {
		ends[n] = io.EOF
	}
	return func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
		return &fakeClientStream{ends: ends}, nil
	}
}

type fakeClientStream struct {
	grpc.ClientStream
	ends []error
}

func (s *fakeClientStream) SendMsg(any) error { return nil }
func (s *fakeClientStream) CloseSend() error  { return nil }
func (s *fakeClientStream) RecvMsg(any) error {
	err := s.ends[0]
	s.ends = s.ends[1:]
	return err
}

// fakeStream is a stream to nobody.
type fakeStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s fakeStream) Context() context.Context { return s.ctx }
func (s fakeStream) SendMsg(any) error        { return nil }
func (s fakeStream) RecvMsg(any) error        { return nil }

// Judge is asked about errors, and only about those that say something.
func TestJudgeOfOnesOwn(t *testing.T) {
	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	inner := breakergrpc.UnaryServerInterceptor(opened(t), breakergrpc.ServerConfig{
		Deny: func(context.Context, string, error) error { return errDisk },
	})
	for name, tt := range map[string]struct {
		ctx          context.Context
		handler      grpc.UnaryHandler
		asked        int // the server's, and the client's unless it is another
		client       int
		server, also counts
	}{
		"no error": {t.Context(), func(context.Context, any) (any, error) { return nil, nil }, 0, 0,
			counts{successes: 1}, counts{successes: 1}},
		"an error": {t.Context(), func(context.Context, any) (any, error) { return nil, errDisk }, 1, 1,
			counts{ignored: 1}, counts{ignored: 1}},
		"a client that left": {canceled, func(context.Context, any) (any, error) { return nil, errDisk }, 0, 0,
			counts{ignored: 1}, counts{ignored: 1}},
		"turned away further in": {t.Context(), func(ctx context.Context, req any) (any, error) {
			return inner(ctx, req, &grpc.UnaryServerInfo{}, nil)
		}, 0, 1, counts{ignored: 1}, counts{ignored: 1}},
	} {
		asked := 0
		judge := func(_ context.Context, fullMethod string, err error) breaker.Outcome {
			if asked++; fullMethod != service+"Unary" || err == nil {
				t.Errorf("%s: asked about %q, %v", name, fullMethod, err)
			}
			return breaker.Ignore
		}
		server, client := newBreaker(t, breaker.Config{}), newBreaker(t, breaker.Config{})
		_, err := breakergrpc.UnaryServerInterceptor(server, breakergrpc.ServerConfig{Judge: judge})(tt.ctx, nil,
			&grpc.UnaryServerInfo{FullMethod: service + "Unary"}, tt.handler)
		if asked != tt.asked {
			t.Errorf("%s: the server asked %d times", name, asked)
		}
		asked = 0
		_ = breakergrpc.UnaryClientInterceptor(client, breakergrpc.ClientConfig{Judge: judge})(tt.ctx, service+"Unary", nil, nil, nil, fail(err))
		if asked != tt.client {
			t.Errorf("%s: the client asked %d times", name, asked)
		}
		tt.server.check(t, server)
		tt.also.check(t, client)
	}
}

// A panic of Judge's goes on, and is a failure, once.
func TestJudgePanics(t *testing.T) {
	judge := func(context.Context, string, error) breaker.Outcome { panic(secret) }
	for name, call := range map[string]func(b *breaker.Breaker){
		"server": func(b *breaker.Breaker) {
			_, _ = breakergrpc.UnaryServerInterceptor(b, breakergrpc.ServerConfig{Judge: judge})(t.Context(), nil, &grpc.UnaryServerInfo{},
				func(context.Context, any) (any, error) { return nil, errDisk })
		},
		"server's stream": func(b *breaker.Breaker) {
			_ = breakergrpc.StreamServerInterceptor(b, breakergrpc.ServerConfig{Judge: judge})(nil, fakeStream{ctx: t.Context()}, &grpc.StreamServerInfo{},
				func(any, grpc.ServerStream) error { return errDisk })
		},
		"client": func(b *breaker.Breaker) {
			_ = breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{Judge: judge})(t.Context(), "", nil, nil, nil, fail(errDisk))
		},
		"client's stream": func(b *breaker.Breaker) {
			stream, err := breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{Judge: judge})(t.Context(), &watch, nil, "", madeUp(errDisk))
			if err != nil {
				t.Error(err)
			}
			_ = stream.RecvMsg(nil)
		},
		"client's stream, when it is opened": func(b *breaker.Breaker) {
			_, _ = breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{Judge: judge})(t.Context(), &watch, nil, "",
				func(context.Context, *grpc.StreamDesc, *grpc.ClientConn, string, ...grpc.CallOption) (grpc.ClientStream, error) {
					return nil, errDisk
				})
		},
	} {
		b := newBreaker(t, breaker.Config{})
		func() {
			defer func() {
				if v := recover(); v != secret {
					t.Errorf("%s: recovered %v", name, v)
				}
			}()
			call(b)
		}()
		counts{failures: 1}.check(t, b)
	}
}
