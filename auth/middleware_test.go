package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// A caller is an Authenticator that knows tokens and keys by their names, and
// keeps what it was asked.
type caller struct{ asked []auth.Credentials }

func (c *caller) Authenticate(_ context.Context, cr auth.Credentials) (*auth.Principal, error) {
	c.asked = append(c.asked, cr)
	name := cr.Token
	if name == "" {
		name = cr.APIKey
	}
	switch name {
	case "":
		return nil, auth.ErrNoCredential
	case "bad":
		return nil, &auth.Error{Cause: auth.ErrInvalid, Reason: "secret reason"}
	case "old":
		return nil, auth.ErrExpired
	case "down":
		return nil, &auth.Error{Cause: auth.ErrUnavailable, RetryAfter: 7 * time.Second}
	case "foreign":
		return nil, auth.ErrNoCredential
	case "broken":
		return nil, errors.New("internal text")
	case "nil":
		return nil, nil
	}
	return &auth.Principal{Subject: name, Method: auth.MethodJWT}, nil
}

// greet answers with the caller's subject.
var greet = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	p, ok := auth.PrincipalFromContext(r.Context())
	if !ok {
		fmt.Fprint(w, "nobody")
		return
	}
	fmt.Fprint(w, p.Subject)
})

func do(h http.Handler, fields ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", "/", nil)
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewareCredentials(t *testing.T) {
	const (
		none      = `Bearer realm="models"`
		invalid   = none + `, error="invalid_token"`
		ambiguous = none + `, error="invalid_request"`
	)
	long := strings.Repeat("a", 16<<10)
	for _, tt := range []struct {
		name      string
		fields    []string
		status    int
		body      string
		challenge string
	}{
		{"nothing", nil, 401, "", none},
		{"bearer", []string{"Authorization", "Bearer alice"}, 200, "alice", ""},
		{"scheme in another case", []string{"Authorization", "bEARER alice"}, 200, "alice", ""},
		{"several spaces", []string{"Authorization", "Bearer   alice"}, 200, "alice", ""},
		{"as long as may be", []string{"Authorization", "Bearer " + long}, 200, long, ""},
		{"longer", []string{"Authorization", "Bearer a" + long}, 401, "", invalid},
		{"key", []string{"X-Api-Key", "bob"}, 200, "bob", ""},
		{"key and token", []string{"X-Api-Key", "bob", "Authorization", "Bearer alice"}, 200, "alice", ""},
		{"Basic", []string{"Authorization", "Basic YWxpY2U6c2VjcmV0"}, 401, "", none},
		{"Basic and a key", []string{"Authorization", "Basic YWxpY2U6c2VjcmV0", "X-Api-Key", "bob"}, 200, "bob", ""},
		{"scheme that begins like it", []string{"Authorization", "BearerX alice"}, 401, "", none},
		{"cookie that nobody asked for", []string{"Cookie", "session=alice"}, 401, "", none},
		{"query", []string{"X-Original-Url", "/?access_token=alice"}, 401, "", none},
		{"certificate by a proxy's word", []string{"X-Forwarded-Client-Cert", "Subject=\"CN=alice\""}, 401, "", none},

		{"empty field", []string{"Authorization", ""}, 401, "", invalid},
		{"scheme alone", []string{"Authorization", "Bearer"}, 401, "", invalid},
		{"empty token", []string{"Authorization", "Bearer  "}, 401, "", invalid},
		{"two words", []string{"Authorization", "Bearer alice bob"}, 401, "", invalid},
		{"space behind", []string{"Authorization", "Bearer alice "}, 401, "", invalid},
		{"space in front", []string{"Authorization", " Bearer alice"}, 401, "", invalid},
		{"tab", []string{"Authorization", "Bearer\talice"}, 401, "", invalid},
		{"two fields in one", []string{"Authorization", "Bearer alice, Bearer bob"}, 401, "", invalid},
		{"comma", []string{"Authorization", "Bearer alice,bob"}, 401, "", invalid},
		{"empty key", []string{"X-Api-Key", ""}, 401, "", invalid},
		{"two keys in one", []string{"X-Api-Key", "bob, alice"}, 401, "", invalid},
		{"long key", []string{"X-Api-Key", "a" + long}, 401, "", invalid},

		{"two tokens", []string{"Authorization", "Bearer alice", "Authorization", "Bearer bob"}, 401, "", ambiguous},
		{"the same twice", []string{"Authorization", "Bearer alice", "Authorization", "Bearer alice"}, 401, "", ambiguous},
		{"with another scheme", []string{"Authorization", "Basic YTpi", "Authorization", "Bearer alice"}, 401, "", ambiguous},
		{"two keys", []string{"X-Api-Key", "alice", "X-Api-Key", "bob"}, 401, "", ambiguous},

		{"bad", []string{"Authorization", "Bearer bad"}, 401, "", invalid},
		{"expired", []string{"Authorization", "Bearer old"}, 401, "", invalid},
		{"of a kind that nobody reads", []string{"Authorization", "Bearer foreign"}, 401, "", invalid},
		{"cannot be checked", []string{"Authorization", "Bearer down"}, 503, "", ""},
		{"broken", []string{"Authorization", "Bearer broken"}, 500, "", ""},
		{"neither principal nor error", []string{"Authorization", "Bearer nil"}, 500, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := auth.Middleware(new(caller), auth.MiddlewareConfig{Realm: "models"})(greet)
			w := do(h, tt.fields...)
			if w.Code != tt.status || w.Header().Get("WWW-Authenticate") != tt.challenge {
				t.Errorf("%d, %q; want %d, %q", w.Code, w.Header()["Www-Authenticate"], tt.status, tt.challenge)
			}
			if tt.status == 200 && w.Body.String() != tt.body {
				t.Errorf("the handler saw %.20q", w.Body)
			}
			if tt.status != 200 && strings.Contains(w.Body.String(), "secret") {
				t.Errorf("the client reads %s", w.Body)
			}
		})
	}
}

