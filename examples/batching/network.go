package main

import (
	"context"
	"errors"
	"math/rand/v2"

	"github.com/ballast-go/ballast/batching"
)

const (
	follows = 10   // how many each person follows
	steps   = 10   // of the walk
	restart = 0.15 // how likely the walk starts again at each
)

var errNobody = errors.New("there is no such person")

// network has for each person whom they follow.
type network [][follows]int32

// newNetwork makes up a network of so many people, always the same.
func newNetwork(people int) network {
	random := rand.New(rand.NewPCG(1, 2))
	n := make(network, people)
	for i := range n {
		for j := range n[i] {
			n[i][j] = int32(random.IntN(people))
		}
	}
	return n
}

// closest finds, for each of the starts, whom a random walk that follows people
// from there, and starts again now and then, meets most: personalized PageRank.
//
// A walk in a large batch is less work than one alone, because it is a good part
// of it to find in memory who follows whom, and that is done once for all.
func (n network) closest(ctx context.Context, starts []int, out []batching.Slot[int]) error {
	walks := len(starts)
	at := make([]float32, len(n)*walks) // how likely each walk is at each person
	next := make([]float32, len(at))
	set := func(to []float32, probability float32) {
		for walk, person := range starts {
			if person >= 0 && person < len(n) {
				to[person*walks+walk] = probability
			}
		}
	}
	set(at, 1)
	for range steps {
		if ctx.Err() != nil {
			return ctx.Err() // nobody waits any more
		}
		clear(next)
		set(next, restart)
		for person, friends := range n {
			from := at[person*walks:][:walks]
			for _, friend := range friends {
				to := next[int(friend)*walks:][:walks]
				for walk, probability := range from {
					to[walk] += probability * (1 - restart) / follows
				}
			}
		}
		at, next = next, at
	}
	for walk, start := range starts {
		if start < 0 || start >= len(n) {
			out[walk].Fail(errNobody) // and nobody else's answer
			continue
		}
		out[walk].Set(n.most(at[walk:], walks, start))
	}
	return nil
}

// most returns the person but start at whom a walk most likely is.
func (n network) most(at []float32, walks, start int) int {
	best := -1
	for person := range n {
		if person != start && (best < 0 || at[person*walks] > at[best*walks]) {
			best = person
		}
	}
	return best
}
