package authbench

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ballast-go/ballast/auth"
)

const keyPrefix = "sk_bench_"

// apiKeys are many keys, and ballast's table of them.
type apiKeys struct {
	all    []string
	hashes [][sha256.Size]byte
	stream []string // of keys, in memory of their own, as requests bring them
	table  *auth.APIKeys
}

// newAPIKeys makes keys of 52 characters, which are no secrets: they come from
// a generator with a fixed seed.
func newAPIKeys(n int) (*apiKeys, error) {
	rng := rand.New(rand.NewPCG(1, 2))
	k := &apiKeys{}
	var known []auth.APIKey
	for i := range n {
		key := fmt.Sprintf("%s%016x%016x%011d", keyPrefix, rng.Uint64(), rng.Uint64(), i)
		k.all = append(k.all, key)
		k.hashes = append(k.hashes, sha256.Sum256([]byte(key)))
		known = append(known, auth.APIKey{Hash: auth.HashAPIKey(key), ID: fmt.Sprintf("key-%d", i), Owner: fmt.Sprintf("tenant-%d", i)})
	}
	for range keysStream {
		k.stream = append(k.stream, string([]byte(k.all[rng.IntN(n)])))
	}
	var err error
	k.table, err = auth.NewAPIKeys(auth.APIKeysConfig{Prefix: keyPrefix, Keys: known})
	return k, err
}

const (
	keysStream   = 1 << 12
	tableAPIKeys = "API keys"
	constantTime = "a loop over all, in constant time"
	plainMap     = "a map by key"
)

// errUnknownKey is of a key that must be known.
var errUnknownKey = errors.New("an API key is not known")

// keysTable asks for keys at random.
func keysTable(k *apiKeys) Table {
	t := Table{Name: tableAPIKeys, Title: fmt.Sprintf("API keys, one of %s at random", number(float64(len(k.all)))), Workers: 1, Batch: 64}
	ask := func(known func(key string) bool) func() (Op, func(), error) {
		return func() (Op, func(), error) {
			next := 0
			return func(_, n int) error {
				for range n {
					next = (next + 1) % len(k.stream)
					if !known(k.stream[next]) {
						return errUnknownKey
					}
				}
				return nil
			}, nil, nil
		}
	}
	byKey := make(map[string]int, len(k.all))
	for i, key := range k.all {
		byKey[key] = i
	}
	ctx, now := context.Background(), time.Now()
	t.Contenders = []Contender{
		{Name: Ours, Note: "its SHA-256 in a hash table; a match is compared in constant time", Open: ask(func(key string) bool {
			_, err := k.table.Authenticate(ctx, auth.Credentials{APIKey: key, At: now})
			return err == nil
		})},
		{Name: plainMap, Note: "keeps the keys in memory, and compares in a time that tells about them", Open: ask(func(key string) bool {
			_, ok := byKey[key]
			return ok
		})},
		{Name: constantTime, Note: "of SHA-256 sums, to the end", Open: ask(func(key string) bool {
			sum, found := sha256.Sum256([]byte(key)), 0
			for i := range k.hashes {
				found |= subtle.ConstantTimeCompare(k.hashes[i][:], sum[:])
			}
			return found == 1
		})},
	}
	return t
}