// What is wrong in its form never reaches the Authenticator.
func TestMiddlewareFormFirst(t *testing.T) {
	c := new(caller)
	h := auth.Middleware(c, auth.MiddlewareConfig{AllowAnonymous: true})(greet)
	do(h, "Authorization", "Bearer")
	do(h, "Authorization", "Bearer a", "Authorization", "Bearer b")
	do(h, "X-Api-Key", "a,b")
	if len(c.asked) != 0 {
		t.Errorf("asked about %d", len(c.asked))
	}
}

// To be nobody is for those who bring nothing: who brings something bad is refused.
func TestMiddlewareAllowAnonymous(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{AllowAnonymous: true})(greet)
	for token, want := range map[string]int{"bad": 401, "old": 401, "foreign": 401, "down": 503, "": 401, "nil": 500, "alice": 200} {
		if w := do(h, "Authorization", "Bearer "+token); w.Code != want {
			t.Errorf("%q: %d, want %d", token, w.Code, want)
		}
	}
	for _, key := range []string{"bad", "foreign", ""} { // foreign: of a kind that nobody here reads
		if w := do(h, "X-Api-Key", key); w.Code != 401 {
			t.Errorf("API key %q: %d", key, w.Code)
		}
	}
	if w := do(h); w.Code != 200 || w.Body.String() != "nobody" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(h, "Authorization", "Basic YTpi"); w.Code != 200 || w.Body.String() != "nobody" {
		t.Errorf("with another scheme: %d %s", w.Code, w.Body)
	}
}

// The connection's state goes to the Authenticator as it is.
func TestMiddlewarePassesTLS(t *testing.T) {
	c := new(caller)
	r := httptest.NewRequest("GET", "https://a.example/", nil)
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{{}}}
	admitted := 0
	h := auth.Middleware(c, auth.MiddlewareConfig{Admit: func(*http.Request) error { admitted++; return nil }})(greet)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	if len(c.asked) != 1 || c.asked[0].TLS != r.TLS || admitted != 1 {
		t.Errorf("asked %d times, admitted %d", len(c.asked), admitted)
	}
	// A certificate is the connection's: that nobody reads it is no bad credential.
	if got := w.Header().Get("WWW-Authenticate"); w.Code != 401 || got != "Bearer" {
		t.Errorf("%d %q", w.Code, got)
	}
}

