package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
)

// statusClientGone is nginx's "client closed request". It has no RFC.
const statusClientGone = 499

// WriteError answers r with what err means to an HTTP client, as
// application/problem+json (RFC 9457). It must be the first to write to w. No text
// of err's reaches the client, and none tells one bad credential from another.
//
//   - [ErrNoCredential]: 401 with a challenge without an error code (RFC 6750 §3).
//   - [ErrInvalid], [ErrExpired]: 401 with error="invalid_token".
//   - [ErrAmbiguous]: 401 with error="invalid_request".
//   - [ErrForbidden]: 403; with the Scopes of a *[ForbiddenError], a challenge with
//     error="insufficient_scope".
//   - [ErrPath]: 400.
//   - an error of MiddlewareConfig.Admit: 429, with Retry-After if it is Retryable.
//   - [ErrUnavailable], and any other error whose Retryable() is true: 503, reason
//     "auth-unavailable", with Retry-After.
//   - context.DeadlineExceeded: 504.
//   - context.Canceled after r's own context was: 401 if EndAtExpiry did so, else
//     499. The client has gone, so that is for logs and metrics.
//   - Everything else: 500.
//
// Retry-After is in seconds, RetryDelay rounded up and at least 1, and jittered
// upward, so that those who were turned away together do not come back together.
func WriteError(w http.ResponseWriter, r *http.Request, err error) { writeError(w, r, err, "") }

// writeError takes the realm's parameter, as quoteRealm has it.
func writeError(w http.ResponseWriter, r *http.Request, err error, realm string) {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(r.Context()), ErrExpired) {
		err = ErrExpired
	}
	switch {
	case errors.Is(err, ErrAmbiguous):
		unauthorized(w, r, realm, "invalid_request", "The request has more than one credential.", "ambiguous-credential")
	case errors.Is(err, ErrInvalid):
		unauthorized(w, r, realm, "invalid_token", "The credential is not valid.", "invalid-credential")
	case errors.Is(err, ErrNoCredential):
		unauthorized(w, r, realm, "", "The request has no credential.", "no-credential")
	case errors.Is(err, ErrForbidden):
		forbid(w, r, realm, err)
	case errors.Is(err, ErrPath):
		problem.Write(w, r, http.StatusBadRequest, "The path of the request is ambiguous.", "ambiguous-path", 0)
	default:
		writeFailure(w, r, err)
	}
}

// writeFailure answers for what says nothing of the caller's credential.
func writeFailure(w http.ResponseWriter, r *http.Request, err error) {
	var stated interface {
		Retryable() bool
		RetryDelay() time.Duration
	}
	limited := isLimited(err)
	retryable, delay := false, time.Duration(0)
	known := errors.As(err, &stated)
	if known && stated.Retryable() {
		retryable, delay = true, max(time.Second, stated.RetryDelay())
	}
	unavailable := errors.Is(err, ErrUnavailable)
	switch {
	case limited && known && !unavailable:
		problem.Write(w, r, http.StatusTooManyRequests, tooMany, "rate-limited", delay)
	case unavailable, retryable:
		problem.Write(w, r, http.StatusServiceUnavailable, "The credential cannot be checked at the moment.", "auth-unavailable", max(time.Second, delay))
	case errors.Is(err, context.DeadlineExceeded):
		problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
	case errors.Is(err, context.Canceled) && errors.Is(r.Context().Err(), context.Canceled):
		problem.Write(w, r, statusClientGone, "The client closed the request.", "", 0)
	case limited:
		problem.Write(w, r, http.StatusTooManyRequests, tooMany, "rate-limited", 0)
	default:
		problem.Write(w, r, http.StatusInternalServerError, "The request could not be processed.", "", 0)
	}
}

const tooMany = "There were too many attempts."

func unauthorized(w http.ResponseWriter, r *http.Request, realm, code, detail, reason string) {
	if code != "" {
		code = `error="` + code + `"`
	}
	w.Header().Set("WWW-Authenticate", challenge(realm, code))
	problem.Write(w, r, http.StatusUnauthorized, detail, reason, 0)
}

func forbid(w http.ResponseWriter, r *http.Request, realm string, err error) {
	reason := "forbidden"
	if e, ok := errors.AsType[*ForbiddenError](err); ok {
		if scopes := scopeValue(e.Scopes); scopes != "" {
			reason = "insufficient-scope"
			w.Header().Set("WWW-Authenticate", challenge(realm, `error="insufficient_scope"`, `scope="`+scopes+`"`))
		}
	}
	problem.Write(w, r, http.StatusForbidden, "The caller may not do this.", reason, 0)
}

// challenge returns a WWW-Authenticate field of those params that are not empty.
func challenge(params ...string) string {
	var b strings.Builder
	b.WriteString("Bearer")
	sep := " "
	for _, p := range params {
		if p != "" {
			b.WriteString(sep)
			b.WriteString(p)
			sep = ", "
		}
	}
	return b.String()
}

// quoteRealm returns the realm's parameter, or "" without a realm. It panics if
// realm cannot stand in a quoted-string (RFC 9110 §5.6.4).
func quoteRealm(realm string) string {
	if realm == "" {
		return ""
	}
	for i := range len(realm) {
		if realm[i] < ' ' || realm[i] == 0x7f {
			panic("auth: MiddlewareConfig.Realm has control characters")
		}
	}
	return `realm="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(realm) + `"`
}

// scopeValue joins those scopes that may stand in a challenge: RFC 6750 §3, and
// not the space, which separates them.
func scopeValue(scopes []string) string {
	var b strings.Builder
	for _, s := range scopes {
		if s == "" || strings.ContainsFunc(s, notScope) {
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(s)
	}
	return b.String()
}

func notScope(c rune) bool { return c <= ' ' || c == '"' || c == '\\' || c > '~' }
