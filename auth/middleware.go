package auth

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/bearer"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// MiddlewareConfig configures [Middleware].
type MiddlewareConfig struct {
	// Realm is named in challenges (RFC 9110 §11.5). Empty: none.
	Realm string
	// APIKeyHeader is the field that carries an API key. Empty: X-API-Key.
	APIKeyHeader string
	// Cookie names a cookie that carries a bearer token. Empty: cookies are not
	// read. With it, requests that change something, and WebSocket handshakes, are
	// refused with an [ErrForbidden] if a browser sends them for another origin.
	Cookie string
	// CrossOrigin says which other origins a Cookie is good for. nil: none.
	CrossOrigin *http.CrossOriginProtection
	// AllowAnonymous lets requests without a credential through, without a
	// principal. Bad ones are refused all the same.
	AllowAnonymous bool
	// EndAtExpiry cancels the request's context when the credential expires,
	// with the cause [ErrExpired]: for long streams. It costs a timer a request. No
	// leeway is given, and so a credential that is past its end is refused.
	EndAtExpiry bool
	// Admit is asked before a credential is checked, and Failed told after it
	// was found bad: together they limit failed attempts by caller. Its error, which
	// means that the caller is over a limit, goes to Deny. nil: no limit. With package
	// ratelimit, Admit looks at what AllowN of 0 says remains, and Failed takes one by
	// Return of -1: see examples/auth/limits.go.
	Admit  func(*http.Request) error
	Failed func(*http.Request, error)
	// Audit is told of each request that is refused. nil: nobody.
	Audit Auditor
	// Deny answers a request that does not get through, and must write the answer.
	// nil: [WriteError], with Realm.
	Deny func(w http.ResponseWriter, r *http.Request, err error)

	_ struct{}
}

// Middleware finds out who a request comes from before its body is read, and
// refuses it if that is not known. [PrincipalFromContext] tells handlers.
//
// A credential is what follows "Bearer" in the Authorization field, the API key's
// field, the client certificate and, only if asked for, a cookie; never the query,
// nor what a proxy says of a certificate. Two of one kind are refused as
// [ErrAmbiguous], and so are a bearer token and a Cookie.
//
// A handler that gives up because EndAtExpiry has canceled its context should
// answer with [WriteError] of context.Cause, if it has not begun to: net/http
// sends an empty 200 for one that writes nothing.
//
// It panics, when the chain is built, if a is nil, if Realm has control
// characters, or if APIKeyHeader or Cookie cannot be such a name.
func Middleware(a Authenticator, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if a == nil {
		panic("auth: Middleware of a nil Authenticator")
	}
	realm := quoteRealm(cfg.Realm)
	if cfg.APIKeyHeader == "" {
		cfg.APIKeyHeader = "X-API-Key"
	}
	cfg.APIKeyHeader = http.CanonicalHeaderKey(cfg.APIKeyHeader)
	switch cfg.APIKeyHeader {
	case "Authorization", "Cookie":
		panic("auth: MiddlewareConfig.APIKeyHeader has another meaning: " + cfg.APIKeyHeader)
	}
	if !bearer.IsToken(cfg.APIKeyHeader) {
		panic("auth: MiddlewareConfig.APIKeyHeader is not the name of a field")
	}
	if cfg.Cookie != "" && !bearer.IsToken(cfg.Cookie) {
		panic("auth: MiddlewareConfig.Cookie is not the name of a cookie")
	}
	if cfg.CrossOrigin == nil {
		cfg.CrossOrigin = new(http.CrossOriginProtection)
	}
	if cfg.Deny == nil {
		cfg.Deny = func(w http.ResponseWriter, r *http.Request, err error) { writeError(w, r, err, realm) }
	}
	m := &middleware{a, cfg}
	return func(next http.Handler) http.Handler { return &handler{m, next} }
}

type middleware struct {
	a   Authenticator
	cfg MiddlewareConfig
}

// A handler is no closure, and leaves to others what few requests need, so that it
// takes little stack: a stream holds that for as long as it is open.
type handler struct {
	*middleware
	next http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// Only the request's own state: an in-process sub-request may come hours later,
	// with a credential that was good at the start.
	s := reqstate.Of(r)
	p, err := h.identify(r, s.Start())
	if err != nil {
		h.refuse(w, r, err)
		return
	}
	ctx := withPrincipal(r.Context(), s, p)
	if ends := h.cfg.EndAtExpiry && p != nil && !p.ExpiresAt.IsZero(); ends || ctx != r.Context() {
		h.serveIn(ctx, w, r, p, ends)
		return
	}
	h.next.ServeHTTP(w, r)
}

// serveIn passes on a copy of the request, in ctx; ends says that p's credential
// does.
func (h *handler) serveIn(ctx context.Context, w http.ResponseWriter, r *http.Request, p *Principal, ends bool) {
	if ends {
		var end func()
		ctx, end = endAt(ctx, p.ExpiresAt)
		defer end()
	}
	inner := r.WithContext(ctx)
	defer carry(inner, r)
	h.next.ServeHTTP(w, inner)
}

