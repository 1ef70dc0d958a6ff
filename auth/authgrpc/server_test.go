package authgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

func (j *journal) Audit(_ context.Context, event string, attrs ...slog.Attr) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.events = append(j.events, fmt.Sprint(event, " ", attrs))
}

func TestServer(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}))
			for _, ctx := range []context.Context{
				bearing(t.Context(), "good"),
				with(t.Context(), "authorization", "bEARER  good"),
				with(t.Context(), "x-api-key", "good"),
				with(t.Context(), "authorization", "Basic abc", "x-api-key", "good"),
			} {
				if a := call(ctx, cc, 0); a.err != nil || a.n != 1 {
					t.Errorf("%v: %+v", ctx, a)
				}
			}
			invalid := outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}
			none := outcome{code: codes.Unauthenticated, reason: "NO_CREDENTIAL"}
			ambiguous := outcome{code: codes.Unauthenticated, reason: "AMBIGUOUS_CREDENTIAL"}
			for name, tt := range map[string]struct {
				ctx  context.Context
				want outcome
			}{
				"none":              {t.Context(), none},
				"other scheme":      {with(t.Context(), "authorization", "Basic good"), none},
				"bad":               {bearing(t.Context(), secret), invalid},
				"unread":            {bearing(t.Context(), "unread"), invalid},
				"empty":             {with(t.Context(), "authorization", "Bearer "), invalid},
				"two words":         {bearing(t.Context(), "good good"), invalid},
				"comma":             {bearing(t.Context(), "good,Bearer good"), invalid},
				"long":              {bearing(t.Context(), strings.Repeat("a", 17<<10)), invalid},
				"empty key":         {with(t.Context(), "x-api-key", ""), invalid},
				"two fields":        {with(t.Context(), "authorization", "Bearer good", "authorization", "Bearer good"), ambiguous},
				"two fields, Basic": {with(t.Context(), "authorization", "Bearer good", "authorization", "Basic good"), ambiguous},
				"two keys":          {with(t.Context(), "x-api-key", "good", "x-api-key", "good"), ambiguous},
				"down":              {bearing(t.Context(), "down"), outcome{code: codes.Unavailable, reason: "AUTH_UNAVAILABLE", later: true}},
				"nobody":            {bearing(t.Context(), "nobody"), outcome{code: codes.Internal}},
				"broken":            {bearing(t.Context(), "broken"), outcome{code: codes.Internal}},
				"slow":              {bearing(t.Context(), "slow"), outcome{code: codes.DeadlineExceeded}},
			} {
				tt.want.check(t, name, call(tt.ctx, cc, 0))
			}
		})
	}
}

func TestServerAnonymous(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true}))
			if a := call(t.Context(), cc, 0); a.err != nil || a.n != 0 {
				t.Errorf("%+v", a)
			}
			for _, token := range []string{secret, "unread", "good good"} {
				outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, token, call(bearing(t.Context(), token), cc, 0))
			}
		})
	}
}

func TestServerExempt(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{
				Exempt: func(fullMethod string) bool { return fullMethod == unaryMethod || fullMethod == streamMethod },
			}))
			if a := call(bearing(t.Context(), secret), cc, 0); a.err != nil || a.n != 0 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// limitedError is as ratelimit's is.
type limitedError struct{ after time.Duration }

func (e limitedError) Error() string             { return secret }
func (e limitedError) Retryable() bool           { return e.after > 0 }
func (e limitedError) RetryDelay() time.Duration { return e.after }

func TestServerHooks(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			var asked, failed []string
			var admit error
			trail := &journal{}
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{
				APIKeyMetadata: "X-Key",
				Admit: func(_ context.Context, m string) error {
					asked = append(asked, m)
					return admit
				},
				Failed: func(_ context.Context, m string, err error) { failed = append(failed, err.Error()) },
				Audit:  trail,
				Deny: func(_ context.Context, _ string, err error) error {
					if errors.Is(err, auth.ErrAmbiguous) {
						return status.Error(codes.InvalidArgument, "Twice.")
					}
					return nil
				},
			}))
			call(t.Context(), cc, 0)
			call(bearing(t.Context(), "good"), cc, 0)
			call(bearing(t.Context(), "bad"), cc, 0)
			call(bearing(t.Context(), "down"), cc, 0)
			if a := call(with(t.Context(), "x-key", "a", "x-key", "b"), cc, 0); status.Code(a.err) != codes.InvalidArgument {
				t.Error(a.err)
			}
			for want, err := range map[outcome]error{
				{code: codes.ResourceExhausted, reason: "RATE_LIMITED", later: true}: limitedError{time.Second},
				{code: codes.ResourceExhausted, reason: "RATE_LIMITED"}:              errors.New(secret),
				{code: codes.Unavailable, reason: "AUTH_UNAVAILABLE", later: true}:   &auth.Error{Cause: auth.ErrUnavailable},
			} {
				admit = err
				want.check(t, err.Error(), call(bearing(t.Context(), "good"), cc, 0))
			}
			admit = limitedError{}
			if a := call(bearing(t.Context(), "good"), cc, 0); status.Code(a.err) != codes.ResourceExhausted || !slices.Equal(a.trailer.Get("grpc-retry-pushback-ms"), []string{"-1"}) {
				t.Errorf("%+v", a)
			}
			if len(asked) != 8 {
				t.Errorf("Admit was asked %d times", len(asked))
			}
			if len(failed) != 2 || !strings.Contains(failed[0], "invalid") || !strings.Contains(failed[1], "more than one") {
				t.Errorf("failed %q", failed)
			}
			if len(trail.events) != 8 || !strings.HasPrefix(trail.events[0], "auth.authenticate [reason=auth: no credential") || !strings.Contains(trail.events[1], "remote=") {
				t.Errorf("%d: %q", len(trail.events), trail.events)
			}
		})
	}
}

