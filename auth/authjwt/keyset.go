package authjwt

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

const (
	maxJWKS      = 1 << 20 // bytes; providers' sets have some 10 KB
	maxKeys      = 256
	maxAnonymous = 4 // keys that a token without a kid is tried with; each costs a check
)

// KeySet is a set of keys that never changes. It is a [KeySource] of its own,
// and safe for concurrent use.
type KeySet struct {
	keys    []*verifyKey
	named   map[keyName]*verifyKey
	byAlg   map[string][]*verifyKey // at most maxAnonymous each
	skipped []string
}

// keyName is by what a token's header names a key.
type keyName struct{ id, alg string }

// NewKeySet returns a set of keys: at least one and at most 256. One given twice
// counts once; two that differ must not have the same ID and Algorithm. Shared
// secrets and public keys do not go into one set, for what is public must not be
// found where a secret is looked for: give each a [Trust] of its own. A token
// without a kid is tried with the first four keys of its algorithm. All errors
// come at once, and none has a key in it.
func NewKeySet(keys ...Key) (*KeySet, error) {
	if len(keys) == 0 {
		return nil, errors.New("authjwt: NewKeySet needs at least one key")
	}
	if len(keys) > maxKeys {
		return nil, fmt.Errorf("authjwt: %d keys; at most %d", len(keys), maxKeys)
	}
	var errs []error
	var checked []*verifyKey
	for i, key := range keys {
		k, err := key.check()
		if err != nil {
			errs = append(errs, fmt.Errorf("authjwt: keys[%d]%s: %w", i, called(key.ID), err))
			continue
		}
		checked = append(checked, k)
	}
	set, err := newSet(checked)
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	return set, nil
}

// called is how an error names a key.
func called(id string) string {
	if id == "" {
		return ""
	}
	return fmt.Sprintf(" (kid %.64q)", id)
}

// newSet makes a set of checked keys, each once.
func newSet(keys []*verifyKey) (*KeySet, error) {
	s := &KeySet{named: make(map[keyName]*verifyKey), byAlg: make(map[string][]*verifyKey)}
	var errs []error
	for _, k := range keys {
		if slices.ContainsFunc(s.keys, k.equal) {
			continue
		}
		name := keyName{k.id, k.alg}
		if s.named[name] != nil {
			errs = append(errs, fmt.Errorf("authjwt: two %s keys%s", k.alg, called(k.id)))
			continue
		}
		s.keys = append(s.keys, k)
		if k.id != "" {
			s.named[name] = k
		}
		if len(s.byAlg[k.alg]) < maxAnonymous {
			s.byAlg[k.alg] = append(s.byAlg[k.alg], k)
		}
	}
	if s.symmetric() && slices.ContainsFunc(s.keys, func(k *verifyKey) bool { return k.kind != kindSecret }) {
		errs = append(errs, errors.New("authjwt: shared secrets and public keys in one set"))
	}
	return s, errors.Join(errs...)
}

// find returns the keys that a token with the header's kid and alg may be signed
// by: that whose id is kid and whose algorithm is alg; with an empty kid all of
// alg, at most four. known reports whether there is a key of that id at all, or,
// with an empty kid, of alg.
func (s *KeySet) find(kid, alg string) (found []*verifyKey, known bool) {
	if kid == "" {
		found = s.byAlg[alg]
		return found, len(found) > 0
	}
	if k := s.named[keyName{kid, alg}]; k != nil {
		return k.alone[:], true
	}
	return nil, slices.ContainsFunc(s.keys, func(k *verifyKey) bool { return k.id == kid })
}

// symmetric reports whether the set holds shared secrets.
func (s *KeySet) symmetric() bool {
	return slices.ContainsFunc(s.keys, func(k *verifyKey) bool { return k.kind == kindSecret })
}

// equal reports whether s and other have the same keys, in whatever order. Both
// may be nil.
func (s *KeySet) equal(other *KeySet) bool {
	if s == nil || other == nil {
		return s == other
	}
	// In one set no two keys are equal, so that each finds another partner.
	return len(s.keys) == len(other.keys) && !slices.ContainsFunc(s.keys, func(k *verifyKey) bool {
		return !slices.ContainsFunc(other.keys, k.equal)
	})
}

// Skipped says which keys of the JWK Set were passed over by [ParseKeySet], and
// why: "keys[2] (kid \"x\"): …". It is for a log when the set is loaded.
func (s *KeySet) Skipped() []string { return slices.Clone(s.skipped) }

// KeySet returns s.
func (s *KeySet) KeySet() *KeySet { return s }

// Refresh returns seen: there is no newer set.
func (s *KeySet) Refresh(_ context.Context, seen *KeySet, _ string) (*KeySet, error) {
	return seen, nil
}
