package authgrpc_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

// A stream without a message was never checked, and was OK if its handler made
// nothing of the end.
func TestRequireStreamWithoutMessage(t *testing.T) {
	for name, handler := range map[string]func(grpc.ServerStream) error{
		"reads to the end": func(s grpc.ServerStream) error { _, _ = receive(s); return nil },
		"reads nothing":    func(grpc.ServerStream) error { return nil },
		"reads on": func(s grpc.ServerStream) error {
			_, first := receive(s)
			if _, again := receive(s); first == nil || first == io.EOF || again != first {
				t.Errorf("%v, %v", first, again)
			}
			return send(s, 1)
		},
	} {
		bubble(t, name, func(t *testing.T) {
			trail := &journal{}
			cc := serve(t, numbers{stream: handler}, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
				require(auth.Audited(models{}, trail), authgrpc.RequireConfig{Resource: byMessage})...))
			stream, err := cc.NewStream(bearing(t.Context(), "good"), &streamDesc, streamMethod)
			if err != nil {
				t.Fatal(err)
			}
			if err := stream.CloseSend(); err != nil {
				t.Fatal(err)
			}
			_, err = receive(stream)
			outcome{code: codes.PermissionDenied, reason: "FORBIDDEN"}.check(t, name, answer{err: err})
			if len(trail.events) != 1 || !strings.Contains(trail.events[0], "decision=deny") {
				t.Errorf("%q", trail.events)
			}
		})
	}
}

// After the first message an end is an end.
func TestRequireStreamEnds(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		mine := status.Error(codes.Aborted, "mine")
		cc := serve(t, numbers{stream: func(s grpc.ServerStream) error {
			if _, err := receive(s); err != nil {
				return err
			}
			if _, err := receive(s); err != io.EOF {
				return err
			}
			return mine
		}}, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}), require(models{}, authgrpc.RequireConfig{Resource: byMessage})...))
		if a := callStream(bearing(t.Context(), "good"), cc, 1); status.Code(a.err) != codes.Aborted {
			t.Error(a.err)
		}
	})
}

// fakeStream is a stream without gRPC.
type fakeStream struct {
	grpc.ServerStream
	ctx        context.Context
	recv, send func(any) error
}

func (s *fakeStream) Context() context.Context { return s.ctx }
func (s *fakeStream) RecvMsg(m any) error      { return s.recv(m) }
func (s *fakeStream) SendMsg(m any) error      { return s.send(m) }

// A panic while a message is awaited ended the process: nobody can recover it in
// a goroutine of ours.
func TestEndAtExpiryPanics(t *testing.T) {
	for name, recv := range map[string]func(any) error{
		"panic":  func(any) error { panic("decode") },
		"goexit": func(any) error { runtime.Goexit(); return nil },
	} {
		bubble(t, name, func(t *testing.T) {
			intercept := authgrpc.StreamServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true})
			var got any
			returned := false
			done := make(chan struct{})
			go func() { // as gRPC calls a handler
				defer close(done)
				defer func() { got = recover() }()
				_ = intercept(nil, &fakeStream{ctx: inbound("soon"), recv: recv}, &grpc.StreamServerInfo{FullMethod: streamMethod},
					func(_ any, s grpc.ServerStream) error { return s.RecvMsg(nil) })
				returned = true
			}()
			<-done
			if want := map[string]any{"panic": "decode"}[name]; got != want || returned {
				t.Errorf("recovered %v, want %v; returned: %v", got, want, returned)
			}
		})
	}
}

// Who the cause of a context is is no matter of the client's.
func TestEndAtExpiryOtherCause(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(inbound("soon"))
		cancel(errors.New(secret))
		intercept := authgrpc.StreamServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true})
		err := intercept(nil, &fakeStream{ctx: ctx}, &grpc.StreamServerInfo{FullMethod: streamMethod},
			func(_ any, s grpc.ServerStream) error { return s.RecvMsg(nil) })
		outcome{code: codes.Canceled}.check(t, "canceled", answer{err: err})
	})
}

