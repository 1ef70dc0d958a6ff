package authbench

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/ballast-go/ballast/auth"
)

const (
	tableBlended  = "blended"
	blendedHits   = "ballast, hits only"
	blended99     = "ballast, 99 % of hits"
	blended95     = "ballast, 95 % of hits"
	blendedZipf   = "ballast, Zipf"
	blendedPeer   = "golang-jwt"
	defaultCache  = 16384   // authjwt.Config's default
	ofTokens      = 100_000 // that it is for here
	blendedStream = 1 << 18 // requests of so many
	anyCold       = math.MaxUint32
)

// mix is who comes, in which order.
type mix struct {
	name    string
	entries int // of the cache
	all     []string
	hot     int      // those that come again and again
	stream  []uint32 // of all; anyCold stands for the next of the others
}

// mixes are the traffic of as many callers as there are tokens, in front of a
// cache with room for a sixth of them, as the default is for 100,000.
func mixes(tokens []string) []mix {
	entries := len(tokens) * defaultCache / ofTokens
	hot := max(1, entries/8)
	of := func(name string, draw func() int) mix {
		m := mix{name: name, entries: entries, all: tokens, hot: hot, stream: make([]uint32, len(tokens)*blendedStream/ofTokens)}
		for i := range m.stream {
			m.stream[i] = uint32(draw())
		}
		return m
	}
	// share has so many come from a few callers, and the rest from the others in
	// turn: when one comes again, the cache has forgotten it.
	share := func(hits float64) func() int {
		rng := rand.New(rand.NewPCG(1, 2))
		return func() int {
			if rng.Float64() < hits {
				return rng.IntN(hot)
			}
			return anyCold
		}
	}
	rng := rand.New(rand.NewPCG(1, 2))
	zipf, order := rand.NewZipf(rng, 1.1, 1, uint64(len(tokens)-1)), rng.Perm(len(tokens))
	return []mix{
		of(blendedHits, share(1)), of(blended99, share(0.99)), of(blended95, share(0.95)),
		of(blendedZipf, func() int { return order[zipf.Uint64()] }),
	}
}

// open warms the cache with the stream, once.
func (m mix) open(i *issuer) (op Op, misses func() uint64, err error) {
	v, err := newVerifier(m.entries, false, i)
	if err != nil {
		return nil, nil, err
	}
	ctx, now, next, cold := context.Background(), time.Now(), 0, 0
	op = func(_, n int) error {
		for range n {
			next = (next + 1) % len(m.stream)
			who := int(m.stream[next])
			if who == anyCold {
				cold = (cold + 1) % (len(m.all) - m.hot)
				who = m.hot + cold
			}
			if _, err := v.Authenticate(ctx, auth.Credentials{Token: m.all[who], At: now}); err != nil {
				return err
			}
		}
		return nil
	}
	return op, func() uint64 { return v.Stats().Verified }, op(0, len(m.stream))
}

// hits is the share of requests that a warm cache answers.
func (m mix) hits(i *issuer) (float64, error) {
	op, misses, err := m.open(i)
	if err != nil {
		return 0, err
	}
	before := misses()
	if err := op(0, len(m.stream)); err != nil {
		return 0, err
	}
	return 1 - float64(misses()-before)/float64(len(m.stream)), nil
}

// blendedTable is the mean of hits and misses.
func blendedTable(i *issuer, tokens []string) (Table, error) {
	t := Table{
		Name: tableBlended, Workers: 1, Batch: 256, Rounds: 3,
		Title: fmt.Sprintf("Hits and misses together, %s: %s callers, a cache for %s", i.alg, number(float64(len(tokens))), number(float64(len(tokens)*defaultCache/ofTokens))),
	}
	for _, m := range mixes(tokens) {
		hits, err := m.hits(i)
		if err != nil {
			return t, err
		}
		note := fmt.Sprintf("%.4g %% from the cache", 100*hits)
		if m.name == blendedZipf {
			note += "; rank k has 1/(1+k)^1.1 of the traffic"
		}
		t.Contenders = append(t.Contenders, Contender{Name: m.name, Note: note, Open: func() (Op, func(), error) {
			op, _, err := m.open(i)
			return op, nil, err
		}})
	}
	t.Contenders = append(t.Contenders, Contender{
		Name: blendedPeer, Note: "verifies each time",
		Open: func() (Op, func(), error) { return openGolangJWT(i, tokens) },
	})
	return t, nil
}
