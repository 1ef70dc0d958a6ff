package authjwt

import (
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// ErrRevocationsFull is the error of a [RevocationList] that has no room for
// another revocation, which was therefore not made.
var ErrRevocationsFull = errors.New("authjwt: the list of revocations is full")

// RevocationListConfig configures [NewRevocationList].
type RevocationListConfig struct {
	// MaxEntries bounds how many revocations are kept, of some 200 bytes each. 0
	// means 100,000.
	MaxEntries int

	_ struct{}
}

// RevocationList is a [Revocations] in memory: of this process, and for as long
// as it runs. Once Revoke or RevokeSubject has returned nil, no [Verifier] that has the
// list accepts such a token in a call that begins then.
//
// A revocation is never forgotten before its time. A list that is full of
// revocations that still matter refuses more of them with [ErrRevocationsFull];
// the caller, who knows what is at stake, must not take that for done: rotate the
// signing keys then, which ends all tokens.
//
// Its methods are safe for concurrent use.
type RevocationList struct {
	generation atomic.Uint64
	limit      int

	mu       sync.RWMutex
	tokens   ledger[struct{}] // by jti or sid
	subjects ledger[int64]    // by issuer and subject: ns since 1970, before which they were issued
}

// NewRevocationList returns a list without revocations.
func NewRevocationList(cfg RevocationListConfig) (*RevocationList, error) {
	if cfg.MaxEntries < 0 {
		return nil, fmt.Errorf("authjwt: RevocationListConfig.MaxEntries is %d", cfg.MaxEntries)
	}
	limit := cfg.MaxEntries
	if limit == 0 {
		limit = 100_000
	}
	return &RevocationList{limit: limit, tokens: newLedger[struct{}](limit), subjects: newLedger[int64](limit)}, nil
}

// Revoke revokes the token whose jti is id, or all tokens whose sid it is: those
// of one session, which is what to call when somebody logs out. until is when the last
// of them has expired; the revocation is kept a minute longer, for as long as a
// Verifier's leeway can be. Zero means that it is kept forever. It returns
// ErrRevocationsFull, or an error if id is empty.
func (l *RevocationList) Revoke(id string, until time.Time) error {
	if id == "" {
		return errors.New("authjwt: Revoke of an empty id")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.makeRoom(now)
	l.tokens.limit = l.limit - len(l.subjects.entries)
	before := len(l.tokens.entries)
	if l.tokens.put(nameOf(id), pastLeeway(until), now.UnixNano()) == nil {
		return ErrRevocationsFull
	}
	// A generation costs each Verifier its cache: none is begun for what is revoked
	// already. Last: whoever sees the new one sees what made it.
	if len(l.tokens.entries) > before {
		l.generation.Add(1)
	}
	return nil
}

// RevokeSubject revokes all tokens of an issuer's subject that were issued (iat)
// before a time, and those that do not say when; or all, those to come too, if
// issuedBefore is zero. As an iat counts whole seconds, one issued in the same
// second after issuedBefore may be among them. until is as for [RevocationList.Revoke].
// A revocation of the same subject that was there before goes on. It returns
// ErrRevocationsFull, or an error if issuer or subject is empty.
func (l *RevocationList) RevokeSubject(issuer, subject string, issuedBefore, until time.Time) error {
	if issuer == "" || subject == "" {
		return errors.New("authjwt: RevokeSubject of an empty issuer or subject")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	l.makeRoom(now)
	l.subjects.limit = l.limit - len(l.tokens.entries)
	before := len(l.subjects.entries)
	d := l.subjects.put(nameOf(issuer, subject), pastLeeway(until), now.UnixNano())
	if d == nil {
		return ErrRevocationsFull
	}
	if since := nanoseconds(issuedBefore); since > d.value || len(l.subjects.entries) > before {
		d.value = since
		l.generation.Add(1)
	}
	return nil
}

// makeRoom drops what has expired, of both kinds, for both have one bound.
func (l *RevocationList) makeRoom(now time.Time) {
	l.tokens.expire(now.UnixNano())
	l.subjects.expire(now.UnixNano())
}

// pastLeeway is until with a Verifier's largest leeway.
func pastLeeway(until time.Time) int64 {
	if until.IsZero() {
		return forever
	}
	return nanoseconds(until.Add(time.Minute))
}

// Len returns how many revocations are kept. Those that have expired are dropped
// when the next one is made.
func (l *RevocationList) Len() int {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return len(l.tokens.entries) + len(l.subjects.entries)
}

// Generation changes with each revocation of what was not revoked before.
func (l *RevocationList) Generation() uint64 { return l.generation.Load() }

// Revoked reports whether p's token is revoked: by its claims jti and sid, or by
// Issuer, Subject and the claim iat. A token without a jti and a sid can be
// revoked by its subject only.
func (l *RevocationList) Revoked(p *auth.Principal) bool {
	// Hashed before the lock is taken, which those who revoke wait for.
	var ids [2]name
	for i, claim := range [...]string{"jti", "sid"} {
		if id, _ := p.Claims[claim].(string); id != "" {
			ids[i] = nameOf(id)
		}
	}
	subject := nameOf(p.Issuer, p.Subject)
	l.mu.RLock()
	defer l.mu.RUnlock()
	if l.tokens.of(ids[0]) != nil || l.tokens.of(ids[1]) != nil {
		return true
	}
	d := l.subjects.of(subject)
	return d != nil && !issuedSince(p.Claims["iat"], d.value)
}

// issuedSince reports whether a claim iat says a time at or after since.
func issuedSince(iat any, since int64) bool {
	seconds, ok := iat.(float64)
	if !ok || since == forever || !(seconds >= 0 && seconds <= latest) {
		return false
	}
	whole, part := math.Modf(seconds) // one float64 of both has no nanoseconds
	return !time.Unix(int64(whole), int64(part*1e9)).Before(time.Unix(0, since))
}