// Both directions at once, and messages in order, until the end.
func TestEndAtExpiryDuplex(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		const n = 200
		var wg sync.WaitGroup
		cc := serve(t, numbers{stream: func(s grpc.ServerStream) error {
			wg.Go(func() {
				for i := range int64(n) {
					if err := send(s, i); err != nil {
						t.Errorf("send %d: %v", i, err)
						return
					}
				}
			})
			for i := range int64(n) {
				if got, err := receive(s); err != nil || got != i {
					t.Errorf("received %d, %v, want %d", got, err, i)
				}
			}
			wg.Wait()
			if _, err := receive(s); err != io.EOF {
				t.Error(err)
			}
			return nil
		}}, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}),
			require(everything{}, authgrpc.RequireConfig{Resource: func(context.Context, string, any) (string, string) { return "do", "it" }})...))
		stream, err := cc.NewStream(bearing(t.Context(), "soon"), &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for i := range int64(n) {
				_ = send(stream, i)
			}
			_ = stream.CloseSend()
		})
		for i := range int64(n) {
			if got, err := receive(stream); err != nil || got != i {
				t.Fatal(got, err, i)
			}
		}
		if _, err := receive(stream); err != io.EOF {
			t.Error(err)
		}
	})
}

type everything struct{}

func (everything) Authorize(context.Context, *auth.Principal, string, string) error { return nil }

// A server that stops leaves no goroutine behind of streams that wait.
func TestEndAtExpiryServerStops(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		waits := make(chan struct{})
		cc := serve(t, numbers{stream: func(s grpc.ServerStream) error {
			close(waits)
			_, err := receive(s)
			return err
		}}, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
		if _, err := cc.NewStream(bearing(t.Context(), "soon"), &streamDesc, streamMethod); err != nil {
			t.Fatal(err)
		}
		<-waits // the bubble would not end with a goroutine in it
	})
}

// okError is an error that gRPC takes for a success.
type okError struct{}

func (okError) Error() string              { return secret }
func (okError) GRPCStatus() *status.Status { return status.New(codes.OK, "") }

// What Deny returns must be a refusal, and no internal text.
func TestDenyWithoutStatus(t *testing.T) {
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			own  func(error) error
			want outcome
		}{
			"OK":        {func(error) error { return okError{} }, outcome{code: codes.Internal}},
			"OK within": {func(error) error { return fmt.Errorf("x: %w", okError{}) }, outcome{code: codes.Internal}},
			"itself":    {func(err error) error { return err }, outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}},
			"other":     {func(error) error { return errors.New(secret) }, outcome{code: codes.Internal}},
		} {
			bubble(t, kind+"/"+name, func(t *testing.T) {
				cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{
					Deny: func(_ context.Context, _ string, err error) error { return tt.own(err) },
				}))
				tt.want.check(t, name, call(bearing(t.Context(), "bad"), cc, 0))
			})
		}
	}
}

// An interceptor within another hides whom the outer one has found.
func TestServerNested(t *testing.T) {
	outer := auth.ContextWithPrincipal(context.Background(), &auth.Principal{Subject: "outer"})
	unary := authgrpc.UnaryServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true})
	if n, err := unary(outer, nil, &grpc.UnaryServerInfo{}, func(ctx context.Context, _ any) (any, error) { return who(ctx), nil }); n != int64(0) || err != nil {
		t.Error(n, err)
	}
	stream := authgrpc.StreamServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true})
	if err := stream(nil, &fakeStream{ctx: outer}, &grpc.StreamServerInfo{}, func(_ any, s grpc.ServerStream) error {
		if n := who(s.Context()); n != 0 {
			t.Error(n)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

// A credential that ends while it is being checked is refused.
func TestEndAtExpiryWhileChecked(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		slow := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
			p := &auth.Principal{ExpiresAt: time.Now().Add(time.Second)}
			<-time.After(2 * time.Second)
			return p, nil
		})
		unary := authgrpc.UnaryServerInterceptor(slow, authgrpc.ServerConfig{EndAtExpiry: true})
		_, err := unary(inbound("x"), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) {
			t.Error("the handler is called")
			return nil, nil
		})
		outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, "late", answer{err: err})
	})
}

