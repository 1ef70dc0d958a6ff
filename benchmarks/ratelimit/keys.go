package limitbench

import (
	"fmt"
	"math/rand/v2"
)

// Keys is who asks, in which order.
type Keys struct {
	Name   string
	All    []string // every key once
	Stream []string // what is asked for; workers read it round and round
}

// chunk returns the next n keys of a worker's walk through the stream, and
// moves it on. n divides the stream's length.
func (k *Keys) chunk(at *int, n int) []string {
	if *at+n > len(k.Stream) {
		*at = 0
	}
	c := k.Stream[*at : *at+n]
	*at += n
	return c
}

// keysBatch is how many keys are asked for between two looks at the clock.
const keysBatch = 256

// hotKey is one key, and nothing else.
func hotKey() *Keys { return newKeys("hot", 1, keysBatch, func() int { return 0 }) }

// uniformKeys are n keys, each as likely as the other.
func uniformKeys(name string, n int) *Keys {
	rng := rand.New(rand.NewPCG(1, 2))
	return newKeys(name, n, 1<<16, func() int { return rng.IntN(n) })
}

// zipfKeys are n keys, the first of them by far the most likely: rank k has
// 1/(1+k)^1.1 of the traffic.
func zipfKeys(name string, n int) *Keys {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 1, uint64(n-1))
	// The ranks are dealt to the keys at random: neighbours in memory are not
	// neighbours in traffic.
	order := rng.Perm(n)
	return newKeys(name, n, 1<<20, func() int { return order[zipf.Uint64()] })
}

// newKeys draws a stream. Each of its strings has bytes of its own, in the
// order of the stream: a request brings its key along, in memory that was just
// written, and comparing it with the one in a table takes more than comparing
// pointers.
func newKeys(name string, n, length int, draw func() int) *Keys {
	k := &Keys{Name: name, All: make([]string, n), Stream: make([]string, length)}
	for i := range k.All {
		k.All[i] = fmt.Sprintf("tenant-%07d", i)
	}
	arena := make([]byte, 0, length*len(k.All[0]))
	for range length {
		arena = append(arena, k.All[draw()]...)
	}
	text := string(arena)
	for i := range k.Stream {
		size := len(k.All[0])
		k.Stream[i] = text[i*size : (i+1)*size]
	}
	return k
}
