package ratelimit

import (
	"context"
	"net/http"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// A KeyFunc returns whose budget a request uses, such as [ByClientIP] or a
// function that returns the subject that the request was authenticated as.
// Requests with the same key, the empty one included, share a budget. A key
// made of what the client can choose freely limits nobody.
type KeyFunc func(*http.Request) string

// MiddlewareConfig configures [Middleware].
type MiddlewareConfig struct {
	// Key is required.
	Key KeyFunc

	// Cost is what a request takes: 1 if Cost is nil. 0 exempts the request, a
	// negative cost is an error and answered with 500. It is called before the
	// body is read, and must leave it alone.
	Cost func(*http.Request) int

	// Deny answers a request that is not let through, and must write the
	// answer. err is a *[LimitedError], or what the limiter failed with; the
	// RateLimit fields are set already. nil means [WriteError].
	Deny func(w http.ResponseWriter, r *http.Request, err error)

	_ struct{}
}

// Middleware lets a request through if l has Cost left for Key, and otherwise
// calls Deny. It decides before the body is read, so that one that waits for
// "100 Continue" is never sent, and sets the fields RateLimit and
// RateLimit-Policy on both kinds of answers ([Decision.SetHeaders]).
//
// If l fails, its Decision counts: a request is let through that a limiter
// which fails open allows with an error.
//
// What was taken stays taken, whatever becomes of the request. The
// http.ResponseWriter and the request are passed on as they are. Of two
// Middlewares in a chain the inner one's header fields reach the client: use
// [All] for several limits.
//
// It panics if l or Key is nil, when the chain is built.
func Middleware(l Limiter, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if l == nil {
		panic("ratelimit: Middleware of a nil Limiter")
	}
	if cfg.Key == nil {
		panic("ratelimit: MiddlewareConfig.Key is nil")
	}
	if cfg.Deny == nil {
		cfg.Deny = WriteError
	}
	m := &middleware{l, cfg, new(policies)}
	return func(next http.Handler) http.Handler { return &handler{m, next} }
}

type middleware struct {
	l     Limiter
	cfg   MiddlewareConfig
	known *policies
}

// A handler has a decision off its stack before it passes the request on: a stream
// holds that for as long as it is open.
type handler struct {
	*middleware
	next http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if h.admits(w, r) {
		h.next.ServeHTTP(w, r)
	}
}

// admits has answered a request that it does not let through.
func (m *middleware) admits(w http.ResponseWriter, r *http.Request) bool {
	n := 1
	if m.cfg.Cost != nil {
		n = m.cfg.Cost(r)
	}
	d, err := admit(r.Context(), m.l, m.cfg.Key(r), n)
	if d.hasLimit() {
		d.setHeaders(w.Header(), m.known.of(d.Limit, d.Rule))
	}
	if d.OK {
		return true
	}
	if err == nil {
		err = &LimitedError{d}
	}
	m.cfg.Deny(w, r, err)
	return false
}

// admit asks l, and spares a Keyed the clock when an observer further out has
// read it for this request. What All makes it does not: to give back what a rule
// took that must know when it did.
func admit(ctx context.Context, l Limiter, key string, n int) (Decision, error) {
	if k, ok := l.(*Keyed); ok && n >= 0 {
		if start := reqstate.FromContext(ctx).Start(); !start.IsZero() {
			return k.AllowAt(start, key, n), nil
		}
	}
	return l.AllowN(ctx, key, n)
}
