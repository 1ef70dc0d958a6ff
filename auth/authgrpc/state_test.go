package authgrpc_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpctest"
)

// What logs and metrics know of a call: who it came from, or why it was refused, in
// the words of HTTP.
func TestState(t *testing.T) {
	limited := func(context.Context, string) error { return errors.New(secret) }
	for kind, call := range kinds {
		for name, tt := range map[string]struct {
			token           string
			cfg             authgrpc.ServerConfig
			subject, reason string
			code            codes.Code
		}{
			"known":       {token: "good", subject: "alice"},
			"until later": {token: "soon", cfg: authgrpc.ServerConfig{EndAtExpiry: true}, subject: "soon"},
			"bad":         {token: "bad", reason: "invalid-credential", code: codes.Unauthenticated},
			"none":        {reason: "no-credential", code: codes.Unauthenticated},
			"anonymous":   {cfg: authgrpc.ServerConfig{AllowAnonymous: true}},
			"down":        {token: "down", reason: "auth-unavailable", code: codes.Unavailable},
			"broken":      {token: "broken", code: codes.Internal},
			"limited":     {token: "good", cfg: authgrpc.ServerConfig{Admit: limited}, reason: "rate-limited", code: codes.ResourceExhausted},
		} {
			bubble(t, kind+"/"+name, func(t *testing.T) {
				o := rpctest.NewObserver()
				cc := serve(t, whoami, append(o.Server(), intercept(auth.AuthenticatorFunc(tokens), tt.cfg)...))
				ctx := t.Context()
				if tt.token != "" {
					ctx = bearing(ctx, tt.token)
				}
				got := call(ctx, cc, 0)
				if want := map[string]int64{"alice": 1, "soon": 2}[tt.subject]; got.n != want || status.Code(got.err) != tt.code {
					t.Errorf("the client got %d, %v", got.n, got.err)
				}
				rec := o.Record(t)
				if rec.Subject != tt.subject || rec.Reason != tt.reason || rec.Code != uint32(tt.code) || rec.Refused {
					t.Errorf("subject %q, reason %q, code %d, refused %t", rec.Subject, rec.Reason, rec.Code, rec.Refused)
				}
			})
		}
	}
}

func TestStateForbidden(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			o := rpctest.NewObserver()
			opts := append(o.Server(), intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{})...)
			cc := serve(t, whoami, append(opts, require(nothing{}, authgrpc.RequireConfig{
				Resource: func(context.Context, string, any) (string, string) { return "do", "it" },
			})...))
			if got := call(bearing(t.Context(), "good"), cc, 0); status.Code(got.err) != codes.PermissionDenied {
				t.Error(got.err)
			}
			if rec := o.Record(t); rec.Subject != "alice" || rec.Reason != "forbidden" || rec.Code != uint32(codes.PermissionDenied) {
				t.Errorf("subject %q, reason %q, code %d", rec.Subject, rec.Reason, rec.Code)
			}
		})
	}
}

type nothing struct{}

func (nothing) Authorize(context.Context, *auth.Principal, string, string) error {
	return auth.ErrForbidden
}

// A refusal in the audit's log has the request's id, as over HTTP.
func TestStateAudit(t *testing.T) {
	var j journal
	named := func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		reqstate.FromContext(ctx).SetRequestID("id-7")
		return handler(ctx, req)
	}
	opts := append(rpctest.NewObserver().Server(), grpc.ChainUnaryInterceptor(named))
	cc := serve(t, whoami, append(opts, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{Audit: &j})...))
	if got := callUnary(t.Context(), cc, 0); status.Code(got.err) != codes.Unauthenticated {
		t.Error(got.err)
	}
	if !slices.ContainsFunc(j.events, func(event string) bool {
		return strings.HasPrefix(event, "auth.authenticate ") && strings.Contains(event, "request_id=id-7")
	}) {
		t.Errorf("%q", j.events)
	}
}

// A handler that calls on in here with its own context, which has its caller's
// principal, gets that of the inner call there alone.
func TestStateOfOuterCall(t *testing.T) {
	o := rpctest.NewObserver()
	identify := authgrpc.UnaryServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true})
	info := &grpc.UnaryServerInfo{FullMethod: unaryMethod}
	outer := metadata.NewIncomingContext(t.Context(), metadata.Pairs("authorization", "Bearer good"))
	_, err := o.Unary(outer, nil, info, func(ctx context.Context, _ any) (any, error) {
		return identify(ctx, nil, info, func(ctx context.Context, _ any) (any, error) {
			if _, direct := ctx.(*reqstate.State); !direct || who(ctx) != 1 {
				t.Errorf("the handler's context is a %T of %d", ctx, who(ctx))
			}
			inner := metadata.NewIncomingContext(ctx, metadata.MD{})
			n, err := identify(inner, nil, info, func(ctx context.Context, _ any) (any, error) { return who(ctx), nil })
			if n != int64(0) || err != nil {
				t.Errorf("the inner call's handler knows %v, %v", n, err)
			}
			if who(ctx) != 1 {
				t.Error("the inner call has changed whom the outer one comes from")
			}
			return nil, nil
		})
	})
	if rec := o.Record(t); err != nil || rec.Subject != "alice" {
		t.Errorf("%v, subject %q", err, rec.Subject)
	}
}
