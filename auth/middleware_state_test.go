package auth_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// An observer stands for the logging and metrics middlewares.
type observer struct {
	w    http.ResponseWriter
	recs []reqstate.Record
}

func (o *observer) Begin(_ *reqstate.State, w http.ResponseWriter, _ *http.Request) { o.w = w }
func (o *observer) Finish(rec *reqstate.Record)                                     { o.recs = append(o.recs, *rec) }

func (o *observer) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

// copies is a foreign middleware that adds a value to the context.
func copies(next http.Handler) http.Handler {
	type key struct{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		inner := r.WithContext(context.WithValue(r.Context(), key{}, 1))
		defer func() { r.Pattern = inner.Pattern }()
		next.ServeHTTP(w, inner)
	})
}

// Observers outside learn who called, the status and the route, whether the request
// was copied or not.
func TestMiddlewareTellsObservers(t *testing.T) {
	plain := func(h http.Handler) http.Handler { return h }
	for name, foreign := range map[string]func(http.Handler) http.Handler{"plain": plain, "foreign": copies} {
		for _, cfg := range []auth.MiddlewareConfig{{}, {EndAtExpiry: true}} {
			var outer, inner observer
			mux := http.NewServeMux()
			mux.Handle("GET /models/{name}", greet)
			a := auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
				if c.Token == "" {
					return nil, auth.ErrNoCredential
				}
				return &auth.Principal{Subject: c.Token, ExpiresAt: time.Now().Add(time.Hour)}, nil
			})
			h := outer.around(foreign(auth.Middleware(a, cfg)(inner.around(mux))))
			r := httptest.NewRequest("GET", "/models/a", nil)
			r.Header.Set("Authorization", "Bearer alice")
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Body.String() != "alice" || outer.w != inner.w || r.Pattern != "GET /models/{name}" {
				t.Errorf("%s: %q, pattern %q", name, w.Body, r.Pattern)
			}
			do(h)
			if len(outer.recs) != 2 || len(inner.recs) != 1 {
				t.Fatalf("%s: %d and %d records", name, len(outer.recs), len(inner.recs))
			}
			if rec := outer.recs[0]; rec.Subject != "alice" || rec.Route != "/models/{name}" || rec.Status != 200 {
				t.Errorf("%s: %q %q %d", name, rec.Subject, rec.Route, rec.Status)
			}
			if rec := outer.recs[1]; rec.Subject != "" || rec.Status != 401 || rec.Refused || rec.Outcome != reqstate.Complete {
				t.Errorf("%s: a refused request is recorded as %+v", name, rec)
			}
		}
	}
}

// Without an observer the pattern is known outside as well, and on a panic too.
func TestMiddlewareCarriesThePattern(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /models/{name}", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	r := httptest.NewRequest("GET", "/models/a", nil)
	r.Header.Set("Authorization", "Bearer alice")
	v := tryPanic(func() {
		auth.Middleware(new(caller), auth.MiddlewareConfig{})(mux).ServeHTTP(httptest.NewRecorder(), r)
	})
	if v != http.ErrAbortHandler || r.Pattern != "GET /models/{name}" {
		t.Errorf("%v, pattern %q", v, r.Pattern)
	}
}

// The form that a handler parses is known outside, too, whether the request was
// copied or not: net/http removes the temporary files of the one that it made.
func TestMiddlewareCarriesTheForm(t *testing.T) {
	for _, outer := range []func(http.Handler) http.Handler{func(h http.Handler) http.Handler { return h }, new(observer).around} {
		var inner *http.Request
		h := outer(auth.Middleware(new(caller), auth.MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1); err != nil {
				t.Error(err)
			}
			inner = r
		})))
		r := httptest.NewRequest("POST", "/", strings.NewReader("--b\r\nContent-Disposition: form-data; name=a\r\n\r\nx\r\n--b--\r\n"))
		r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		r.Header.Set("Authorization", "Bearer alice")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if inner == r || r.MultipartForm == nil || r.MultipartForm != inner.MultipartForm {
			t.Errorf("the form is %p outside and %p inside", r.MultipartForm, inner.MultipartForm)
		}
	}
}

