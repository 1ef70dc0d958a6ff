package authbench

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/metrics"
)

// Ours is what the others are compared with.
const Ours = "ballast"

const (
	oursHashed   = "ballast, CacheHashed"
	oursMiss     = "ballast, no cache"
	noMiddleware = "no middleware"
)

// errWrong ends a measurement: something was let through, or was not.
var errWrong = errors.New("another status than expected")

// discard is a response of which only the headers and the status are kept.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func (d *discard) reset() {
	clear(d.header)
	d.status = http.StatusOK
}

// request is what every middleware is given.
func request(authorization ...string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://models.example/v1/completions", http.NoBody)
	if err != nil {
		panic(err) // of a constant
	}
	r.RemoteAddr = "203.0.113.77:41234"
	if len(authorization) > 0 {
		r.Header["Authorization"] = authorization
	}
	return r
}

func nothing(http.ResponseWriter, *http.Request) {}

// ownHTTP is Ballast's middleware with a cache as configured.
func ownHTTP(entries int, hashed bool) func(*issuer) (middleware, error) {
	return func(i *issuer) (middleware, error) {
		v, err := newVerifier(entries, hashed, i)
		if err != nil {
			return nil, err
		}
		return auth.Middleware(v, auth.MiddlewareConfig{}), nil
	}
}

// ownPeers is Ballast as one of them.
func ownPeers() []peer {
	return []peer{
		{Ours, "the token is in the cache", ownHTTP(0, false)},
		{oursHashed, "no token is kept, but its SHA-256", ownHTTP(0, true)},
		{oursMiss, "verified each time, as all below", ownHTTP(-1, false)},
	}
}

func httpName(alg string) string { return "http, " + alg }

// httpTables send one token again and again.
func httpTables(issuers map[string]*issuer) []Table {
	var tables []Table
	for _, alg := range algorithms {
		i := issuers[alg]
		t := Table{Name: httpName(alg), Title: "HTTP middleware, one token, " + alg, Workers: 1, Batch: 16}
		t.Contenders = append(t.Contenders, Contender{Name: noMiddleware, Note: "part of every line", Open: func() (Op, func(), error) {
			return serveToken(i, func(next http.Handler) http.Handler { return next }, http.StatusOK)
		}})
		for _, p := range append(ownPeers(), peers()...) {
			t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
				m, err := p.new(i)
				if err != nil {
					return nil, nil, err
				}
				return serveToken(i, m, http.StatusOK)
			}})
		}
		tables = append(tables, t)
	}
	return tables
}

func serveToken(i *issuer, m middleware, want int) (Op, func(), error) {
	token, err := i.token(0)
	if err != nil {
		return nil, nil, err
	}
	op := serve(m, request("Bearer "+token), want)
	return op, nil, op(0, 1)
}

// serve sends a request again and again, each answer to which must have the
// status.
func serve(m middleware, r *http.Request, want int) Op {
	h, w := m(http.HandlerFunc(nothing)), &discard{header: http.Header{}}
	return func(_, n int) error {
		for range n {
			w.reset()
			h.ServeHTTP(w, r)
			if w.status != want {
				return fmt.Errorf("%w: %d, want %d", errWrong, w.status, want)
			}
		}
		return nil
	}
}

const (
	tableChain   = "chain"
	observer     = "metrics alone"
	chainToken   = "metrics, then a token"
	chainHashed  = "metrics, then a token, CacheHashed"
	chainAPIKey  = "metrics, then an API key"
	apiKeyHeader = "X-API-Key"
)

// chainTable has authentication behind a middleware that observes, as in a
// service: what it adds is the difference.
func chainTable(i *issuer, keys *apiKeys) Table {
	t := Table{Name: tableChain, Title: "Behind package metrics, as in a service", Workers: 1, Batch: 64}
	add := func(name, note string, a func() (auth.Authenticator, error), request func() (*http.Request, error)) {
		t.Contenders = append(t.Contenders, Contender{Name: name, Note: note, Open: func() (Op, func(), error) {
			m, err := metrics.New(metrics.Config{})
			if err != nil {
				return nil, nil, err
			}
			chain := metrics.Middleware(m, metrics.MiddlewareConfig{})
			if a != nil {
				who, err := a()
				if err != nil {
					return nil, nil, err
				}
				outer, inner := chain, auth.Middleware(who, auth.MiddlewareConfig{})
				chain = func(next http.Handler) http.Handler { return outer(inner(next)) }
			}
			r, err := request()
			if err != nil {
				return nil, nil, err
			}
			op := serve(chain, r, http.StatusOK)
			return op, nil, op(0, 1)
		}})
	}
	withToken := func() (*http.Request, error) {
		token, err := i.token(0)
		return request("Bearer " + token), err
	}
	withKey := func() (*http.Request, error) {
		r := request()
		r.Header[http.CanonicalHeaderKey(apiKeyHeader)] = []string{keys.all[len(keys.all)/2]}
		return r, nil
	}
	add(observer, "part of every line", nil, withToken)
	add(chainToken, "in the cache", func() (auth.Authenticator, error) { return newVerifier(0, false, i) }, withToken)
	add(chainHashed, "in the cache", func() (auth.Authenticator, error) { return newVerifier(0, true, i) }, withToken)
	add(chainAPIKey, fmt.Sprintf("one of %s", number(float64(len(keys.all)))), func() (auth.Authenticator, error) { return keys.table, nil }, withKey)
	return t
}