func TestMiddlewareOtherAPIKeyHeader(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{APIKeyHeader: "x-model-key"})(greet)
	if w := do(h, "X-Model-Key", "bob"); w.Body.String() != "bob" {
		t.Errorf("%d %s", w.Code, w.Body)
	}
	if w := do(h, "X-Api-Key", "bob"); w.Code != 401 {
		t.Errorf("%d: the default field is still read", w.Code)
	}
}

type overLimit struct{ error }

func (overLimit) Retryable() bool           { return true }
func (overLimit) RetryDelay() time.Duration { return 30 * time.Second }

type atOnce struct{ overLimit }

func (atOnce) RetryDelay() time.Duration { return 0 }

// Admit is asked before anything is checked, and Failed told of bad credentials
// only: not of none, nor of those that could not be checked.
func TestMiddlewareLimitsAttempts(t *testing.T) {
	var admits, fails int
	var refuse error
	c := new(caller)
	var denied []error
	h := auth.Middleware(c, auth.MiddlewareConfig{
		Admit: func(*http.Request) error { admits++; return refuse },
		Failed: func(_ *http.Request, err error) {
			if !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("told of %v", err)
			}
			fails++
		},
		Deny: func(w http.ResponseWriter, r *http.Request, err error) {
			denied = append(denied, err)
			auth.WriteError(w, r, err)
		},
	})(greet)
	for _, token := range []string{"alice", "bad", "old", "down", "broken", "foreign", "", "a,b"} {
		do(h, "Authorization", "Bearer "+token)
	}
	do(h)
	if admits != 8 || fails != 5 {
		t.Errorf("%d admitted, %d failed; want 8, 5", admits, fails)
	}

	c.asked, fails, denied = nil, 0, nil
	limited := overLimit{errors.New("over the limit")}
	for _, tt := range []struct {
		refuse     error
		status     int
		retryAfter bool
	}{
		{limited, 429, true},
		{fmt.Errorf("wrapped: %w", limited), 429, true},
		{atOnce{limited}, 429, true}, // which is in a second
		{errors.New("blocked"), 429, false},
		{auth.ErrInvalid, 401, false},
		{auth.ErrForbidden, 403, false},
		{&auth.Error{Cause: auth.ErrUnavailable}, 503, true},
		{context.DeadlineExceeded, 504, false},
	} {
		refuse = tt.refuse
		w := do(h, "Authorization", "Bearer bad")
		if w.Code != tt.status || (w.Header().Get("Retry-After") != "") != tt.retryAfter {
			t.Errorf("%v: %d, Retry-After %q", refuse, w.Code, w.Header().Get("Retry-After"))
		}
		if err := denied[len(denied)-1]; !errors.Is(err, refuse) {
			t.Errorf("Deny got %v of %v", err, refuse)
		}
	}
	if len(c.asked) != 0 || fails != 0 {
		t.Errorf("%d checked, %d failed though not admitted", len(c.asked), fails)
	}
}

// A panic goes through, and nobody is let in by it.
func TestMiddlewarePanics(t *testing.T) {
	served := false
	h := auth.Middleware(auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
		if c.Token == "exit" {
			runtime.Goexit()
		}
		panic(http.ErrAbortHandler)
	}), auth.MiddlewareConfig{AllowAnonymous: true})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served = true }))
	if v := tryPanic(func() { do(h) }); v != http.ErrAbortHandler {
		t.Errorf("recovered %v", v)
	}
	exited := make(chan bool)
	go func() {
		returned := false
		defer func() { exited <- !returned }()
		do(h, "Authorization", "Bearer exit")
		returned = true
	}()
	if !<-exited || served {
		t.Error("runtime.Goexit did not pass, or the handler ran")
	}
}

func tryPanic(f func()) (v any) {
	defer func() { v = recover() }()
	f()
	return nil
}

