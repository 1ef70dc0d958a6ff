package main

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/ratelimit"
)

const (
	// maxAttempts is how many wrong passwords a minute a user may have from one
	// address, and maxFailures how many bad credentials may come from an address.
	// Behind a gateway of many users, see -trusted-proxies.
	maxAttempts = 10
	maxFailures = 60

	maxLogin = 4 << 10 // bytes of a body

	// hashWait is how long a login waits for its turn to hash the password, which
	// takes memory and a core by design.
	hashWait = 2 * time.Second
)

// errWrong is for everybody who cannot log in, whatever the reason.
var errWrong = &badRequest{http.StatusUnauthorized, "The user name or the password is wrong."}

// login answers {"username": …, "password": …} with tokens.
func (a *access) login(w http.ResponseWriter, r *http.Request) {
	var name, password string
	err := decodeTexts(w, r, map[string]*string{"username": &name, "password": &password})
	if err != nil {
		writeProblem(w, err)
		return
	}
	key := a.clientOf(r) + " " + name
	if err := a.admitLogin(r, key); err != nil {
		a.auditLogin(r, name, "over the limit")
		ratelimit.WriteError(w, r, err)
		return
	}
	one, ok, err := a.verify(r, name, password)
	switch {
	case err != nil:
		a.giveBack(r, key)
		auth.WriteError(w, r, err)
	case !ok:
		a.failed(r, auth.ErrInvalid)
		a.auditLogin(r, name, "wrong")
		w.Header().Set("WWW-Authenticate", `Bearer realm="`+realm+`"`)
		writeProblem(w, errWrong)
	default:
		a.giveBack(r, key)
		a.auditLogin(r, name, "")
		tokens, err := a.mint(name, one)
		writeTokens(w, r, tokens, err)
	}
}

// mint begins a session of the user of that name.
func (a *access) mint(name string, one user) (authjwt.Tokens, error) {
	return a.issuer.Mint(authjwt.MintRequest{
		Subject: name, Roles: one.roles, Scopes: one.scopes, Claims: map[string]any{stampClaim: one.stamp},
	})
}

// verify waits for its turn: however many log in, only so many hash.
func (a *access) verify(r *http.Request, name, password string) (user, bool, error) {
	timeout := time.NewTimer(hashWait)
	defer timeout.Stop()
	select {
	case a.hashing <- struct{}{}:
		defer func() { <-a.hashing }()
	case <-timeout.C:
		return user{}, false, &auth.Error{Cause: auth.ErrUnavailable, Reason: "too many log in at a time", RetryAfter: hashWait}
	case <-r.Context().Done():
		return user{}, false, r.Context().Err()
	}
	one, ok := a.users.Load().verify(name, password)
	return one, ok, nil
}

// refresh answers {"refresh_token": …} with new tokens.
func (a *access) refresh(w http.ResponseWriter, r *http.Request) {
	var token string
	if err := decodeTexts(w, r, map[string]*string{"refresh_token": &token}); err != nil {
		writeProblem(w, err)
		return
	}
	if err := a.admit(r); err != nil {
		ratelimit.WriteError(w, r, err)
		return
	}
	tokens, err := a.issuer.Refresh(r.Context(), token)
	if err == nil { // a session of before the password was changed gives tokens that are good for nothing
		_, err = a.tokens.Authenticate(r.Context(), auth.Credentials{Token: tokens.AccessToken})
	}
	if errors.Is(err, auth.ErrInvalid) {
		a.failed(r, err)
		a.audit.Audit(r.Context(), "auth.refresh", slog.String("reason", err.Error()), slog.String("remote", r.RemoteAddr))
	}
	writeTokens(w, r, tokens, err)
}

// logout ends the session of the caller's token: its access tokens and its
// refresh token are good for nothing from now on. API keys have no session.
func (a *access) logout(w http.ResponseWriter, r *http.Request) {
	p, _ := auth.PrincipalFromContext(r.Context())
	session, ok := p.Claims["sid"].(string)
	if p.Method != auth.MethodJWT || !ok {
		writeProblem(w, &badRequest{http.StatusConflict, "This credential has no session that could end."})
		return
	}
	if err := a.revoked.Revoke(session, time.Now().Add(sessionTime)); err != nil {
		a.log.ErrorContext(r.Context(), "a session was not ended", "error", err)
		writeProblem(w, &badRequest{http.StatusInternalServerError, "The session could not be ended."})
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// admitLogin takes an attempt, which whoever logs in gets back: guesses are
// limited, and not the users who share an address.
func (a *access) admitLogin(r *http.Request, key string) error {
	if err := a.admit(r); err != nil {
		return err
	}
	if d := a.attempts.AllowAt(time.Now(), key, 1); !d.OK {
		return &ratelimit.LimitedError{Decision: d}
	}
	return nil
}

func (a *access) giveBack(r *http.Request, key string) { _ = a.attempts.Return(r.Context(), key, 1) }

// admit refuses who has had too many bad credentials.
func (a *access) admit(r *http.Request) error {
	d := a.failures.AllowAt(time.Now(), a.clientOf(r), 0)
	if d.Remaining > 0 {
		return nil
	}
	d.OK, d.RetryAfter = false, time.Minute/maxFailures
	return &ratelimit.LimitedError{Decision: d}
}

// failed counts a bad credential. One that has expired is not, as it was good: a
// client that has not noticed must not keep out those who share its address.
func (a *access) failed(r *http.Request, err error) {
	if !errors.Is(err, auth.ErrExpired) {
		_ = a.failures.Return(r.Context(), a.clientOf(r), -1)
	}
}

// auditLogin writes an attempt down. What is no user's name is left out: it may be
// a password, in the wrong field.
func (a *access) auditLogin(r *http.Request, name, reason string) {
	attrs := []slog.Attr{slog.String("decision", "allow"), slog.String("remote", r.RemoteAddr)}
	if reason != "" {
		attrs = []slog.Attr{slog.String("decision", "deny"), slog.String("reason", reason), slog.String("remote", r.RemoteAddr)}
	}
	if _, known := a.users.Load().byName[name]; known {
		attrs = append(attrs, slog.String("subject", name))
	}
	a.audit.Audit(r.Context(), "auth.login", attrs...)
}

// writeTokens answers as RFC 6749 §5.1 asks, or for err.
func writeTokens(w http.ResponseWriter, r *http.Request, tokens authjwt.Tokens, err error) {
	if err != nil {
		auth.WriteError(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, tokens)
}

// decodeTexts reads a body that is an object of just these members, none of them
// empty. Its errors are of type *badRequest.
func decodeTexts(w http.ResponseWriter, r *http.Request, to map[string]*string) error {
	if err := checkContent(r.Header); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxLogin))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &badRequest{http.StatusRequestEntityTooLarge, "The body is too long."}
	}
	if err == nil {
		err = members(body, func(name string, value json.RawMessage) (err error) {
			if to[name] == nil {
				return errors.New("unknown")
			}
			*to[name], err = text(value)
			return err
		})
	}
	if err != nil {
		return malformed("The body is not the JSON object that is asked for.")
	}
	for _, s := range to {
		if *s == "" {
			return malformed("The body lacks a member.")
		}
	}
	return nil
}
