package authjwt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// Verifier is an [auth.Authenticator] for JSON Web Tokens. Its methods are safe
// for concurrent use.
type Verifier struct {
	trusts      []*trust
	sources     []KeySource // of the trusts, each once
	leeway      time.Duration
	maxToken    int
	ttl         time.Duration
	revocations Revocations
	cache       *cache // nil: none, which it may be called on
	headers     headers
	boxes       *boxes

	verified, refused, unavailable atomic.Uint64
}

// New returns a Verifier for the tokens of those that cfg trusts.
func New(cfg Config) (*Verifier, error) {
	v := &Verifier{revocations: cfg.Revocations, boxes: newBoxes()}
	var errs []error
	if len(cfg.Trust) == 0 {
		errs = append(errs, errors.New("authjwt: Config.Trust is empty"))
	}
	for i, t := range cfg.Trust {
		checked, err := newTrust(t, fmt.Sprintf("Config.Trust[%d]", i))
		v.trusts, errs = append(v.trusts, checked), append(errs, err)
	}
	if cfg.Revocations != nil && isNil(cfg.Revocations) {
		errs = append(errs, fmt.Errorf("authjwt: Config.Revocations is a nil %T", cfg.Revocations))
	}
	// within returns x, or what 0 means, and notes one out of bounds.
	within := func(field string, x, zero, low, high int64, show func(int64) any) int64 {
		if x == 0 {
			return zero
		}
		if x < low || x > high {
			errs = append(errs, fmt.Errorf("authjwt: Config.%s is %v, not within %v and %v", field, show(x), show(low), show(high)))
		}
		return x
	}
	span := func(n int64) any { return time.Duration(n) }
	number := func(n int64) any { return n }
	v.leeway = time.Duration(within("Leeway", max(-1, int64(cfg.Leeway)), int64(10*time.Second), -1, int64(time.Minute), span))
	v.leeway = max(0, v.leeway)
	v.ttl = time.Duration(within("CacheTTL", int64(cfg.CacheTTL), int64(5*time.Minute), 1, int64(maxAge), span))
	v.maxToken = int(within("MaxTokenBytes", int64(cfg.MaxTokenBytes), maxToken, 1, maxToken, number))
	entries := within("CacheEntries", max(-1, int64(cfg.CacheEntries)), 16384, -1, 1<<24, number)
	size := within("CacheBytes", cfg.CacheBytes, 64<<20, 1<<16, 1<<40, number)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	v.sources = sourcesOf(v.trusts)
	if entries > 0 {
		v.cache = newCache(int(entries), size, cfg.CacheHashed)
	}
	return v, nil
}

// Authenticate returns whom c's token proves.
//
// A token that is no compact JWS, and no token, is an [auth.ErrNoCredential];
// one that is not good or too long, dots or not, an [auth.ErrInvalid], or
// [auth.ErrExpired], which is one too; [auth.ErrUnavailable] means that
// the keys are not to be had. ctx bounds how long it waits for keys; its error is
// returned as it is.
func (v *Verifier) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	if c.Token == "" {
		return nil, auth.ErrNoCredential
	}
	if len(c.Token) > v.maxToken {
		v.refused.Add(1)
		return nil, invalid(errLong.Error())
	}
	at := c.At
	if at.IsZero() {
		at = time.Now()
	}
	if e := v.cache.get(c.Token); e != nil && e.holds(at.UnixNano()) {
		if revision := v.revision(); e.revision.Load() != revision && v.revokes(e, revision) {
			v.refused.Add(1)
			return nil, errRevoked
		}
		return e.p, nil
	}
	if !compact(c.Token) {
		return nil, auth.ErrNoCredential
	}
	p, err := v.verify(ctx, c.Token, at)
	v.count(err)
	return p, err
}

// holds reports whether e is as good as verifying its token again, but for
// revocations: the keys are those that have verified it.
func (e *entry) holds(now int64) bool {
	return now < e.until && now >= e.since && e.keys == e.trust.source.KeySet()
}