// What EndAtExpiry cuts off is told to observers on either side as that, and to none
// of them as the service's failure.
func TestMiddlewareTellsOfExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var outer, inner, alone observer
		a := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
			return &auth.Principal{Subject: "alice", ExpiresAt: time.Now().Add(time.Minute)}, nil
		})
		identify := auth.Middleware(a, auth.MiddlewareConfig{EndAtExpiry: true})
		cut := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = w.Write([]byte("part"))
			<-r.Context().Done()
			panic(http.ErrAbortHandler)
		})
		for _, h := range []http.Handler{outer.around(copies(identify(copies(inner.around(cut))))), identify(copies(alone.around(cut)))} {
			if v := tryPanic(func() { do(h) }); v != http.ErrAbortHandler {
				t.Errorf("recovered %v", v)
			}
		}
		for _, o := range []observer{outer, inner, alone} {
			if rec := o.recs[0]; rec.Outcome != reqstate.Expired || rec.Status != 401 || rec.Sent != 200 {
				t.Errorf("%v %d", rec.Outcome, rec.Status)
			}
		}
	})
}

// Requests leave no timers behind, though their credentials are good for an hour. The
// runtime itself keeps some of those that were stopped for a while.
func TestMiddlewareEndAtExpiryFreesTimers(t *testing.T) {
	const requests = 200
	var left []weak.Pointer[auth.Principal]
	a := auth.AuthenticatorFunc(func(context.Context, auth.Credentials) (*auth.Principal, error) {
		p := &auth.Principal{Subject: "alice", ExpiresAt: time.Now().Add(time.Hour)}
		left = append(left, weak.Make(p))
		return p, nil
	})
	h := auth.Middleware(a, auth.MiddlewareConfig{EndAtExpiry: true})(greet)
	for range requests {
		do(h)
	}
	runtime.GC()
	kept := 0
	for _, p := range left {
		if p.Value() != nil {
			kept++
		}
	}
	if kept > requests/2 {
		t.Errorf("of %d principals %d are kept", requests, kept)
	}
}

// Requests that a handler makes inside the process, with credentials of their own
// or without, change nothing of whom it sees, and see whom they bring.
func TestMiddlewareNested(t *testing.T) {
	inner := auth.Middleware(new(caller), auth.MiddlewareConfig{AllowAnonymous: true})(greet)
	sub := func(r *http.Request, fields ...string) string {
		r2 := httptest.NewRequestWithContext(r.Context(), "GET", "/", nil)
		for i := 0; i < len(fields); i += 2 {
			r2.Header.Set(fields[i], fields[i+1])
		}
		w := httptest.NewRecorder()
		inner.ServeHTTP(w, r2)
		return w.Body.String()
	}
	outer := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		before, _ := auth.PrincipalFromContext(r.Context())
		for _, want := range []string{"bob", "", "carol", ""} {
			got := ""
			if want == "" {
				want, got = "nobody", sub(r)
			} else {
				got = sub(r, "Authorization", "Bearer "+want)
			}
			if got != want {
				t.Errorf("a sub-request of %q saw %q", want, got)
			}
			if after, _ := auth.PrincipalFromContext(r.Context()); after != before {
				t.Errorf("the outer handler sees %v, not %v", after, before)
			}
		}
		// The same writer and a clone: forwarded, with other credentials.
		r2 := r.Clone(r.Context())
		r2.Header.Set("Authorization", "Bearer dave")
		inner.ServeHTTP(w, r2)
		if after, _ := auth.PrincipalFromContext(r.Context()); after != before {
			t.Errorf("the outer handler sees %v, not %v", after, before)
		}
	})
	anonymous := auth.Middleware(new(caller), auth.MiddlewareConfig{AllowAnonymous: true})(outer)
	for name, h := range map[string]http.Handler{
		"no Middleware outside": outer,
		"with a Middleware":     anonymous,
	} {
		for _, fields := range [][]string{nil, {"Authorization", "Bearer alice"}} {
			var o observer
			if w := do(o.around(h), fields...); w.Body.String() != "dave" {
				t.Errorf("%s: %q", name, w.Body)
			}
			do(h, fields...)
			want := ""
			if name == "with a Middleware" && fields != nil {
				want = "alice"
			}
			if want != "" && o.recs[0].Subject != want {
				t.Errorf("%s: recorded %q", name, o.recs[0].Subject)
			}
		}
	}
}

