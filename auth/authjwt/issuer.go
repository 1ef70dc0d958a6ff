package authjwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// The types of an Issuer's tokens: access tokens are RFC 9068's. The other is one
// that no [Verifier] accepts unless it is told to.
const (
	typeAccess  = "at+jwt"
	typeRefresh = "rt+jwt"
)

// maxTTL bounds how long access tokens live, and maxRefreshTTL sessions.
const (
	maxTTL        = 24 * time.Hour
	maxRefreshTTL = 366 * 24 * time.Hour
)

// IssuerConfig configures [NewIssuer].
type IssuerConfig struct {
	// Issuer is the claim iss, and what a [Trust] for the tokens has in Issuers: by
	// RFC 9068 an https URL. Required.
	Issuer string
	// Audience is the claim aud: the services that the access tokens are for. At
	// least one.
	Audience []string
	// ClientID is the claim client_id of tokens whose MintRequest has none. Empty:
	// Issuer, which RFC 9068 §2.2 leaves to a service that is its own client.
	ClientID string
	// Keys are those that tokens are verified by, of which the first signs. At least
	// one. See [Issuer.Rotate]. Shared secrets and other keys do not mix.
	Keys []SigningKey
	// TTL is how long an access token is good: whole seconds, up to 24 h, and not
	// beyond its session. 0 means 15 min.
	TTL time.Duration
	// RefreshTTL is how long after Mint a session can be refreshed. Refreshing does
	// not make it longer. 0 means 24 h, the most is 366 days; below 0 there are no
	// refresh tokens.
	RefreshTTL time.Duration
	// MaxSessions bounds how many sessions that were refreshed are remembered until they
	// end, of some 200 bytes each: more cannot be refreshed. 0 means 100,000.
	MaxSessions int
	// Reload, if not nil, is asked at each refresh which roles and scopes the subject
	// has by now; an error, such as one that is an auth.ErrInvalid, refuses the
	// refresh and leaves its token good. It must be safe for concurrent use. nil: those of
	// Mint. Scopes that Mint did not give are left out (RFC 6749 §6).
	Reload func(ctx context.Context, subject string) (roles, scopes []string, err error)
	// Revocations, if not nil, also ends sessions: a token of a revoked sid or subject
	// is not refreshed, and a session whose refresh token was stolen is revoked there,
	// so that a [Verifier] with the same list refuses its access tokens, too.
	Revocations *RevocationList

	_ struct{}
}

// Issuer mints access tokens as RFC 9068 describes them, and refreshes them. It is
// for examples and small services, which know their users themselves, and no
// identity provider. It does not know clients either: a refresh token
// is good for whoever has it, once.
//
// What it remembers about sessions is in memory. After a restart, and in another
// process with the same keys, sessions go on, but a refresh token that was used before
// is known for one only after the session has been refreshed there.
//
// Its methods are safe for concurrent use.
type Issuer struct {
	cfg     IssuerConfig
	signing atomic.Pointer[signing]
	verify  *Verifier // of refresh tokens

	mu       sync.Mutex
	sessions ledger[session]
}

// NewIssuer returns an Issuer. All errors of cfg come at once. Its first key signs a test.
func NewIssuer(cfg IssuerConfig) (*Issuer, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authjwt: IssuerConfig."+format, args...))
	}
	if cfg.Issuer == "" || !utf8.ValidString(cfg.Issuer) || strings.ContainsAny(cfg.Issuer, "{}") {
		bad("Issuer is empty, no UTF-8, or has a brace")
	}
	if len(cfg.Audience) == 0 {
		bad("Audience is empty")
	}
	for i, name := range cfg.Audience {
		if name == "" || !utf8.ValidString(name) {
			bad("Audience[%d] is empty or no UTF-8", i)
		}
	}
	if !utf8.ValidString(cfg.ClientID) {
		bad("ClientID is no UTF-8")
	}
	if cfg.TTL != 0 && !goodTTL(cfg.TTL) {
		bad("TTL is %v, not whole seconds within 1s and %v", cfg.TTL, maxTTL)
	}
	if cfg.RefreshTTL > 0 && cfg.RefreshTTL < time.Second || cfg.RefreshTTL > maxRefreshTTL {
		bad("RefreshTTL is %v, not within 1s and %v", cfg.RefreshTTL, maxRefreshTTL)
	}
	if cfg.MaxSessions < 0 {
		bad("MaxSessions is %d", cfg.MaxSessions)
	}
	signing, err := newSigning(cfg.Keys, "IssuerConfig.Keys")
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	i := &Issuer{cfg: cfg, sessions: newLedger[session](cfg.MaxSessions)}
	i.signing.Store(signing)
	i.verify, err = New(Config{
		// Their audience is the issuer alone, so that no other reader takes them for its own.
		Trust:        []Trust{{Issuers: []string{cfg.Issuer}, Audiences: []string{cfg.Issuer}, Types: []string{typeRefresh}, Keys: i.Keys()}},
		CacheEntries: -1, // each is good once
	})
	if err != nil {
		return nil, fmt.Errorf("authjwt: IssuerConfig: %w", err)
	}
	return i, nil
}

// withDefaults fills what was left out. Its lists are its own.
func (cfg IssuerConfig) withDefaults() IssuerConfig {
	if cfg.ClientID == "" {
		cfg.ClientID = cfg.Issuer
	}
	if cfg.TTL == 0 {
		cfg.TTL = 15 * time.Minute
	}
	if cfg.RefreshTTL == 0 {
		cfg.RefreshTTL = 24 * time.Hour
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = 100_000
	}
	cfg.Audience, cfg.Keys = slices.Clone(cfg.Audience), nil
	return cfg
}

func goodTTL(d time.Duration) bool { return d > 0 && d <= maxTTL && d%time.Second == 0 }

// Rotate puts keys in the place of those before: the first signs from now on, and
// tokens by all of them are good. Those by a key that is missing are refused at
// once, which is what to do about a key that was stolen; other services learn of it
// when they fetch the published keys. On an error nothing changes.
//
// A key that is replaced in good time is rotated in three steps, between which others
// have time to fetch what is published: Rotate(old, new) publishes the new key, more
// than five minutes before Rotate(new, old) signs by it, and Rotate(new) drops the old
// one, RefreshTTL after that.
func (i *Issuer) Rotate(keys []SigningKey) error {
	signing, err := newSigning(keys, "keys")
	if err != nil {
		return err
	}
	i.signing.Store(signing)
	return nil
}

// Keys returns the keys that the Issuer's tokens are verified by, for a [Trust] in
// the same process: it follows each Rotate at once.
func (i *Issuer) Keys() KeySource { return issuerKeys{i} }

// issuerKeys is an Issuer as a KeySource.
type issuerKeys struct{ i *Issuer }

func (k issuerKeys) KeySet() *KeySet { return k.i.signing.Load().set }

func (k issuerKeys) Refresh(context.Context, *KeySet, string) (*KeySet, error) {
	return k.KeySet(), nil
}