// Metadata that was made by hand may have capitals; gRPC's own never have.
func TestServerMetadataCapitals(t *testing.T) {
	unary := authgrpc.UnaryServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{})
	for key, want := range map[string]codes.Code{"Authorization": codes.OK, ":authority": codes.Unauthenticated, "authorization-bin": codes.Unauthenticated} {
		ctx := metadata.NewIncomingContext(context.Background(), metadata.MD{key: {"Bearer good"}})
		if _, err := unary(ctx, nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { return nil, nil }); status.Code(err) != want {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// Who sends while the first message is being checked is refused at once: to wait with
// a lock held would stop the time in a synctest bubble.
func TestRequireStreamSendsMeanwhile(t *testing.T) {
	for n, want := range map[int64]codes.Code{1: codes.OK, 3: codes.PermissionDenied} {
		bubble(t, names[n], func(t *testing.T) {
			checking := make(chan struct{})
			var sent error
			cc := serve(t, numbers{stream: func(s grpc.ServerStream) error {
				var wg sync.WaitGroup
				wg.Go(func() {
					<-checking
					sent = send(s, n)
				})
				n, err := receive(s)
				wg.Wait()
				return cmp.Or(err, send(s, n))
			}}, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}),
				require(slowly{checking}, authgrpc.RequireConfig{Resource: byMessage})...))
			if a := callStream(bearing(t.Context(), "soon"), cc, n); status.Code(a.err) != want || status.Code(sent) != codes.Internal {
				t.Errorf("%+v, sent %v", a, sent)
			}
		})
	}
}

// slowly are models that take a second.
type slowly struct{ checking chan struct{} }

func (s slowly) Authorize(ctx context.Context, p *auth.Principal, action, resource string) error {
	close(s.checking)
	<-time.After(time.Second)
	return models{}.Authorize(ctx, p, action, resource)
}

// The client's own deadline is its own, before the credential's end and after.
func TestEndAtExpiryDeadline(t *testing.T) {
	for d, want := range map[time.Duration]codes.Code{30 * time.Second: codes.DeadlineExceeded, 90 * time.Second: codes.Unauthenticated} {
		for kind, call := range kinds {
			bubble(t, fmt.Sprint(kind, d), func(t *testing.T) {
				seen := make(chan error, 1)
				cc := serve(t, numbers{
					unary: func(ctx context.Context, _ int64) (int64, error) {
						<-ctx.Done()
						return 0, ctx.Err()
					},
					stream: func(s grpc.ServerStream) error {
						_, _ = receive(s)
						<-s.Context().Done()
						_, err := receive(s)
						seen <- err
						return err
					},
				}, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
				ctx, cancel := context.WithTimeout(bearing(t.Context(), "soon"), d)
				defer cancel()
				if a := call(ctx, cc, 0); status.Code(a.err) != want {
					t.Errorf("%+v", a)
				}
				if kind == "stream" {
					// A client whose deadline has passed resets the stream, too.
					if err := <-seen; status.Code(err) != want && (want != codes.DeadlineExceeded || status.Code(err) != codes.Canceled) {
						t.Errorf("the handler saw %v", err)
					}
				}
			})
		}
	}
}

// Headers and trailers are the handler's, whatever wraps its stream.
func TestStreamHeaders(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cc := serve(t, numbers{stream: func(s grpc.ServerStream) error {
			if _, err := receive(s); err != nil {
				return err
			}
			if err := errors.Join(s.SetHeader(metadata.Pairs("a", "1")), grpc.SetHeader(s.Context(), metadata.Pairs("b", "2")), s.SendHeader(metadata.Pairs("c", "3"))); err != nil {
				return err
			}
			s.SetTrailer(metadata.Pairs("d", "4"))
			return errors.Join(grpc.SetTrailer(s.Context(), metadata.Pairs("e", "5")), send(s, 1))
		}}, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}), require(models{}, authgrpc.RequireConfig{Resource: byMessage})...))
		a := callStream(bearing(t.Context(), "good"), cc, 1)
		if a.err != nil {
			t.Fatal(a.err)
		}
		for key, want := range map[string]string{"a": "1", "b": "2", "c": "3", "d": "4", "e": "5"} {
			if got := append(a.header.Get(key), a.trailer.Get(key)...); len(got) != 1 || got[0] != want {
				t.Errorf("%s: %q", key, got)
			}
		}
	})
}

// The audit hears of those who are nobody, of streams as of other calls.
func TestRequireAnonymousIsAudited(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			trail := &journal{}
			cc := serve(t, echo, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true}),
				require(auth.Audited(models{}, trail), authgrpc.RequireConfig{Resource: byMessage})...))
			outcome{code: codes.Unauthenticated, reason: "NO_CREDENTIAL"}.check(t, kind, call(t.Context(), cc, 1))
			if len(trail.events) != 1 || !strings.Contains(trail.events[0], "decision=deny") || !strings.Contains(trail.events[0], "no credential") {
				t.Errorf("%q", trail.events)
			}
		})
	}
}
