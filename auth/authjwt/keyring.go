package authjwt

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/ballast-go/ballast/auth"
)

// Keyring is a [KeySource] that is fed, as by what watches a secret. The zero
// Keyring has no keys yet. It is safe for concurrent use and starts no goroutine.
type Keyring struct {
	replacing sync.Mutex // one Replace at a time
	current   atomic.Pointer[KeySet]
}

// NewKeyring returns a Keyring with a first set, which may be nil.
func NewKeyring(set *KeySet) *Keyring {
	k := new(Keyring)
	k.current.Store(set)
	return k
}

// Replace puts set in the place of the one before. Tokens that are verified after
// it has returned are verified by set alone: a key that set lacks is good for
// nothing more, also where a [Verifier] has accepted its tokens before. A set with
// the same keys as before changes nothing, so that what a Verifier remembers is
// kept when a file was only touched. nil takes all keys away: nothing can be
// verified until there are some.
func (k *Keyring) Replace(set *KeySet) {
	k.replacing.Lock()
	defer k.replacing.Unlock()
	if !set.equal(k.current.Load()) {
		k.current.Store(set)
	}
}

// ReplaceJWKS reads a JWK Set and puts it in the place of the one before. On an error
// nothing changes. It is what a secret's change hook calls.
func (k *Keyring) ReplaceJWKS(jwks []byte) error {
	set, err := ParseKeySet(jwks)
	if err != nil {
		return err
	}
	k.Replace(set)
	return nil
}

// KeySet returns the current set, or nil if there is none.
func (k *Keyring) KeySet() *KeySet { return k.current.Load() }

// Refresh returns the current set at once: whoever feeds k knows of no newer one.
// Without a set the error is an auth.ErrUnavailable.
func (k *Keyring) Refresh(_ context.Context, _ *KeySet, _ string) (*KeySet, error) {
	set := k.current.Load()
	if set == nil {
		return nil, &auth.Error{Cause: auth.ErrUnavailable, Reason: "the keyring has no keys yet"}
	}
	return set, nil
}