func TestMiddlewareConfigPanics(t *testing.T) {
	a := new(caller)
	for name, f := range map[string]func(){
		"nil":           func() { auth.Middleware(nil, auth.MiddlewareConfig{}) },
		"realm":         func() { auth.Middleware(a, auth.MiddlewareConfig{Realm: "a\r\nSet-Cookie: b"}) },
		"realm, DEL":    func() { auth.Middleware(a, auth.MiddlewareConfig{Realm: "a\x7f"}) },
		"field":         func() { auth.Middleware(a, auth.MiddlewareConfig{APIKeyHeader: "a b"}) },
		"Authorization": func() { auth.Middleware(a, auth.MiddlewareConfig{APIKeyHeader: "authorization"}) },
		"Cookie field":  func() { auth.Middleware(a, auth.MiddlewareConfig{APIKeyHeader: "cookie"}) },
		"cookie":        func() { auth.Middleware(a, auth.MiddlewareConfig{Cookie: "a=b"}) },
		"Require":       func() { auth.Require(nil, "predict", auth.PathValue("model")) },
		"no action":     func() { auth.Require(allow("x"), "", auth.PathValue("model")) },
		"no resource":   func() { auth.Require(allow("x"), "predict", nil) },
		"PathValue":     func() { auth.PathValue("") },
		"Audited":       func() { auth.Audited(nil, new(journal)) },
		"no Auditor":    func() { auth.Audited(allow("x"), nil) },
	} {
		if v, ok := tryPanic(f).(string); !ok || !strings.HasPrefix(v, "auth: ") {
			t.Errorf("%s: panicked with %v", name, v)
		}
	}
}

// A realm is quoted (RFC 9110 §5.6.4).
func TestMiddlewareRealm(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{Realm: `the "best" \ models`})(greet)
	if got, want := do(h).Header().Get("WWW-Authenticate"), `Bearer realm="the \"best\" \\ models"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// EndAtExpiry ends a context at the very end of its credential, with a cause by
// which WriteError says so, and frees the timer of those that end before.
func TestMiddlewareEndAtExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		expires := start.Add(time.Minute)
		a := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
			return &auth.Principal{Subject: "alice", ExpiresAt: expires}, nil
		})
		var ctx context.Context
		wait := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx = r.Context()
			if r.URL.Path == "/short" {
				return
			}
			<-ctx.Done()
			auth.WriteError(w, r, ctx.Err())
		})
		for name, outer := range map[string]func(http.Handler) http.Handler{
			"alone":    func(h http.Handler) http.Handler { return h },
			"in chain": new(observer).around,
		} {
			start = time.Now()
			expires = start.Add(time.Minute)
			h := outer(auth.Middleware(a, auth.MiddlewareConfig{EndAtExpiry: true})(wait))
			w := do(h)
			if d := time.Since(start); d != time.Minute || w.Code != 401 || context.Cause(ctx) != auth.ErrExpired || ctx.Err() != context.Canceled {
				t.Errorf("%s: after %v %d, %v", name, d, w.Code, context.Cause(ctx))
			}
			if w.Header().Get("WWW-Authenticate") != `Bearer error="invalid_token"` {
				t.Error(w.Header())
			}
			ctx = nil
			if w := do(h); w.Code != 401 || ctx != nil { // it is past its end now
				t.Errorf("%s: past its end %d, served %v", name, w.Code, ctx != nil)
			}

			expires = time.Now().Add(time.Minute)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/short", nil))
			if context.Cause(ctx) != context.Canceled {
				t.Errorf("%s: %v after the end of the request", name, context.Cause(ctx))
			}
			<-time.After(2 * time.Minute)

			expires = time.Time{} // never
			if _, ok := ctxOf(h); ok {
				t.Errorf("%s: a deadline where there is no end", name)
			}
			expires = time.Now().Add(-time.Second)
			plain := outer(auth.Middleware(a, auth.MiddlewareConfig{})(greet))
			if w := do(plain); w.Code != 200 { // leeway is the Authenticator's affair
				t.Errorf("%s: %d without EndAtExpiry", name, w.Code)
			}
		}
	})
}

// ctxOf returns the deadline of the context that h's "/short" gets.
func ctxOf(h http.Handler) (time.Time, bool) {
	r := httptest.NewRequest("GET", "/short", nil)
	h.ServeHTTP(httptest.NewRecorder(), r)
	return r.Context().Deadline()
}
