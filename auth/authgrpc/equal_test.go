package authgrpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

// sameAs says which code a status is over gRPC, by the design's table.
var sameAs = map[int]codes.Code{
	200: codes.OK, 401: codes.Unauthenticated, 403: codes.PermissionDenied, 429: codes.ResourceExhausted, 499: codes.Canceled,
	500: codes.Internal, 503: codes.Unavailable, 504: codes.DeadlineExceeded,
}

// causes are what errors are made of here.
var causes = []error{
	auth.ErrNoCredential, auth.ErrInvalid, auth.ErrExpired, auth.ErrAmbiguous, auth.ErrUnavailable, auth.ErrForbidden,
	&auth.ForbiddenError{Scopes: []string{"a"}}, context.Canceled, context.DeadlineExceeded, errors.New("other"),
	limitedError{}, limitedError{time.Second}, status.Error(codes.NotFound, "of a policy engine"), okError{},
	&auth.Error{Cause: auth.ErrUnavailable, RetryAfter: -1}, &auth.Error{},
}

// An error means the same over HTTP and gRPC, whatever is wrapped in it.
func TestStatusIsWriteErrors(t *testing.T) {
	live := t.Context()
	gone, cancel := context.WithCancel(live)
	cancel()
	expired, end := context.WithCancelCause(live)
	end(auth.ErrExpired)
	late, stop := context.WithDeadline(live, time.Now().Add(-time.Second))
	defer stop()
	for name, ctx := range map[string]context.Context{"live": live, "gone": gone, "expired": expired, "late": late} {
		for _, a := range causes {
			for _, b := range causes {
				for _, err := range []error{a, fmt.Errorf("x: %w", a), errors.Join(a, b), &auth.Error{Cause: a, Reason: "r"}} {
					w := httptest.NewRecorder()
					auth.WriteError(w, httptest.NewRequest("GET", "/", nil).WithContext(ctx), err)
					if got, want := status.Code(authgrpc.Status(ctx, err)), sameAs[w.Code]; got != want || want == codes.OK {
						t.Errorf("%s: %v: %d over HTTP, %v over gRPC", name, err, w.Code, got)
					}
				}
			}
		}
	}
}

// The same credentials come to the same end, with the same hooks called for it.
func TestServerIsMiddleware(t *testing.T) {
	for _, allowed := range []bool{false, true} {
		for _, ends := range []bool{false, true} {
			for _, admit := range append(causes, nil) {
				var told []string
				note := func(what string, err error) { told = append(told, fmt.Sprint(what, " ", err)) }
				trail := &journal{}
				call := authgrpc.UnaryServerInterceptor(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{
					AllowAnonymous: allowed, EndAtExpiry: ends, Audit: trail,
					Admit:  func(context.Context, string) error { note("admit", nil); return admit },
					Failed: func(_ context.Context, _ string, err error) { note("failed", err) },
					Deny:   func(_ context.Context, _ string, err error) error { note("deny", err); return nil },
				})
				handler := auth.Middleware(auth.AuthenticatorFunc(withTime), auth.MiddlewareConfig{
					AllowAnonymous: allowed, EndAtExpiry: ends, Audit: trail,
					Admit:  func(*http.Request) error { note("admit", nil); return admit },
					Failed: func(_ *http.Request, err error) { note("failed", err) },
					Deny:   func(w http.ResponseWriter, r *http.Request, err error) { note("deny", err); auth.WriteError(w, r, err) },
				})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
				for _, pairs := range [][]string{
					{}, {"authorization", "Bearer good"}, {"authorization", "Bearer bad"}, {"authorization", "Basic x"}, {"authorization", "Bearer unread"},
					{"authorization", "Bearer a", "authorization", "Bearer b"}, {"authorization", ""}, {"authorization", "Bearer a b"},
					{"x-api-key", "good"}, {"x-api-key", ""}, {"x-api-key", "a", "x-api-key", "b"}, {"x-api-key", "a,b"}, {"x-api-key", strings.Repeat("a", 20<<10)},
					{"authorization", "Bearer go", "x-api-key", "od"}, {"authorization", "Bearer down"}, {"authorization", "Bearer slow"},
					{"authorization", "Bearer broken"}, {"authorization", "Bearer nobody"}, {"authorization", "Bearer soon"}, {"authorization", "Bearer é"},
				} {
					told, trail.events = nil, nil
					w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
					r.RemoteAddr = "" // which bufconn's peers do not have
					for i := 0; i < len(pairs); i += 2 {
						r.Header.Add(pairs[i], pairs[i+1])
					}
					handler.ServeHTTP(w, r)
					overHTTP := fmt.Sprint(told, trail.events)
					told, trail.events = nil, nil
					_, err := call(metadata.NewIncomingContext(t.Context(), metadata.Pairs(pairs...)), nil, &grpc.UnaryServerInfo{}, func(context.Context, any) (any, error) { return nil, nil })
					overGRPC := fmt.Sprint(told, trail.events)
					overHTTP = strings.NewReplacer("Authorization fields", "credentials of a kind", "API key fields", "credentials of a kind", "auth: the Auth", "authgrpc: the Auth").Replace(overHTTP)
					if got, want := status.Code(err), sameAs[w.Code]; got != want || overHTTP != overGRPC {
						t.Errorf("%.60q, admit %v: %d over HTTP, %v over gRPC\n%s\n%s", pairs, admit, w.Code, got, overHTTP, overGRPC)
					}
				}
			}
		}
	}
}

// withTime is tokens where no observer has noted when the request began.
func withTime(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	c.At = time.Now()
	return tokens(ctx, c)
}