// An idle stream ends when its credential does, whatever the handler makes of it.
func TestServerEndAtExpiry(t *testing.T) {
	for name, handler := range map[string]func(grpc.ServerStream) error{
		"waits":    echo.stream,
		"waits on": func(s grpc.ServerStream) error { <-s.Context().Done(); return nil },
		"sends":    func(s grpc.ServerStream) error { <-s.Context().Done(); _ = send(s, 7); return errors.New("mine") },
		"goes on":  func(s grpc.ServerStream) error { _ = echo.stream(s); _, _ = receive(s); return nil },
		"no client": func(s grpc.ServerStream) error {
			for send(s, 1) == nil {
			}
			return nil
		}, // nobody reads
	} {
		bubble(t, name, func(t *testing.T) {
			cc := serve(t, numbers{stream: handler}, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
			stream, err := cc.NewStream(bearing(t.Context(), "soon"), &streamDesc, streamMethod)
			if err != nil {
				t.Fatal(err)
			}
			if name == "waits" {
				if err := send(stream, 5); err != nil {
					t.Fatal(err)
				}
				if n, err := receive(stream); n != 5 || err != nil {
					t.Fatal(n, err)
				}
			}
			start := time.Now()
			if name == "no client" {
				<-time.After(2 * time.Minute)
			}
			for err == nil {
				var n int64
				if n, err = receive(stream); n == 7 {
					t.Error("sent after the end")
				}
			}
			if d := time.Since(start); d < time.Minute {
				t.Errorf("after %v", d)
			}
			outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, name, answer{err: err})
		})
	}
	bubble(t, "unary", func(t *testing.T) {
		cc := serve(t, numbers{unary: func(ctx context.Context, n int64) (int64, error) {
			<-ctx.Done()
			if n == 1 {
				return 1, nil // it was allowed when it began
			}
			return 0, ctx.Err()
		}}, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
		outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, "error", callUnary(bearing(t.Context(), "soon"), cc, 0))
		if a := callUnary(bearing(t.Context(), "soon"), cc, 1); a.n != 1 || a.err != nil {
			t.Errorf("%+v", a)
		}
	})
	bubble(t, "expired", func(t *testing.T) {
		past := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
			return &auth.Principal{ExpiresAt: time.Now()}, nil // within somebody's leeway
		})
		cc := serve(t, whoami, intercept(past, authgrpc.ServerConfig{EndAtExpiry: true}))
		outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, "past", callUnary(bearing(t.Context(), "x"), cc, 0))
	})
	bubble(t, "client leaves", func(t *testing.T) {
		cc := serve(t, echo, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
		ctx, cancel := context.WithCancel(bearing(t.Context(), "soon"))
		stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if _, err := receive(stream); status.Code(err) != codes.Canceled {
			t.Error(err)
		}
	})
	bubble(t, "in time", func(t *testing.T) {
		cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true}))
		for kind, call := range kinds {
			if a := call(bearing(t.Context(), "soon"), cc, 0); a.n != 2 || a.err != nil {
				t.Errorf("%s: %+v", kind, a)
			}
		}
	})
}

// A panic goes on to whoever recovers it.
func TestServerPanics(t *testing.T) {
	unary := authgrpc.UnaryServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{EndAtExpiry: true})
	defer func() {
		if recover() != "handler" {
			t.Error("the panic is lost")
		}
	}()
	_, _ = unary(inbound("soon"), nil, &grpc.UnaryServerInfo{FullMethod: unaryMethod}, func(context.Context, any) (any, error) { panic("handler") })
}

func TestServerConstruct(t *testing.T) {
	a := auth.AuthenticatorFunc(tokens)
	for name, f := range map[string]func(){
		"nil unary":  func() { authgrpc.UnaryServerInterceptor(nil, authgrpc.ServerConfig{}) },
		"nil stream": func() { authgrpc.StreamServerInterceptor(nil, authgrpc.ServerConfig{}) },
		"field":      func() { authgrpc.UnaryServerInterceptor(a, authgrpc.ServerConfig{APIKeyMetadata: "Authorization"}) },
		"binary":     func() { authgrpc.UnaryServerInterceptor(a, authgrpc.ServerConfig{APIKeyMetadata: "key-bin"}) },
		"reserved":   func() { authgrpc.UnaryServerInterceptor(a, authgrpc.ServerConfig{APIKeyMetadata: "grpc-key"}) },
		"no name":    func() { authgrpc.UnaryServerInterceptor(a, authgrpc.ServerConfig{APIKeyMetadata: "a b"}) },
		"nil az":     func() { authgrpc.RequireUnary(nil, authgrpc.RequireConfig{}) },
		"nil func":   func() { authgrpc.RequireStream(models{}, authgrpc.RequireConfig{}) },
		"nil src":    func() { authgrpc.NewCredentials(nil, authgrpc.CredentialsConfig{}) },
	} {
		func() {
			defer func() {
				if s, _ := recover().(string); !strings.HasPrefix(s, "authgrpc: ") {
					t.Errorf("%s: %q", name, s)
				}
			}()
			f()
		}()
	}
	if authgrpc.Status(t.Context(), nil) != nil {
		t.Error("a status of nothing")
	}
}
