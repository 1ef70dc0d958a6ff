package auth

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/ballast-go/ballast/internal/audittext"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// An Auditor is where decisions are written down. The *Logger of package logging
// is one. It must be safe for concurrent use, and what it is told can stand in a
// line as it is: all values are strings of at most 256 bytes that print.
//
//	event              attributes
//	auth.authenticate  reason, remote, request_id: a request that was refused
//	auth.authorize     subject, issuer, method, action, resource, decision (allow,
//	                   deny or error), rule, reason (of an error, or if the
//	                   Authorizer was not asked: no caller, ErrPath), request_id
//
// Empty ones are left out.
type Auditor interface {
	Audit(ctx context.Context, event string, attrs ...slog.Attr)
}

// Audited returns az with each decision told to to: who, what, on which
// resource, whether allowed, by which rule, and the request's id. It panics if
// one of them is nil.
func Audited(az Authorizer, to Auditor) Authorizer {
	if az == nil || to == nil {
		panic("auth: Audited of a nil Authorizer or with a nil Auditor")
	}
	return &audited{az, to}
}

type audited struct {
	az Authorizer
	to Auditor
}

// decider is an Authorizer that can name its rule.
type decider interface {
	Decide(ctx context.Context, p *Principal, action, resource string) (rule string, err error)
}

func (a *audited) Authorize(ctx context.Context, p *Principal, action, resource string) error {
	_, err := a.Decide(ctx, p, action, resource)
	return err
}

// Decide tells of a panic as well, as of an error.
func (a *audited) Decide(ctx context.Context, p *Principal, action, resource string) (rule string, err error) {
	decided := false
	defer func() {
		if decided {
			a.tell(ctx, p, action, resource, rule, err)
		} else {
			a.tell(ctx, p, action, resource, "", errPanicked)
		}
	}()
	rule, err = a.decide(ctx, p, action, resource)
	decided = true
	return rule, err
}

var errPanicked = errors.New("auth: the Authorizer panicked")

func (a *audited) decide(ctx context.Context, p *Principal, action, resource string) (rule string, err error) {
	if resource == "" {
		err = noResource(p, action)
	} else if d, ok := a.az.(decider); ok {
		rule, err = d.Decide(ctx, p, action, resource)
	} else {
		err = a.az.Authorize(ctx, p, action, resource)
	}
	if forbidden, ok := errors.AsType[*ForbiddenError](err); ok && rule == "" {
		rule = forbidden.Rule
	}
	return rule, err
}

func (a *audited) tell(ctx context.Context, p *Principal, action, resource, rule string, err error) {
	decision, reason := "allow", ""
	switch {
	case errors.Is(err, ErrForbidden):
		decision = "deny"
	case errors.Is(err, ErrPath), err == ErrNoCredential:
		decision, reason = "deny", err.Error()
	case err != nil:
		decision, reason = "error", err.Error()
	}
	audit(ctx, a.to, "auth.authorize",
		"subject", p.Subject, "issuer", p.Issuer, "method", p.Method, "action", action, "resource", resource,
		"decision", decision, "rule", rule, "reason", reason)
}

// unasked tells of a request that stopped before az was asked: nobody is known to
// ask about, or the path names no one resource, as in most attempts at another's.
func (a *audited) unasked(ctx context.Context, action, resource string, err error) {
	p, ok := PrincipalFromContext(ctx)
	if !ok {
		p = new(Principal)
	}
	a.tell(ctx, p, action, resource, "", err)
}

// auditRefusal tells to of a request that Middleware does not let through.
func auditRefusal(to Auditor, r *http.Request, err error) {
	audit(r.Context(), to, "auth.authenticate", "reason", err.Error(), "remote", r.RemoteAddr)
}

// audit tells to of event with pairs of names and values, the empty ones left out.
func audit(ctx context.Context, to Auditor, event string, pairs ...string) {
	attrs := make([]slog.Attr, 0, len(pairs)/2+1)
	add := func(name, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(name, audittext.Safe(value)))
		}
	}
	for i := 0; i < len(pairs); i += 2 {
		add(pairs[i], pairs[i+1])
	}
	if s := reqstate.FromContext(ctx); s != nil {
		id, _, _ := s.IDs()
		add("request_id", id)
	}
	to.Audit(ctx, event, attrs...)
}
