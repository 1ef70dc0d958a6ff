package stackbench

import (
	"net/http"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/tracing"
)

// Ours is what the others are compared with.
const Ours = "ballast"

// own is Ballast's stack, of which one request in a hundred is traced.
func own(w world) (stack, func(), error) { return ownTraced(w, sampled) }

// ownTraced is Ballast's stack in the order that its packages document.
func ownTraced(w world, ratio float64) (st stack, closeIt func(), err error) {
	l, err := logging.New(logging.Config{Output: w.logs, Name: "stack"})
	if err != nil {
		return st, nil, err
	}
	st.recovery = logging.Recover(l)
	st.logs = logging.Middleware(l, logging.MiddlewareConfig{})
	m, err := metrics.New(metrics.Config{})
	if err != nil {
		return st, nil, err
	}
	st.series = metrics.Middleware(m, metrics.MiddlewareConfig{})
	if w.probe != nil {
		w.probe.series = scrape(m.Handler())
	}
	v, err := newVerifier(w.signer)
	if err != nil {
		return st, nil, err
	}
	st.identity = auth.Middleware(v, auth.MiddlewareConfig{})
	k, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.Limit{Rate: perSecond, Burst: burst}, MaxKeys: 1 << 10})
	if err != nil {
		return st, nil, err
	}
	st.limits = ratelimit.Middleware(k, ratelimit.MiddlewareConfig{Key: bySubject})
	b, err := breaker.New(breaker.Config{Name: "model"})
	if err != nil {
		return st, nil, err
	}
	st.circuit = breaker.Middleware(b, breaker.MiddlewareConfig{})
	tp, closeIt := provider(w, ratio)
	st.traces = tracing.Middleware(tp, tracing.MiddlewareConfig{})
	return st, closeIt, nil
}

// newVerifier keeps what it has verified.
func newVerifier(s *signer) (*authjwt.Verifier, error) {
	set, err := authjwt.NewKeySet(authjwt.Key{ID: keyID, Algorithm: "HS256", Key: s.secret})
	if err != nil {
		return nil, err
	}
	return authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{Issuers: []string{issuer}, Audiences: []string{audience}, Keys: set}}})
}

// bySubject is whose budget a request uses.
func bySubject(r *http.Request) string {
	if p, ok := auth.PrincipalFromContext(r.Context()); ok {
		return p.Subject
	}
	return ""
}
