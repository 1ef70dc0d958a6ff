package authgrpc

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/internal/grpcstatus"
)

// Domain is the domain of each google.rpc.ErrorInfo that [Status] makes.
const Domain = grpcstatus.Domain

const invalidText = "The credential is not valid."

// Status returns what an error of an [auth.Authenticator] or [auth.Authorizer]
// means to a gRPC client, as an error that a handler returns as it is. It is nil if
// err is. The package comment has the table.
//
// The interceptors call it. A handler that decides by itself calls it, too:
//
//	if err := auth.Check(ctx, policy, "predict", req.Model); err != nil {
//		return nil, authgrpc.Status(ctx, err)
//	}
//
// ctx must be the handler's, or made from it. Call it once in a call, for the error
// that is about to be returned: to a client, two trailers that say when to come
// again are an order not to. The text is fixed for each reason, and none tells one
// bad credential from another.
func Status(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled) && ended(ctx):
		err = auth.ErrExpired
	}
	switch {
	case errors.Is(err, auth.ErrAmbiguous):
		return unauthenticated(ctx, "AMBIGUOUS_CREDENTIAL", "The call has more than one credential.")
	case errors.Is(err, auth.ErrInvalid):
		return unauthenticated(ctx, "INVALID_CREDENTIAL", invalidText)
	case errors.Is(err, auth.ErrNoCredential):
		return unauthenticated(ctx, "NO_CREDENTIAL", "The call has no credential.")
	case errors.Is(err, auth.ErrForbidden):
		return forbidden(ctx, err)
	}
	return failure(ctx, err)
}

// failure is Status for what says nothing of the caller's credential.
func failure(ctx context.Context, err error) error {
	var stated interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	_, limited := errors.AsType[admitError](err)
	var delay time.Duration
	known := errors.As(err, &stated)
	retryable := known && stated.Retryable()
	if retryable {
		delay = stated.RetryDelay()
	}
	unavailable := errors.Is(err, auth.ErrUnavailable)
	const tooMany = "There were too many attempts."
	attempts := &errdetails.ErrorInfo{Reason: "RATE_LIMITED"}
	switch {
	case limited && retryable && !unavailable:
		return grpcstatus.Later(ctx, codes.ResourceExhausted, tooMany, attempts, delay)
	case limited && known && !unavailable:
		return grpcstatus.Never(ctx, codes.ResourceExhausted, tooMany, attempts)
	case unavailable, retryable:
		return grpcstatus.Later(ctx, codes.Unavailable, "The credential cannot be checked at the moment.",
			&errdetails.ErrorInfo{Reason: "AUTH_UNAVAILABLE"}, delay)
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "The answer was not ready in time.")
	case errors.Is(err, context.Canceled) && errors.Is(ctx.Err(), context.Canceled):
		return status.Error(codes.Canceled, "The client canceled the request.")
	case limited:
		return grpcstatus.Refuse(ctx, codes.ResourceExhausted, tooMany, attempts)
	default:
		return status.Error(codes.Internal, "The request could not be processed.")
	}
}

func unauthenticated(ctx context.Context, reason, text string) error {
	return grpcstatus.Refuse(ctx, codes.Unauthenticated, text, &errdetails.ErrorInfo{Reason: reason})
}

// forbidden tells the client which scopes would do, if that is known.
func forbidden(ctx context.Context, err error) error {
	info := &errdetails.ErrorInfo{Reason: "FORBIDDEN"}
	if e, ok := errors.AsType[*auth.ForbiddenError](err); ok && len(e.Scopes) > 0 {
		scopes := slices.DeleteFunc(slices.Clone(e.Scopes), func(s string) bool { return s == "" || strings.ContainsFunc(s, notScope) })
		if len(scopes) > 0 {
			info.Reason = "INSUFFICIENT_SCOPE"
			info.Metadata = map[string]string{"scope": strings.Join(scopes, " ")}
		}
	}
	return grpcstatus.Refuse(ctx, codes.PermissionDenied, "The caller may not do this.", info)
}

// notScope: RFC 6749 §3.3 has no such character in a scope.
func notScope(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }

// admitError is what Admit has refused with.
type admitError struct{ error }

func (e admitError) Unwrap() error { return e.error }