// Of two Middlewares around one handler the inner one counts, and a principal of
// the server's own context is hidden from one who brings nothing.
func TestMiddlewareTwice(t *testing.T) {
	byKey := auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Subject: c.APIKey}, nil
	})
	keys := auth.Middleware(byKey, auth.MiddlewareConfig{})
	users := auth.Middleware(byKey, auth.MiddlewareConfig{APIKeyHeader: "X-User-Key"})
	tokens := auth.Middleware(auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
		if c.Token == "" {
			return nil, auth.ErrNoCredential
		}
		return &auth.Principal{Subject: c.Token}, nil
	}), auth.MiddlewareConfig{AllowAnonymous: true})
	for _, outer := range []func(http.Handler) http.Handler{new(observer).around, copies} {
		if w := do(outer(keys(tokens(greet))), "X-Api-Key", "gateway", "Authorization", "Bearer alice"); w.Body.String() != "alice" {
			t.Errorf("%q", w.Body)
		}
		// What stands between the two sees whom the outer one let through: here nobody.
		between := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r)
				if p, ok := auth.PrincipalFromContext(r.Context()); ok {
					t.Errorf("the inner Middleware made it %v", p)
				}
			})
		}
		if w := do(outer(tokens(between(users(greet)))), "X-User-Key", "bob"); w.Body.String() != "bob" {
			t.Errorf("%q", w.Body)
		}

		base := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				ctx := auth.ContextWithPrincipal(r.Context(), &auth.Principal{Subject: "server"})
				next.ServeHTTP(w, r.WithContext(ctx))
			})
		}
		for _, h := range []http.Handler{base(outer(tokens(greet))), outer(base(tokens(greet)))} {
			if w := do(h); w.Body.String() != "nobody" {
				t.Errorf("%q", w.Body)
			}
		}
	}
}

// The principal stays for what outlives the request, and a request made after its
// end is one of its own.
func TestMiddlewareAfterTheRequest(t *testing.T) {
	var late *http.Request
	h := new(observer).around(auth.Middleware(new(caller), auth.MiddlewareConfig{})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { late = r })))
	do(h, "Authorization", "Bearer alice")
	if p, ok := auth.PrincipalFromContext(late.Context()); !ok || p.Subject != "alice" {
		t.Error("lost")
	}
	late.Header.Set("Authorization", "Bearer bob")
	w := httptest.NewRecorder()
	auth.Middleware(new(caller), auth.MiddlewareConfig{})(greet).ServeHTTP(w, late)
	if p, _ := auth.PrincipalFromContext(late.Context()); w.Body.String() != "bob" || p.Subject != "alice" {
		t.Errorf("%q, and %v before", w.Body, p)
	}
}

// The time by which a credential is judged is when the request began, but never that
// of a request which was made of it later.
func TestMiddlewareKnowsTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slow := func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				<-time.After(time.Hour)
				next.ServeHTTP(w, r)
			})
		}
		for name, tt := range map[string]struct {
			outer, inner func(http.Handler) http.Handler
			known        bool
		}{
			"in chain":           {new(observer).around, func(h http.Handler) http.Handler { return h }, true},
			"alone":              {func(h http.Handler) http.Handler { return h }, slow, false},
			"of a later request": {new(observer).around, copies, false},
		} {
			c := new(caller)
			start := time.Now()
			do(tt.outer(slow(tt.inner(auth.Middleware(c, auth.MiddlewareConfig{})(greet)))), "Authorization", "Bearer alice")
			if at := c.asked[0].At; at.IsZero() == tt.known || tt.known && !at.Equal(start) {
				t.Errorf("%s: At is %v", name, at)
			}
		}
	})
}

func TestContextWithPrincipal(t *testing.T) {
	if _, ok := auth.PrincipalFromContext(t.Context()); ok {
		t.Error("somebody in an empty context")
	}
	alice := &auth.Principal{Subject: "alice"}
	ctx := auth.ContextWithPrincipal(t.Context(), alice)
	if p, ok := auth.PrincipalFromContext(ctx); !ok || p != alice {
		t.Errorf("%v, %v", p, ok)
	}
	if p, ok := auth.PrincipalFromContext(auth.ContextWithPrincipal(ctx, nil)); ok || p != nil {
		t.Errorf("%v, %v for nobody", p, ok)
	}
}