// revokes asks the revocations about e's token again, for they have changed since
// it was last asked: a signature need not be verified again because of that.
// revision is what they were at before the question.
func (v *Verifier) revokes(e *entry, revision uint64) bool {
	if v.revocations.Revoked(e.p) {
		return true
	}
	e.revision.Store(revision)
	return false
}

func (v *Verifier) revision() uint64 {
	if v.revocations == nil {
		return 0
	}
	return v.revocations.Generation()
}

// scratch is what verifying needs for a moment.
type scratch struct {
	attempt attempt
	sig     [1024]byte // of an RSA key of 8192 bits
	payload [maxToken]byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// free gives s back, with nothing in it that it would keep alive.
func (s *scratch) free() {
	s.attempt = attempt{}
	scratches.Put(s)
}

// verify checks a token that is not in the cache, and puts it there.
func (v *Verifier) verify(ctx context.Context, s string, at time.Time) (*auth.Principal, error) {
	t, err := split(s)
	if err != nil {
		return nil, invalid(err.Error())
	}
	h, err := v.headers.get(t.header)
	if err != nil {
		return nil, invalid(err.Error())
	}
	buf := scratches.Get().(*scratch)
	defer buf.free()
	if len(t.sig) > strict.EncodedLen(len(buf.sig)) {
		return nil, invalid("a signature longer than any")
	}
	sig, err := decode(buf.sig[:0], t.sig)
	if err != nil {
		return nil, invalid(err.Error())
	}
	a := &buf.attempt
	*a = attempt{v: v, h: h, t: t, sig: sig, at: at, buf: buf, revision: v.revision()}
	p, err := a.known()
	if errors.Is(err, errUnknownKey) {
		p, err = a.fetched(ctx)
	}
	if err != nil {
		return nil, err
	}
	v.headers.keep(h)
	return p, nil
}

// count keeps the Stats.
func (v *Verifier) count(err error) {
	switch {
	case err == nil:
		v.verified.Add(1)
	case errors.Is(err, auth.ErrInvalid):
		v.refused.Add(1)
	default:
		v.unavailable.Add(1)
	}
}

// errUnknownKey means that the token may be good by a key that is not there yet.
var errUnknownKey = errors.New("authjwt: unknown key")

// attempt is the verification of one token.
type attempt struct {
	v        *Verifier
	h        *header
	t        token
	sig      []byte
	at       time.Time
	buf      *scratch
	revision uint64
	claims   map[string]any // once a signature was good
	last     *KeySet        // the last one of which a key was good; nil: none
	bad      []*KeySet      // those of which none was: trusts may share a set, and a check costs most
	refusal  error          // the most telling one so far
}

// known tries the keys at hand. It returns errUnknownKey if none is good and a
// trust has none of that name. Another one may have: issuers do not agree on names.
// Issuers may also share keys, as Entra's v1 and v2 do: that one of them has the key
// already is no reason to refuse another's token before its own source was asked.
func (a *attempt) known() (*auth.Principal, error) {
	lacking := false
	for _, t := range a.v.trusts {
		set := t.source.KeySet()
		if set == nil {
			lacking = true
			continue
		}
		p, found, err := a.by(t, set)
		if err == nil {
			return p, nil
		}
		if !found && a.h.kid != "" {
			lacking = true
		} else if telling(err) > telling(a.refusal) {
			a.refusal = err
		}
	}
	if lacking && (a.last == nil || a.refusal == errIssuer && a.v.trustsIssuer(a.claims)) {
		return nil, errUnknownKey
	}
	return nil, a.refusal
}

// trustsIssuer reports whether claims are those of an issuer that v trusts.
func (v *Verifier) trustsIssuer(claims map[string]any) bool {
	return slices.ContainsFunc(v.trusts, func(t *trust) bool { return t.names(claims) })
}

var (
	errRevoked    = invalid("revoked")
	errNoKey      = invalid("no key for the algorithm, and none is named")
	errKeyPurpose = invalid("an algorithm that the key is not for")
	errBad        = invalid("bad signature")
	errIssuer     = invalid("another issuer")
)

// telling says how much one trust's refusal tells beside the others': that of the
// token's own issuer most.
func telling(err error) int {
	switch err {
	case nil:
		return 0
	case errNoKey, errKeyPurpose:
		return 1
	case errBad:
		return 2
	case errIssuer:
		return 3
	}
	return 4
}

// by verifies the token as one of t's by its keys. known reports whether it has
// a key that the token could be signed by.
func (a *attempt) by(t *trust, set *KeySet) (p *auth.Principal, known bool, err error) {
	keys, known := set.find(a.h.kid, a.h.alg)
	if !known {
		return nil, false, errNoKey
	}
	if len(keys) == 0 || !t.allows(a.h.alg) {
		return nil, true, errKeyPurpose
	}
	if !a.signedBy(set, keys) {
		return nil, true, errBad
	}
	if err := a.decode(); err != nil {
		return nil, true, err
	}
	if !t.names(a.claims) {
		return nil, true, errIssuer
	}
	c := checked{claims: a.claims, boxes: a.v.boxes, now: a.at, leeway: a.v.leeway}
	if p, err = t.principal(a.h.typ, &c); err != nil {
		return nil, true, err
	}
	if a.v.revocations != nil && a.v.revocations.Revoked(p) {
		return nil, true, errRevoked
	}
	a.keep(t, set, p)
	return p, true, nil
}

// signedBy reports whether one of the keys, which are set's, has signed the token.
func (a *attempt) signedBy(set *KeySet, keys []*verifyKey) bool {
	if set == a.last || slices.Contains(a.bad, set) {
		return set == a.last
	}
	for _, k := range keys {
		if k.verify(a.t.signed, a.sig) == nil {
			a.last = set
			return true
		}
	}
	a.bad = append(a.bad, set)
	return false
}

// decode reads the claims, now that their signature is good.
func (a *attempt) decode() error {
	if a.claims != nil {
		return nil
	}
	document, err := decode(a.buf.payload[:0], a.t.payload)
	if err == nil {
		a.claims, err = parseWith(a.v.boxes, document, math.MaxInt)
	}
	if err != nil {
		return invalid(err.Error())
	}
	return nil
}

// keep puts the token into the cache.
func (a *attempt) keep(t *trust, set *KeySet, p *auth.Principal) {
	if a.v.cache == nil {
		return
	}
	now := a.at.UnixNano()
	life := min(p.ExpiresAt.Add(a.v.leeway).Sub(a.at), a.v.ttl)
	if t.maxAge > 0 { // there is an iat, then
		iat, _, _ := timeOf(p.Claims, "iat")
		life = min(life, iat.Add(t.maxAge+a.v.leeway+1).Sub(a.at)) // at which it is not too old yet
	}
	e := &entry{
		p: p, trust: t, keys: set, since: now, until: now + int64(life),
		size: entrySize(a.t, p),
	}
	e.revision.Store(a.revision)
	a.v.cache.put(a.t.whole, e)
}

// quote shows what a token says, which may be anything, in an error.
func quote(s string) string {
	if len(s) > 64 {
		s = s[:64]
	}
	return strconv.QuoteToASCII(s)
}

// Stats is a snapshot of a Verifier's numbers. What the cache answered is not
// counted, but for tokens that were revoked since: it is what the service has
// authenticated less these.
type Stats struct {
	// Verified, Refused and Unavailable are the tokens that were not in the cache
	// and found good, found bad, and not judged for want of keys or time.
	Verified, Refused, Unavailable uint64
}

// Stats returns the numbers so far.
func (v *Verifier) Stats() Stats {
	return Stats{Verified: v.verified.Load(), Refused: v.refused.Load(), Unavailable: v.unavailable.Load()}
}

// verifyCompact returns the payload of a compact JWS that a key of set has
// signed.
func verifyCompact(s string, set *KeySet) (payload []byte, err error) {
	t, err := split(s)
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(t.header)
	if err != nil {
		return nil, err
	}
	sig, err := decode(nil, t.sig)
	if err != nil {
		return nil, err
	}
	keys, _ := set.find(h.kid, h.alg)
	for _, k := range keys {
		if k.verify(t.signed, sig) == nil {
			return decode(nil, t.payload)
		}
	}
	return nil, errUnknownKey
}
