package auth

import (
	"context"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// Principal is who a request comes from, whatever it was proved with. One
// Principal may serve many requests at the same time: neither it nor what it
// holds may be changed.
type Principal struct {
	// Subject names the caller within Issuer: a token's sub, an API key's
	// owner, a SPIFFE ID or distinguished name, a Kubernetes user name.
	Subject string
	// Issuer is who vouches for Subject: a token's iss, a SPIFFE trust domain.
	// Empty for API keys.
	Issuer string
	// Method is how it was proved: [MethodJWT], [MethodAPIKey], [MethodMTLS] or
	// [MethodKubernetes], or a name of an Authenticator of the user's own.
	Method string
	// Roles and Scopes are what an [Authorizer] decides by.
	Roles, Scopes []string
	// Claims is what else is known: all claims of a token as encoding/json
	// decodes them into an any. It may be nil.
	Claims map[string]any
	// ExpiresAt is when the credential ends. Zero means never.
	ExpiresAt time.Time
}

// Values of Principal.Method.
const (
	MethodJWT        = "jwt"
	MethodAPIKey     = "api-key"
	MethodMTLS       = "mtls"
	MethodKubernetes = "kubernetes"
)

// ContextWithPrincipal returns a context whose requests come from p. A nil p
// means nobody: [PrincipalFromContext] then reports false.
func ContextWithPrincipal(ctx context.Context, p *Principal) context.Context {
	return context.WithValue(ctx, reqstate.PrincipalKey{}, p)
}

// PrincipalFromContext returns who the request of ctx comes from, and whether
// that is known. The innermost [Middleware], or ContextWithPrincipal, counts.
func PrincipalFromContext(ctx context.Context) (*Principal, bool) {
	p, _ := ctx.Value(reqstate.PrincipalKey{}).(*Principal)
	return p, p != nil
}
