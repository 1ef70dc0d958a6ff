package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
)

type final struct{ error }

func (final) Retryable() bool           { return false }
func (final) RetryDelay() time.Duration { return 0 }

func TestWriteError(t *testing.T) {
	const secret = "10.0.0.1"
	wrap := func(err error) error { return fmt.Errorf("%s: %w", secret, err) }
	caused := func(cause error, after time.Duration) error {
		return wrap(&auth.Error{Cause: cause, Reason: secret, RetryAfter: after})
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	ended, end := context.WithCancelCause(t.Context())
	end(auth.ErrExpired)
	const invalid = `Bearer error="invalid_token"`
	for _, tt := range []struct {
		name      string
		ctx       context.Context
		err       error
		status    int
		reason    string
		challenge string
		least     int // of Retry-After; 0: none
	}{
		{"no credential", nil, wrap(auth.ErrNoCredential), 401, "no-credential", "Bearer", 0},
		{"invalid", nil, caused(auth.ErrInvalid, 0), 401, "invalid-credential", invalid, 0},
		{"expired", nil, caused(auth.ErrExpired, 0), 401, "invalid-credential", invalid, 0},
		{"ambiguous", nil, caused(auth.ErrAmbiguous, 0), 401, "ambiguous-credential", `Bearer error="invalid_request"`, 0},
		{"forbidden", nil, caused(auth.ErrForbidden, 0), 403, "forbidden", "", 0},
		{"forbidden, of whom", nil, wrap(&auth.ForbiddenError{Subject: secret, Rule: secret}), 403, "forbidden", "", 0},
		{"scopes", nil, wrap(&auth.ForbiddenError{Resource: secret, Scopes: []string{"models:predict", "admin"}}), 403, "insufficient-scope",
			`Bearer error="insufficient_scope", scope="models:predict admin"`, 0},
		{"scopes that are none", nil, &auth.ForbiddenError{Scopes: []string{"a\"b", "a b", "", "a\\b", "a\nb", "\x7f", "é", "ok"}}, 403, "insufficient-scope",
			`Bearer error="insufficient_scope", scope="ok"`, 0},
		{"no scope that is one", nil, &auth.ForbiddenError{Scopes: []string{"a b"}}, 403, "forbidden", "", 0},
		{"path", nil, caused(auth.ErrPath, 0), 400, "ambiguous-path", "", 0},
		{"unavailable", nil, caused(auth.ErrUnavailable, 7*time.Second), 503, "auth-unavailable", "", 7},
		{"unavailable for no time", nil, auth.ErrUnavailable, 503, "auth-unavailable", "", 1},
		{"unavailable, for it took too long", nil, errors.Join(auth.ErrUnavailable, context.DeadlineExceeded), 503, "auth-unavailable", "", 1},
		{"transient", nil, wrap(overLimit{errors.New(secret)}), 503, "auth-unavailable", "", 30},
		{"of no use to retry", nil, wrap(final{errors.New(secret)}), 500, "", "", 0},
		{"deadline", nil, wrap(context.DeadlineExceeded), 504, "", "", 0},
		{"gone", gone, wrap(context.Canceled), 499, "", "", 0},
		{"ended at expiry", ended, wrap(context.Canceled), 401, "invalid-credential", invalid, 0},
		{"its cause", ended, context.Cause(ended), 401, "invalid-credential", invalid, 0},
		{"canceled by somebody else", nil, context.Canceled, 500, "", "", 0},
		{"anything", nil, errors.New(secret), 500, "", "", 0},
		{"an Error without a cause", nil, &auth.Error{Reason: secret}, 500, "", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := httptest.NewRequest("GET", "/", nil)
			if tt.ctx != nil {
				r = r.WithContext(tt.ctx)
			}
			w := httptest.NewRecorder()
			auth.WriteError(w, r, tt.err)
			var body struct {
				Status int
				Reason string
			}
			if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
				t.Fatal(err)
			}
			if w.Code != tt.status || body.Status != tt.status || body.Reason != tt.reason {
				t.Errorf("%d, %s; want %d, reason %q", w.Code, w.Body, tt.status, tt.reason)
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/problem+json" {
				t.Errorf("Content-Type %q", ct)
			}
			if got := w.Header().Get("WWW-Authenticate"); got != tt.challenge {
				t.Errorf("challenge %q, want %q", got, tt.challenge)
			}
			if all := fmt.Sprint(w.Header(), w.Body); strings.Contains(all, secret) {
				t.Errorf("the client reads %s", all)
			}
			after, err := strconv.Atoi(w.Header().Get("Retry-After"))
			if tt.least == 0 && err == nil || after < tt.least || after > tt.least+tt.least/4+1 {
				t.Errorf("Retry-After %q, want %d or a little more", w.Header().Get("Retry-After"), tt.least)
			}
		})
	}
}

