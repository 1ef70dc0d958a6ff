package main

import (
	"net/http"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/ratelimit"
)

// How many requests a caller may send, and bad credentials an address, in a minute.
const (
	maxRequests = 600
	maxFailures = 20
)

// byCaller is whose budget a request uses. A subject is unique only among those of one
// issuer, and proved in one way.
func byCaller(r *http.Request) string {
	p, ok := auth.PrincipalFromContext(r.Context())
	if !ok {
		return ""
	}
	return p.Method + "\n" + p.Issuer + "\n" + p.Subject
}

// failures turns away addresses that have sent too many bad credentials, before
// theirs are checked. Good ones cost nothing.
type failures struct {
	limiter   *ratelimit.Keyed
	byAddress ratelimit.KeyFunc
}

// admit is an auth.MiddlewareConfig.Admit.
func (f failures) admit(r *http.Request) error {
	d := f.limiter.AllowAt(time.Now(), f.byAddress(r), 0) // looks, and takes nothing
	if d.Remaining > 0 {
		return nil
	}
	d.OK, d.RetryAfter = false, d.ResetAfter-(maxFailures-1)*time.Minute/maxFailures
	return &ratelimit.LimitedError{Decision: d}
}

// failed is an auth.MiddlewareConfig.Failed. It takes one even where nothing is left:
// those that were checked at the same time are debts.
func (f failures) failed(r *http.Request, _ error) {
	_ = f.limiter.Return(r.Context(), f.byAddress(r), -1) // a Keyed never fails
}
