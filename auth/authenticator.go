package auth

import (
	"context"
	"crypto/tls"
	"errors"
	"strconv"
	"time"
)

// Credentials is what a request brings to prove who it comes from, before any
// of it has been checked.
type Credentials struct {
	// Token is what follows "Bearer" in the Authorization field, or the value
	// of the configured cookie.
	Token string
	// APIKey is the value of the API key's own field.
	APIKey string
	// TLS is the connection's state; nil without TLS.
	TLS *tls.ConnectionState
	// At is when the request began, by which what expires is judged. Zero means
	// now, which costs a reading of the clock.
	At time.Time

	_ struct{}
}

// Empty reports whether there is nothing to check: no token, no key and no
// client certificate.
func (c Credentials) Empty() bool {
	return c.Token == "" && c.APIKey == "" && (c.TLS == nil || len(c.TLS.PeerCertificates) == 0)
}

// at is At, or now.
func (c *Credentials) at() time.Time {
	if c.At.IsZero() {
		return time.Now()
	}
	return c.At
}

// An Authenticator finds out who a request comes from. It must be safe for
// concurrent use.
type Authenticator interface {
	// Authenticate returns whom c proves, who is never nil without an error.
	// The error is [ErrNoCredential] if c has nothing that this Authenticator
	// reads, [ErrInvalid] if what it has is not good, and [ErrUnavailable] if
	// that cannot be told at the moment.
	Authenticate(ctx context.Context, c Credentials) (*Principal, error)
}

// AuthenticatorFunc is a function as an [Authenticator].
type AuthenticatorFunc func(ctx context.Context, c Credentials) (*Principal, error)

// Authenticate calls f.
func (f AuthenticatorFunc) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	return f(ctx, c)
}

// First returns an Authenticator that asks each in turn. One that answers
// ErrNoCredential passes the question on; any other answer, good or bad, is
// the answer: a bad credential is never saved by another one. If all pass, the
// answer is ErrInvalid if a token or an API key was there that none of them
// reads, and else ErrNoCredential: a certificate is the connection's, and where
// all of a mesh have one, it says nothing of what a request means to bring. A
// First within a First is as good as its members written out. It panics
// without an Authenticator or with a nil one.
func First(authenticators ...Authenticator) Authenticator {
	var f first
	for i, a := range authenticators {
		if fn, ok := a.(AuthenticatorFunc); a == nil || ok && fn == nil {
			panic("auth: First: argument " + strconv.Itoa(i) + " is nil")
		}
		if inner, ok := a.(first); ok {
			f = append(f, inner...) // it would not pass on what its own members do not read
			continue
		}
		f = append(f, a)
	}
	if len(f) == 0 {
		panic("auth: First without an Authenticator")
	}
	return f
}

type first []Authenticator

func (f first) Authenticate(ctx context.Context, c Credentials) (*Principal, error) {
	for _, a := range f {
		p, err := a.Authenticate(ctx, c)
		if err == nil || err != ErrNoCredential && !errors.Is(err, ErrNoCredential) {
			return p, err
		}
	}
	if c.Token == "" && c.APIKey == "" {
		return nil, ErrNoCredential
	}
	return nil, invalid("a credential of a kind that is not accepted")
}

// invalid is an ErrInvalid with a reason for the log.
func invalid(reason string) error { return &Error{Cause: ErrInvalid, Reason: reason} }
