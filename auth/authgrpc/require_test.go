package authgrpc_test

import (
	"context"
	"io"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

// models lets everybody predict by model 1, and has a scope for model 2.
type models struct{}

func (models) Authorize(_ context.Context, p *auth.Principal, action, resource string) error {
	switch {
	case action == "predict" && resource == "one":
		return nil
	case resource == "two":
		return &auth.ForbiddenError{Subject: p.Subject, Scopes: []string{"models.two", "a\"b", ""}}
	case resource == "down":
		return &auth.Error{Cause: auth.ErrUnavailable, Reason: secret}
	}
	return &auth.ForbiddenError{Subject: p.Subject, Action: action, Resource: resource, Rule: secret}
}

var names = map[int64]string{1: "one", 2: "two", 3: "three", 4: "down"}

// byMessage knows the model by the message.
func byMessage(_ context.Context, _ string, req any) (action, resource string) {
	if n, ok := req.(*wrapperspb.Int64Value); ok {
		return "predict", names[n.Value]
	}
	return "predict", ""
}

func inbound(token string) context.Context {
	return metadata.NewIncomingContext(context.Background(), metadata.Pairs("authorization", "Bearer "+token))
}

func TestRequire(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			sees := []int64{}
			f := numbers{
				unary: func(_ context.Context, n int64) (int64, error) { sees = append(sees, n); return n, nil },
				stream: func(s grpc.ServerStream) error {
					n, err := receive(s)
					if err != nil {
						return nil // a mistake that must not make a refusal a success
					}
					sees = append(sees, n)
					return send(s, n)
				},
			}
			cc := serve(t, f, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{AllowAnonymous: true}),
				require(models{}, authgrpc.RequireConfig{Resource: byMessage})...))
			ctx := bearing(t.Context(), "good")
			if a := call(ctx, cc, 1); a.err != nil || a.n != 1 {
				t.Errorf("%+v", a)
			}
			outcome{code: codes.PermissionDenied, reason: "INSUFFICIENT_SCOPE", scope: "models.two"}.check(t, "two", call(ctx, cc, 2))
			outcome{code: codes.PermissionDenied, reason: "FORBIDDEN"}.check(t, "three", call(ctx, cc, 3))
			outcome{code: codes.PermissionDenied, reason: "FORBIDDEN"}.check(t, "none", call(ctx, cc, 9))
			outcome{code: codes.Unavailable, reason: "AUTH_UNAVAILABLE", later: true}.check(t, "down", call(ctx, cc, 4))
			outcome{code: codes.Unauthenticated, reason: "NO_CREDENTIAL"}.check(t, "nobody", call(t.Context(), cc, 1))
			if len(sees) != 1 {
				t.Errorf("the handler saw %d", sees)
			}
		})
	}
}

func TestRequireByMethod(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			resource, exempt := "one", false
			cc := serve(t, echo, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
				require(models{}, authgrpc.RequireConfig{
					Resource: func(context.Context, string, any) (string, string) { return "predict", resource },
					Exempt:   func(string) bool { return exempt },
				})...))
			ctx := bearing(t.Context(), "good")
			if a := call(ctx, cc, 5); a.err != nil || a.n != 5 {
				t.Errorf("%+v", a)
			}
			resource = "three"
			outcome{code: codes.PermissionDenied, reason: "FORBIDDEN"}.check(t, "three", call(ctx, cc, 5))
			exempt = true
			if a := call(ctx, cc, 5); a.err != nil || a.n != 5 {
				t.Errorf("%+v", a)
			}
		})
	}
}

// Before the first message is checked nothing is sent, and after a refusal
// nothing at all.
func TestRequireStreamSends(t *testing.T) {
	bubble(t, "sends first", func(t *testing.T) {
		var early, late, again error
		f := numbers{stream: func(s grpc.ServerStream) error {
			early = send(s, 1)
			_, _ = receive(s)
			late = send(s, 2)
			_, again = receive(s)
			return io.ErrUnexpectedEOF
		}}
		cc := serve(t, f, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
			require(models{}, authgrpc.RequireConfig{Resource: byMessage})...))
		outcome{code: codes.PermissionDenied, reason: "FORBIDDEN"}.check(t, "refused", callStream(bearing(t.Context(), "good"), cc, 3))
		if early == nil || late == nil || again == nil {
			t.Error(early, late, again)
		}
	})
	bubble(t, "several", func(t *testing.T) {
		cc := serve(t, echo, append(intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
			require(models{}, authgrpc.RequireConfig{Resource: byMessage})...))
		stream, err := cc.NewStream(bearing(t.Context(), "good"), &streamDesc, streamMethod)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range []int64{1, 3, 2} { // the first names the model
			if err := send(stream, n); err != nil {
				t.Fatal(err)
			}
			if got, err := receive(stream); err != nil || got != n {
				t.Fatal(got, err)
			}
		}
		if err := stream.CloseSend(); err != nil {
			t.Fatal(err)
		}
		if _, err := receive(stream); err != io.EOF {
			t.Error(err)
		}
	})
}
