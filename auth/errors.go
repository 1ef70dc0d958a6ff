package auth

import (
	"errors"
	"fmt"
	"time"

	"github.com/ballast-go/ballast/internal/audittext"
)

// The causes of a request that does not get through. Errors of this package
// and of those below it are one of them by errors.Is.
var (
	// ErrNoCredential: nothing was given that could be checked.
	ErrNoCredential = errors.New("auth: no credential")
	// ErrInvalid: what was given is not good. [Error.Reason] says why, in here only.
	ErrInvalid = errors.New("auth: invalid credential")
	// ErrExpired: what was given was good once. It is an ErrInvalid too.
	ErrExpired error = expiredError{}
	// ErrAmbiguous: more than one credential of the same kind was given, so
	// that two readers of the request could disagree about whose it is. It is
	// an ErrInvalid too.
	ErrAmbiguous error = ambiguousError{}
	// ErrUnavailable: whether it is good cannot be told at the moment, for the
	// keys or the service that would tell are not to be had.
	ErrUnavailable = errors.New("auth: cannot be checked at the moment")
	// ErrForbidden: the caller is known and may not do this.
	ErrForbidden = errors.New("auth: forbidden")
	// ErrPath: the request's path does not say one thing to every reader: it
	// has dot segments or encoded slashes.
	ErrPath = errors.New("auth: ambiguous path")
)

type (
	expiredError   struct{}
	ambiguousError struct{}
)

func (expiredError) Error() string        { return "auth: expired credential" }
func (expiredError) Is(target error) bool { return target == ErrInvalid }

// CredentialExpired tells the packages that observe a request, which do not import
// this one, why its context was canceled: see internal/reqstate.
func (expiredError) CredentialExpired() {}

func (ambiguousError) Error() string        { return "auth: more than one credential" }
func (ambiguousError) Is(target error) bool { return target == ErrInvalid }

// Error is an error with what the log should know and the client must not.
type Error struct {
	// Cause is one of this package's sentinels; errors.Is finds it.
	Cause error
	// Reason says what is wrong with the credential. It never holds any of it,
	// but may hold what is no secret, such as a key id, quoted and cut short.
	Reason string
	// RetryAfter is, of an ErrUnavailable, how soon to try again. 0: unknown.
	RetryAfter time.Duration
}

func (e *Error) Error() string {
	text := "auth: refused"
	if e.Cause != nil {
		text = e.Cause.Error()
	}
	if e.Reason != "" {
		text += ": " + e.Reason
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// Retryable reports whether the same credential may be good later: that of an
// ErrUnavailable.
func (e *Error) Retryable() bool { return errors.Is(e.Cause, ErrUnavailable) }

// RetryDelay is RetryAfter.
func (e *Error) RetryDelay() time.Duration { return e.RetryAfter }

// ForbiddenError is an [ErrForbidden] with what was asked for.
type ForbiddenError struct {
	Subject, Action, Resource string
	// Rule is what decided, such as "roles.trainer.deny[2]"; empty if no rule allows it.
	Rule string
	// Scopes, if not empty, are those that would have allowed it: the client
	// is told them (RFC 6750 §3.1, insufficient_scope).
	Scopes []string
}

func (e *ForbiddenError) Error() string {
	rule := "no rule allows it"
	if e.Rule != "" {
		rule = "by " + audittext.Safe(e.Rule)
	}
	return fmt.Sprintf("auth: forbidden: %q to do %q to %q: %s", audittext.Safe(e.Subject), audittext.Safe(e.Action), audittext.Safe(e.Resource), rule)
}

func (e *ForbiddenError) Unwrap() error { return ErrForbidden }