// A client cannot tell a token that expired from one that never was good.
func TestWriteErrorIsNoOracle(t *testing.T) {
	answer := func(err error) string {
		w := httptest.NewRecorder()
		auth.WriteError(w, httptest.NewRequest("GET", "/", nil), err)
		return fmt.Sprint(w.Code, w.Header(), w.Body)
	}
	want := answer(auth.ErrInvalid)
	for _, err := range []error{
		auth.ErrExpired, &auth.Error{Cause: auth.ErrInvalid, Reason: "signature"}, &auth.Error{Cause: auth.ErrExpired, Reason: "exp"},
	} {
		if got := answer(err); got != want {
			t.Errorf("%v: %s, not %s", err, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, err := range []error{auth.ErrExpired, auth.ErrAmbiguous, &auth.Error{Cause: auth.ErrExpired}} {
		if !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%v is not ErrInvalid", err)
		}
		if errors.Is(err, auth.ErrNoCredential) || errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%v is too much", err)
		}
	}
	e := &auth.Error{Cause: auth.ErrUnavailable, Reason: "no keys", RetryAfter: time.Second}
	if !e.Retryable() || e.RetryDelay() != time.Second || e.Error() != "auth: cannot be checked at the moment: no keys" {
		t.Errorf("%v %v %q", e.Retryable(), e.RetryDelay(), e)
	}
	if (&auth.Error{Cause: auth.ErrInvalid}).Retryable() || (&auth.Error{}).Retryable() {
		t.Error("a bad credential is no better later")
	}
	if got := (&auth.Error{}).Error(); got != "auth: refused" {
		t.Errorf("%q", got)
	}
	for want, f := range map[string]*auth.ForbiddenError{
		`auth: forbidden: "alice" to do "predict" to "llama": no rule allows it`: {Subject: "alice", Action: "predict", Resource: "llama"},
		`auth: forbidden: "a\"b" to do "x" to "y": by roles.trainer.deny[2]`:     {Subject: `a"b`, Action: "x", Resource: "y", Rule: "roles.trainer.deny[2]"},
	} {
		if got := f.Error(); got != want || !errors.Is(f, auth.ErrForbidden) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestCheck(t *testing.T) {
	ctx := auth.ContextWithPrincipal(t.Context(), &auth.Principal{Subject: "alice"})
	for resource, want := range map[string]error{
		"llama": nil, "gpt": auth.ErrForbidden, "": auth.ErrForbidden, "down": auth.ErrUnavailable,
	} {
		if err := auth.Check(ctx, allow("llama"), "predict", resource); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%q: %v, want %v", resource, err, want)
		}
	}
	for _, resource := range []string{"llama", ""} {
		if err := auth.Check(t.Context(), allow("llama"), "predict", resource); err != auth.ErrNoCredential {
			t.Errorf("nobody: %v", err)
		}
	}
	// An Authorizer that allows everything allows no resource that was not found.
	if err := auth.Check(ctx, everything{}, "predict", ""); !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("no resource: %v", err)
	}
}

type everything struct{}

func (everything) Authorize(context.Context, *auth.Principal, string, string) error { return nil }

func TestRequire(t *testing.T) {
	var asked []string
	az := auth.Require(allow("llama"), "predict", func(r *http.Request) string {
		asked = append(asked, r.URL.Path)
		return r.PathValue("model")
	})
	mux := http.NewServeMux()
	mux.Handle("GET /models/{model}", az(greet))
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{AllowAnonymous: true})(mux)
	for _, tt := range []struct {
		path, token string
		status      int
		challenge   string
	}{
		{"/models/llama", "alice", 200, ""},
		{"/models/gpt", "alice", 403, `Bearer error="insufficient_scope", scope="models:predict"`},
		{"/models/down", "alice", 503, ""},
		{"/models/llama", "", 401, "Bearer"},
		{"/models/%2e%2e", "alice", 400, ""},
		{"/models/llama%2fx", "", 400, ""},
	} {
		asked = nil
		r := httptest.NewRequest("GET", tt.path, nil)
		if tt.token != "" {
			r.Header.Set("Authorization", "Bearer "+tt.token)
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
			t.Errorf("%s by %q: %d %q", tt.path, tt.token, w.Code, w.Header().Get("WWW-Authenticate"))
		}
		if tt.status == 400 && len(asked) != 0 {
			t.Errorf("the resource of %s was asked for", tt.path)
		}
	}
}
