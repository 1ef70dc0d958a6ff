package auth

import "context"

// An Authorizer says whether a principal may do something. It must be safe for
// concurrent use.
//
// One that can also name the rule by which it decides has the method
//
//	Decide(ctx context.Context, p *Principal, action, resource string) (rule string, err error)
//
// which [Audited] then calls in place of Authorize.
type Authorizer interface {
	// Authorize returns nil if p may do action to resource, an [ErrForbidden]
	// if it may not, and an [ErrUnavailable] if that cannot be told at the
	// moment, which counts as no. p is never nil.
	Authorize(ctx context.Context, p *Principal, action, resource string) error
}

// Check asks az whether the caller of ctx may do action to resource. It is for
// handlers that know the resource only after reading the body, such as the
// model that a request names; [WriteError] answers for the error. Without a
// principal in ctx the error is [ErrNoCredential]; an empty resource is
// forbidden, for it was not found.
func Check(ctx context.Context, az Authorizer, action, resource string) error {
	p, known := PrincipalFromContext(ctx)
	a, hears := az.(*audited) // of what its Authorizer is not asked, too
	switch {
	case !known && hears:
		a.unasked(ctx, action, resource, ErrNoCredential)
		return ErrNoCredential
	case !known:
		return ErrNoCredential
	case hears:
		return a.Authorize(ctx, p, action, resource)
	}
	if resource == "" {
		return noResource(p, action)
	}
	return az.Authorize(ctx, p, action, resource)
}

func noResource(p *Principal, action string) error {
	return &ForbiddenError{Subject: p.Subject, Action: action, Rule: "deny: no resource"}
}
