package auth

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// forgetful is an observer that allocates nothing.
type forgetful struct{ _ byte }

func (*forgetful) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (*forgetful) Finish(*reqstate.Record)                                   {}

func (o *forgetful) around(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { reqstate.Serve(w, r, next, o) })
}

// blank is a response that costs nothing.
type blank struct{ h http.Header }

func (b *blank) Header() http.Header         { return b.h }
func (b *blank) Write(p []byte) (int, error) { return len(p), nil }
func (b *blank) WriteHeader(int)             {}

// known stands for an Authenticator whose cache has the token.
func known() Authenticator {
	p := &Principal{Subject: "alice", Method: MethodJWT, ExpiresAt: time.Now().Add(time.Hour)}
	return AuthenticatorFunc(func(_ context.Context, c Credentials) (*Principal, error) {
		if c.Token == "" {
			return nil, ErrNoCredential
		}
		return p, nil
	})
}

var leaf = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
	if p, ok := PrincipalFromContext(r.Context()); !ok || p.Subject != "alice" {
		panic("nobody")
	}
})

func withToken() *http.Request {
	r := httptest.NewRequest("GET", "/v1/models/llama", nil)
	r.Header.Set("Authorization", "Bearer "+strings.Repeat("eyJhbGciOiJIUzI1NiIs", 39)[:763])
	return r
}

func TestMiddlewareAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("not counted with the race detector")
		return
	}
	w, r, o := &blank{make(http.Header)}, withToken(), new(forgetful)
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	plain, cookies := Middleware(known(), MiddlewareConfig{}), Middleware(known(), MiddlewareConfig{Cookie: "session"})
	if n := measure(plain(leaf)); n > 2 {
		t.Errorf("alone it allocates %v times, want 2: a context and a request", n)
	}
	if n := measure(o.around(plain(leaf))) - measure(o.around(nothing)); n > 0 {
		t.Errorf("in a chain it allocates %v times, want 0", n)
	}
	r = withToken()
	r.Header["Authorization"][0] = "Basic YWxpY2U6c2VjcmV0"
	r.Header["Cookie"] = []string{"theme=dark; session=abc"}
	if n := measure(o.around(cookies(leaf))) - measure(o.around(nothing)); n > 0 {
		t.Errorf("with a cookie %v times, want 0", n)
	}
}

func TestRequireAllocations(t *testing.T) {
	if raceEnabled {
		t.Log("not counted with the race detector")
		return
	}
	r := httptest.NewRequest("GET", "/v1/models/llama", nil)
	r = r.WithContext(ContextWithPrincipal(r.Context(), &Principal{Subject: "alice"}))
	r.SetPathValue("model", "llama")
	h := Require(all{}, "predict", PathValue("model"))(leaf)
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(nil, r) }); n > 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}

// all allows everything.
type all struct{}

func (all) Authorize(context.Context, *Principal, string, string) error { return nil }

// BenchmarkMiddleware has what a request costs whose 763-byte token is known:
// in-chain minus state, and alone minus bare, without the Authenticator's share.
func BenchmarkMiddleware(b *testing.B) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	own := Middleware(known(), MiddlewareConfig{})
	o := new(forgetful)
	for _, bench := range []struct {
		name string
		h    http.Handler
	}{
		{"bare", nothing},
		{"alone", own(leaf)},
		{"state", o.around(nothing)},
		{"in-chain", o.around(own(leaf))},
		{"end-at-expiry", o.around(Middleware(known(), MiddlewareConfig{EndAtExpiry: true})(leaf))},
	} {
		b.Run(bench.name, func(b *testing.B) {
			w, r := &blank{make(http.Header)}, withToken()
			b.ReportAllocs()
			for b.Loop() {
				bench.h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkRequire(b *testing.B) {
	r := httptest.NewRequest("GET", "/v1/models/llama/versions/3", nil)
	r = r.WithContext(ContextWithPrincipal(r.Context(), &Principal{Subject: "alice"}))
	r.SetPathValue("model", "llama")
	h := Require(all{}, "predict", PathValue("model"))(leaf)
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(nil, r)
	}
}
