package authjwt

import (
	"context"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// Config configures [New].
type Config struct {
	// Trust is whose tokens are accepted. At least one.
	Trust []Trust
	// Leeway is by how much clocks may differ: exp, nbf and iat are judged with
	// it. 0 means 10 s; at most 1 min; below 0 none.
	Leeway time.Duration
	// MaxTokenBytes is the longest token that is looked at. 0 means 16 KiB, which is
	// also the most.
	MaxTokenBytes int
	// CacheEntries and CacheBytes bound the cache of tokens that were found good.
	// 0 means 16384 entries and 64 MiB; at most 2²⁴ and 64 KiB to 1 TiB. The bytes are those
	// of the heap, about. CacheEntries below 0 means no cache.
	CacheEntries int
	CacheBytes   int64
	// CacheTTL is the longest that a token is taken for good without verifying it
	// again. 0 means 5 min; at most 366 days.
	CacheTTL time.Duration
	// CacheHashed keeps SHA-256 sums in memory in the place of the tokens, at the
	// price of computing one a request.
	CacheHashed bool
	// Revocations is asked of each token that is otherwise good. nil: none is revoked.
	Revocations Revocations

	_ struct{}
}

// Trust is an issuer of tokens, and what its tokens must be like.
type Trust struct {
	// Issuers are the values of iss that are accepted, compared byte by byte. At least
	// one; several where a provider writes itself in two ways. One {claim} in it stands for
	// that claim's value: "https://login.microsoftonline.com/{tid}/v2.0" is every tenant
	// of Entra ID. It is not the first part, and the value has none of /?#@: in it; Claims or
	// the Authorizer should then say which are served.
	Issuers []string
	// Audiences are the names of this service, one of which aud must hold.
	Audiences []string
	// ClientIDs are accepted in the claim client_id by tokens without an aud, as
	// those of Amazon Cognito are. One of Audiences and ClientIDs is required.
	ClientIDs []string
	// Keys are the issuer's. Required.
	Keys KeySource
	// Algorithms are accepted besides what each key allows. Empty: what the keys allow.
	Algorithms []string
	// Types are the accepted values of the header's typ, without "application/" and
	// whatever their case; "" accepts a header without one. nil: "JWT", "at+jwt" and "".
	Types []string
	// Claims must each be there with one of the values given: a string, or a list that
	// holds it; "true" and "false" are the booleans, too. Names are as those below.
	// {"token_use": {"access"}} refuses Cognito's ID tokens.
	Claims map[string][]string
	// SubjectClaim, RolesClaims and ScopesClaims say where the Principal's fields
	// come from; a dot leads into an object ("realm_access.roles") or is a part of a name,
	// and of names that are there the longest counts. Defaults: sub; roles and groups; scope
	// and scp.
	SubjectClaim              string
	RolesClaims, ScopesClaims []string
	// MaxAge, if not 0, requires an iat and refuses tokens that are older, by more than
	// the Leeway. At most 366 days.
	MaxAge time.Duration

	_ struct{}
}

// A KeySource holds an issuer's current keys: a *[KeySet] that never changes, a
// [Keyring] that is fed, or a [JWKS] that fetches them.
type KeySource interface {
	// KeySet returns the current keys, at once. A set is never changed: another one
	// takes its place, and what was verified by the old one is verified anew. nil: none yet.
	KeySet() *KeySet
	// Refresh is called if the current set, seen, lacks the key kid. It returns a newer
	// set, waiting for it if need be, or seen itself if there is none. The error, an
	// auth.ErrUnavailable, says that whether there is one cannot be told. Whoever sends
	// made-up kids makes this be called: it must be bounded. It must
	// end soon after ctx has.
	Refresh(ctx context.Context, seen *KeySet, kid string) (*KeySet, error)
}

// Revocations says which tokens are no longer good, though they have not expired.
// It must be safe for concurrent use. [RevocationList] is one.
type Revocations interface {
	// Generation changes whenever Revoked may answer otherwise than before: it must
	// have changed by the time that whoever revokes is told that it is done.
	Generation() uint64
	// Revoked reports whether the token whose claims are p.Claims is revoked.
	Revoked(p *auth.Principal) bool
}
