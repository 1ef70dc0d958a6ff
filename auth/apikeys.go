package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"hash/crc32"
	"strings"
	"sync/atomic"
	"time"
)

const (
	// maxAPIKey is the longest key, in bytes, that is hashed: longer ones are
	// refused unread. GenerateAPIKey's have 49 and the prefix.
	maxAPIKey = 256

	maxAPIKeyPrefix = 64
)

// APIKey is one key that [APIKeys] accepts. The key itself is not kept anywhere.
type APIKey struct {
	// Hash is the key's SHA-256, as [HashAPIKey] computes it. Required. A fast hash
	// is enough, because keys are random: see [GenerateAPIKey].
	Hash [32]byte
	// ID names the key in logs and audits; it is no secret. It becomes the claim
	// "key_id". Optional.
	ID string
	// Owner becomes Principal.Subject. Required.
	Owner string
	// Roles and Scopes become the Principal's. Neither may have an empty entry,
	// and a scope is of visible ASCII without " and \ (RFC 6749 §3.3).
	Roles, Scopes []string
	// ExpiresAt is when the key ends. Zero means never.
	ExpiresAt time.Time

	_ struct{}
}

// APIKeysConfig configures [NewAPIKeys].
type APIKeysConfig struct {
	// Prefix is what each key begins with, such as "sk_live_", by which a key that
	// was leaked is found, and a bearer token is known for an API key. Without a
	// Prefix only the API key's own field is read. ASCII letters, digits, - and _;
	// at most 64.
	Prefix string
	// Keys are those accepted. None is allowed: they may come later.
	Keys []APIKey

	_ struct{}
}

// APIKeys is an [Authenticator] for API keys. Its methods are safe for
// concurrent use.
type APIKeys struct {
	prefix string
	table  atomic.Pointer[keyTable]
}

// NewAPIKeys returns an Authenticator for cfg's keys, or everything that is
// wrong with cfg, of the keys the first 20 mistakes. cfg.Keys is copied.
func NewAPIKeys(cfg APIKeysConfig) (*APIKeys, error) {
	table, errs := newKeyTable("APIKeysConfig.Keys", cfg.Keys)
	if err := checkKeyPrefix(cfg.Prefix); err != nil {
		errs = append(errs, err)
	}
	if len(errs) > 0 {
		return nil, joinKeyErrors(errs)
	}
	a := &APIKeys{prefix: cfg.Prefix}
	a.table.Store(&table)
	return a, nil
}

// Authenticate looks c's API key up, or c's token if it has the Prefix. A key
// that is not known, or of another prefix, is an [ErrInvalid], one that has
// ended an [ErrExpired]; a key in both places is an [ErrAmbiguous]. One of more than
// 256 bytes is refused unread.
//
// The Principal has the owner for its Subject, no Issuer, and the claim
// "key_id". All requests with a key get the same one.
func (a *APIKeys) Authenticate(_ context.Context, c Credentials) (*Principal, error) {
	key, err := a.keyOf(&c)
	if err != nil {
		return nil, err
	}
	hash := hashKey(key)
	e := a.table.Load().find(&hash)
	if e.principal == nil {
		return nil, invalid("unknown API key")
	}
	if !e.expires.IsZero() && !c.at().Before(e.expires) {
		return nil, &Error{Cause: ErrExpired, Reason: "API key of " + e.name()}
	}
	return e.principal, nil
}

// keyOf returns the key in c.
func (a *APIKeys) keyOf(c *Credentials) (string, error) {
	key := c.APIKey
	bearer := a.prefix != "" && strings.HasPrefix(c.Token, a.prefix)
	switch {
	case key == "" && !bearer:
		return "", ErrNoCredential
	case key == "":
		key = c.Token
	case bearer:
		return "", &Error{Cause: ErrAmbiguous, Reason: "an API key, and another for a token"}
	case !strings.HasPrefix(key, a.prefix):
		return "", invalid("an API key of another prefix")
	}
	if len(key) > maxAPIKey {
		return "", invalid("an API key of more than 256 bytes")
	}
	return key, nil
}

// Replace puts keys in the place of those before, all at once. On an error,
// which says what is wrong as NewAPIKeys does, nothing changes. Requests whose
// Authenticate begins after it has returned see the new keys only.
func (a *APIKeys) Replace(keys []APIKey) error {
	table, errs := newKeyTable("Replace: keys", keys)
	if len(errs) > 0 {
		return joinKeyErrors(errs)
	}
	a.table.Store(&table)
	return nil
}

// HashAPIKey returns what APIKey.Hash must be for key: its SHA-256. In a shell:
//
//	printf %s "$KEY" | sha256sum
func HashAPIKey(key string) [32]byte { return sha256.Sum256([]byte(key)) }

// hashKey is HashAPIKey, without an allocation, for keys of at most maxAPIKey.
func hashKey(key string) [32]byte {
	var buf [maxAPIKey]byte
	return sha256.Sum256(buf[:copy(buf[:], key)])
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

const (
	keyDigits      = 43 // 62^43 > 2^256
	checksumDigits = 6  // 62^6 > 2^32
)

// GenerateAPIKey returns a new key: prefix, which should be an APIKeysConfig's,
// and 256 random bits in base62, with a checksum by which scanners tell it from
// other strings:
//
//	prefix | 43 random digits of 0-9A-Za-z | 6 digits of a checksum
//
// The checksum is the CRC-32 (IEEE) of all that precedes it, in base62, most
// significant digit first, as GitHub's tokens have it. [APIKeys] does not look
// at it: keys that were made otherwise are as good, if nobody can guess them.
func GenerateAPIKey(prefix string) string {
	key := make([]byte, 0, len(prefix)+keyDigits+checksumDigits)
	key = append(key, prefix...)
	var random [2 * keyDigits]byte
	for end := len(prefix) + keyDigits; len(key) < end; {
		_, _ = rand.Read(random[:]) // never fails
		for _, b := range random {
			// The 8 values above 4×62 would favour the first digits.
			if b < 4*62 && len(key) < end {
				key = append(key, base62[b%62])
			}
		}
	}
	var check [checksumDigits]byte
	for i, sum := len(check)-1, crc32.ChecksumIEEE(key); i >= 0; i, sum = i-1, sum/62 {
		check[i] = base62[sum%62]
	}
	return string(append(key, check[:]...))
}
