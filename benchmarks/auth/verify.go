package authbench

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

const (
	tableHit    = "hit"
	hitOne      = "ballast, one token"
	hitClock    = "ballast, one token, reads the clock"
	hitHashed   = "ballast, one token, CacheHashed"
	hitMany     = "ballast, many tokens"
	hitSyncMap  = "golang-jwt behind a sync.Map"
	manyTokens  = 10_000
	bareCheck   = "the signature check alone"
	missKept    = "ballast, and keeps it"
	missNoCache = "ballast, no cache"
	missPeer    = "golang-jwt"
)

// hitTable is what a Verifier costs without HTTP around it, when it knows the
// tokens. The algorithm does not matter then.
func hitTable(i *issuer, many []string) Table {
	t := Table{Name: tableHit, Title: "Authenticate, the token is in the cache", Workers: 1, Batch: 64}
	add := func(name, note string, tokens []string, hashed, clock bool) {
		t.Contenders = append(t.Contenders, Contender{Name: name, Note: note, Open: func() (Op, func(), error) {
			v, err := newVerifier(0, hashed, i)
			if err != nil {
				return nil, nil, err
			}
			at := time.Now()
			if clock {
				at = time.Time{}
			}
			op := authenticate(v, tokens, at)
			return op, nil, op(0, len(tokens))
		}})
	}
	add(hitOne, "the request's time is known", many[:1], false, false)
	add(hitClock, "", many[:1], false, true)
	add(hitHashed, "the request's time is known", many[:1], true, false)
	add(hitMany, number(float64(len(many)))+" of them in turn, far from each other in memory", many, false, false)
	t.Contenders = append(t.Contenders, Contender{
		Name: hitSyncMap, Note: "with exp checked again; grows without bounds, knows of no new keys, revokes nothing",
		Open: func() (Op, func(), error) { return openSyncMap(i, many[0]) },
	})
	return t
}

// authenticate walks through the tokens with great strides, so that none follows
// on its neighbour.
func authenticate(v *authjwt.Verifier, tokens []string, at time.Time) Op {
	const stride = 7919 // a prime: all of them come
	ctx, next := context.Background(), 0
	return func(_, n int) error {
		for range n {
			next = (next + stride) % len(tokens)
			if _, err := v.Authenticate(ctx, auth.Credentials{Token: tokens[next], At: at}); err != nil {
				return err
			}
		}
		return nil
	}
}

// openSyncMap is the cache that one writes around golang-jwt.
func openSyncMap(i *issuer, token string) (Op, func(), error) {
	parser, key := newParser(i.alg), func(*jwt.Token) (any, error) { return i.public, nil }
	var known sync.Map
	verify := func(token string, now time.Time) error {
		if v, ok := known.Load(token); ok {
			claims := v.(jwt.MapClaims)
			if exp, ok := claims["exp"].(float64); ok && float64(now.Unix()) < exp {
				return nil
			}
		}
		claims := jwt.MapClaims{}
		if _, err := parser.ParseWithClaims(token, claims, key); err != nil {
			return err
		}
		known.Store(strings.Clone(token), claims)
		return nil
	}
	now := time.Now()
	return func(_, n int) error {
		for range n {
			if err := verify(token, now); err != nil {
				return err
			}
		}
		return nil
	}, nil, nil
}

func missName(alg string) string { return "miss, " + alg }

const (
	missTokens = 256
	missCache  = 32 // entries: none is there when it comes round again
)

// missTables verify tokens that are not in the cache.
func missTables(issuers map[string]*issuer) ([]Table, error) {
	var tables []Table
	for _, alg := range algorithms {
		i := issuers[alg]
		tokens, err := i.tokens(missTokens)
		if err != nil {
			return nil, err
		}
		t := Table{Name: missName(alg), Title: "A token that is not in the cache, without HTTP, " + alg, Workers: 1, Batch: 16}
		t.Contenders = []Contender{
			{Name: bareCheck, Note: "golang-jwt's, of a decoded signature", Open: func() (Op, func(), error) { return openBare(i, tokens) }},
			{Name: missKept, Note: "into a cache that is full", Open: func() (Op, func(), error) { return openMiss(i, tokens, missCache) }},
			{Name: missNoCache, Open: func() (Op, func(), error) { return openMiss(i, tokens, -1) }},
			{Name: missPeer, Open: func() (Op, func(), error) { return openGolangJWT(i, tokens) }},
		}
		tables = append(tables, t)
	}
	return tables, nil
}

// openMiss lets a Verifier see each token as if for the first time, and makes
// sure of that.
func openMiss(i *issuer, tokens []string, entries int) (Op, func(), error) {
	v, err := newVerifier(entries, false, i)
	if err != nil {
		return nil, nil, err
	}
	op := authenticate(v, tokens, time.Now())
	done := uint64(0)
	return func(w, n int) error {
		err := op(w, n)
		if done += uint64(n); err == nil && v.Stats().Verified != done {
			err = fmt.Errorf("%d of %d tokens were verified", v.Stats().Verified, done)
		}
		return err
	}, nil, nil
}

// openBare checks the same signatures, and does nothing else.
func openBare(i *issuer, tokens []string) (Op, func(), error) {
	texts, sigs := make([]string, len(tokens)), make([][]byte, len(tokens))
	for n, token := range tokens {
		text, sig, _ := cutLast(token)
		decoded, err := base64.RawURLEncoding.DecodeString(sig)
		if err != nil {
			return nil, nil, err
		}
		texts[n], sigs[n] = text, decoded
	}
	next := 0
	return func(_, n int) error {
		for range n {
			next = (next + 1) % len(texts)
			if err := i.method.Verify(texts[next], sigs[next], i.public); err != nil {
				return err
			}
		}
		return nil
	}, nil, nil
}

func openGolangJWT(i *issuer, tokens []string) (Op, func(), error) {
	parser, key, next := newParser(i.alg), func(*jwt.Token) (any, error) { return i.public, nil }, 0
	return func(_, n int) error {
		for range n {
			next = (next + 1) % len(tokens)
			if _, err := parser.ParseWithClaims(tokens[next], jwt.MapClaims{}, key); err != nil {
				return err
			}
		}
		return nil
	}, nil, nil
}
