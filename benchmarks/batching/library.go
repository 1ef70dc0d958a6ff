package batchbench

import (
	"context"
	"time"
)

// Item is one input. Items of one run have different IDs, so that a library
// with a cache would gain nothing from it.
type Item struct {
	ID   uint64
	Cost int
}

// Answer is what computing the item gives.
func (it Item) Answer() uint64 { return it.ID*0x9e3779b97f4a7c15 + 1 }

// Setup is what a library is configured with.
type Setup struct {
	Devices  []*Device     // each runs one batch at a time
	MaxBatch int           // most items in a batch
	Callers  int           // most calls at the same time
	Linger   time.Duration // for libraries that wait for company

	// TargetLatency is set in the open loop: within it an answer is of use.
	TargetLatency time.Duration
}

// A Peer is a batcher under test.
type Peer struct {
	Do    func(ctx context.Context, it Item) (uint64, error)
	Close func() // after the last Do has returned
}

// A Library makes peers of one kind.
type Library struct {
	Name    string
	Lingers bool // an item waits for company although the device is idle
	New     func(Setup) Peer
}

// Linger is what lingering libraries are given: what they are commonly given,
// and the least that timers of an idle Go process can do (golang/go#44343).
const Linger = time.Millisecond

// Ours is the library that the others are compared with.
const Ours = "ballast"

// unbatched is the absence of a library.
const unbatched = "none"

// Libraries are ballast and its peers.
func Libraries() []Library {
	return []Library{
		{Name: Ours, New: newBallast},
		{Name: "bundler", Lingers: true, New: newBundler},
		{Name: "eapache", Lingers: true, New: newEapache},
		{Name: "dataloader", Lingers: true, New: newDataloader},
		{Name: "dataloadgen", Lingers: true, New: newDataloadgen},
		{Name: "channel+timer", Lingers: true, New: newChannelTimer},
		{Name: "greedy-channel", New: newGreedyChannel},
		{Name: mutexCond, New: newMutexCond},
		{Name: "mutex+cond+yield", New: newMutexCondYield},
		{Name: mutexCondSame, New: newMutexCondSame},
		{Name: unbatched, New: newUnbatched},
	}
}

// openLibraries are those of the open loop: ballast without its target latency
// too, and bundler with a bound that was chosen by hand to suit the deadline, a
// setting that no other peer has. writeOpenIntroduction says what is left out.
func openLibraries() []Library {
	return []Library{
		{Name: Ours, New: newBallast},
		{Name: "ballast, no target", New: func(s Setup) Peer {
			s.TargetLatency = 0
			return newBallast(s)
		}},
		{Name: "bundler, bounded", Lingers: true, New: newBoundedBundler},
		{Name: "bundler", Lingers: true, New: newBundler},
		{Name: "dataloadgen", Lingers: true, New: newDataloadgen},
		{Name: "channel+timer", Lingers: true, New: newChannelTimer},
		{Name: "greedy-channel", New: newGreedyChannel},
		{Name: mutexCond, New: newMutexCond},
		{Name: mutexCondSame, New: newMutexCondSame},
	}
}
