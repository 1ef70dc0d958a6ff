package auth

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A keyTable finds keys by their hash. It is never changed.
//
// It is a hash table with open addressing, of which at least a fifth is empty:
// with half of it empty it is larger than caches sooner, which costs more than
// longer searches (100k keys: 300 ns and 230). Its hash is the first bytes of the
// key's, as SHA-256 is as uniform as can be. How long a search takes depends on the
// keys in the table, and no client adds to those. A map would compare hashes in a
// time that says how far they are alike.
type keyTable []keyEntry // a power of two

// keyEntry is as large as a cache line: a key that is found costs one of them.
type keyEntry struct {
	hash      [32]byte
	expires   time.Time
	principal *Principal // nil: the place is empty
}

// find returns the key's entry, or where it would be.
func (t keyTable) find(hash *[32]byte) *keyEntry {
	for i := binary.LittleEndian.Uint64(hash[:8]); ; i++ {
		e := &t[i&uint64(len(t)-1)]
		if e.principal == nil || equalHashes(&e.hash, hash) {
			return e
		}
	}
}

// equalHashes takes the same time wherever they differ. It is
// subtle.ConstantTimeCompare, which goes byte by byte, at a fifth of the cost: that
// was an eighth of looking a key up.
func equalHashes(a, b *[32]byte) bool {
	var differ uint64
	for i := 0; i < len(a); i += 8 {
		differ |= binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:])
	}
	return differ == 0
}

// name is the key's ID, or its owner, quoted and cut short.
func (e *keyEntry) name() string {
	name := e.principal.Subject
	if id, ok := e.principal.Claims["key_id"].(string); ok {
		name = id
	}
	return strconv.Quote(name[:min(len(name), 64)])
}

// newKeyTable returns a table of keys, or everything that is wrong with them. It
// calls them what in errors.
func newKeyTable(what string, keys []APIKey) (keyTable, []error) {
	size := 2
	for size < len(keys)+len(keys)/4+1 {
		size *= 2
	}
	t := make(keyTable, size)
	var errs []error
	index := make(map[[32]byte]int, len(keys))
	for i := range keys {
		k := &keys[i]
		errs = checkKey(errs, what, i, k)
		if j, twice := index[k.Hash]; twice {
			errs = append(errs, fmt.Errorf("auth: %s[%d].Hash is that of %s[%d], too", what, i, what, j))
		} else if k.Hash != [32]byte{} {
			index[k.Hash] = i
			*t.find(&k.Hash) = newKeyEntry(k)
		}
	}
	return t, errs
}

func newKeyEntry(k *APIKey) keyEntry {
	p := &Principal{
		Subject: k.Owner, Method: MethodAPIKey, ExpiresAt: k.ExpiresAt,
		Roles: slices.Clone(k.Roles), Scopes: slices.Clone(k.Scopes),
	}
	if k.ID != "" {
		p.Claims = map[string]any{"key_id": k.ID}
	}
	return keyEntry{k.Hash, k.ExpiresAt, p}
}

// checkKey appends what is wrong with the i-th key.
func checkKey(errs []error, what string, i int, k *APIKey) []error {
	if k.Hash == [32]byte{} {
		errs = append(errs, fmt.Errorf("auth: %s[%d].Hash is not set", what, i))
	}
	if k.Owner == "" {
		errs = append(errs, fmt.Errorf("auth: %s[%d].Owner is empty", what, i))
	}
	for j, role := range k.Roles {
		if role == "" {
			errs = append(errs, fmt.Errorf("auth: %s[%d].Roles[%d] is empty", what, i, j))
		}
	}
	for j, scope := range k.Scopes {
		if !isScope(scope) {
			errs = append(errs, fmt.Errorf("auth: %s[%d].Scopes[%d] is no scope: one or more of visible ASCII without \" and \\", what, i, j))
		}
	}
	return errs
}

// isScope reports whether s is a scope-token (RFC 6749 §3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c == '"' || c == '\\' || c >= 0x7F {
			return false
		}
	}
	return s != ""
}

func checkKeyPrefix(prefix string) error {
	if len(prefix) > maxAPIKeyPrefix {
		return fmt.Errorf("auth: APIKeysConfig.Prefix has %d bytes, more than %d", len(prefix), maxAPIKeyPrefix)
	}
	for _, c := range []byte(prefix) {
		if !isAlphanumeric(c) && c != '-' && c != '_' {
			return errors.New("auth: APIKeysConfig.Prefix has something besides ASCII letters, digits, - and _")
		}
	}
	return nil
}

func isAlphanumeric(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z'
}

// maxKeyErrors is how many mistakes of a list of keys are told one by one.
const maxKeyErrors = 20

func joinKeyErrors(errs []error) error {
	if more := len(errs) - maxKeyErrors; more > 0 {
		errs = append(errs[:maxKeyErrors:maxKeyErrors], fmt.Errorf("auth: and %d more mistakes in the keys", more))
	}
	return errors.Join(errs...)
}