func (m *middleware) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if m.cfg.Failed != nil && errors.Is(err, ErrInvalid) && !isLimited(err) {
		m.cfg.Failed(r, err)
	}
	if m.cfg.Audit != nil {
		auditRefusal(m.cfg.Audit, r, err)
	}
	m.cfg.Deny(w, r, err)
}

// identify returns whom r comes from: nil for nobody, if that is allowed.
func (m *middleware) identify(r *http.Request, at time.Time) (*Principal, error) {
	c, err := m.read(r)
	if m.cfg.Admit != nil && (err != nil || !c.Empty()) {
		if refused := m.cfg.Admit(r); refused != nil {
			return nil, admitError{refused}
		}
	}
	if err != nil {
		return nil, err
	}
	c.At = at
	p, err := m.a.Authenticate(r.Context(), c)
	switch {
	case err == nil && p == nil:
		return nil, errNobody
	case err == nil:
		if m.cfg.EndAtExpiry && !p.ExpiresAt.IsZero() && !p.ExpiresAt.After(time.Now()) {
			return nil, ErrExpired
		}
		return p, nil
	case !errors.Is(err, ErrNoCredential):
		return nil, err
	case c.Token != "" || c.APIKey != "":
		return nil, invalid("of a kind that is not accepted")
	case m.cfg.AllowAnonymous:
		return nil, nil
	}
	return nil, err
}

var errNobody = errors.New("auth: the Authenticator returned neither a principal nor an error")

// admitError is what Admit has refused with.
type admitError struct{ error }

func (e admitError) Unwrap() error { return e.error }

func isLimited(err error) bool {
	_, limited := errors.AsType[admitError](err)
	return limited
}

// read returns r's credentials.
func (m *middleware) read(r *http.Request) (c Credentials, err error) {
	c.TLS = r.TLS
	switch fields := r.Header["Authorization"]; {
	case len(fields) > 1:
		return c, ambiguous("several Authorization fields")
	case len(fields) == 1:
		token, reason := bearer.Token(fields[0])
		if reason != "" {
			return c, invalid(reason)
		}
		c.Token = token
	}
	switch fields := r.Header[m.cfg.APIKeyHeader]; {
	case len(fields) > 1:
		return c, ambiguous("several API key fields")
	case len(fields) == 1:
		if reason := bearer.Malformed(fields[0], bearer.MalformedKey); reason != "" {
			return c, invalid(reason)
		}
		c.APIKey = fields[0]
	}
	if m.cfg.Cookie != "" {
		err = m.readCookie(r, &c)
	}
	return c, err
}

func (m *middleware) readCookie(r *http.Request, c *Credentials) error {
	value, err := cookieValue(r.Header, m.cfg.Cookie)
	if err != nil || value == "" {
		return err
	}
	if c.Token != "" {
		return ambiguous("a bearer token and a cookie")
	}
	c.Token = value
	if len(r.Header["Upgrade"]) > 0 {
		// A WebSocket's handshake is a GET, with which anything may begin.
		unsafe := *r
		unsafe.Method = http.MethodPost
		r = &unsafe
	}
	if m.cfg.CrossOrigin.Check(r) != nil {
		return &Error{Cause: ErrForbidden, Reason: "a cookie, from another origin"}
	}
	return nil
}

// withPrincipal returns a context whose requests come from p: ctx itself if s, the
// request's state, has room for p, or if there is nobody to hide.
func withPrincipal(ctx context.Context, s *reqstate.State, p *Principal) context.Context {
	subject := ""
	if p != nil {
		subject = p.Subject
	}
	if s != nil && s.SetPrincipal(p, subject) {
		return ctx
	}
	if p == nil {
		if _, known := PrincipalFromContext(ctx); !known {
			return ctx
		}
	} else if s := reqstate.FromContext(ctx); s != nil {
		s.SetSubject(subject)
	}
	return ContextWithPrincipal(ctx, p)
}

// endAt returns ctx with an end at t, and what frees its timer. It is canceled and
// has no deadline, because what a caller's end cuts off says nothing of the service
// behind, as a deadline that it did not meet would: see package breaker. Observers
// further out, who do not see the cause, are told.
func endAt(ctx context.Context, t time.Time) (context.Context, func()) {
	s := reqstate.FromContext(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Until(t), func() {
		if s != nil {
			s.SetExpired()
		}
		cancel(ErrExpired)
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// carry makes what the mux and the handler left in a copy of the request known
// to the request itself: middlewares outside look for the pattern, and the
// server removes the temporary files of the form it finds here.
func carry(from, to *http.Request) {
	if from.Pattern != "" {
		to.Pattern = from.Pattern
	}
	if to.MultipartForm == nil {
		to.MultipartForm = from.MultipartForm
	}
}
