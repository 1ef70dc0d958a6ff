package breakbench

import (
	"math"
	"time"
)

// What calls are like where nothing is wrong.
const (
	headroom = 10.0 / 7 // what the backend bears, of what is offered
	service  = 20 * time.Millisecond
	spread   = 0.2                    // service times are up to that share longer or shorter
	timeout  = 250 * time.Millisecond // of the caller
	refused  = 5 * time.Millisecond   // after which a dead backend says so
	backlog  = time.Second            // beyond which the backend turns calls away
	replicas = 8                      // where there are several
)

// When things happen in a scenario.
const (
	outageAt  = 10 * time.Second
	outageFor = 10 * time.Second
	healedAt  = outageAt + outageFor
	brownFor  = 5 * time.Second
	warmFor   = 5 * time.Second // of a cold cache
	coldShare = 0.1             // of the capacity, at first
)

// A health is what the backend, or one replica, is like at some time.
type health struct {
	fails    float64 // share of calls
	hangs    bool    // until the caller's timeout, those that fail
	slower   float64 // service time, times this; 0 is 1
	capacity float64 // share that is left; 0 is 1
}

// A scenario is what happens to the backend, and what breakers are told.
type scenario struct {
	name, title string
	length      time.Duration
	replicas    int // 0 is 1
	health      func(since time.Duration, replica int) health
	settings    settings
	eachOne     bool // replica has a breaker of its own

	shift time.Duration // by which it begins later than outageAt
}

// begins is when something goes wrong.
func (s scenario) begins() time.Duration { return outageAt + s.shift }

// with is the scenario of a seed: an outage of 10 s begins up to half a second
// earlier or later, but for the first seed's. Otherwise whoever probes once a second
// meets the heal at the same moment of that second with each seed: a lucky one, or
// not.
func (s scenario) with(seed uint64) scenario {
	if s.health(healedAt-1, 0) == (health{}) {
		return s // it is over long before
	}
	turn := math.Mod(float64(seed-1)*math.Phi+0.5, 1) - 0.5
	s.shift = time.Duration(turn * float64(time.Second))
	begins, was := s.begins(), s.health
	s.health = func(t time.Duration, replica int) health {
		switch {
		case t < begins:
			return was(0, replica)
		case t < healedAt:
			return was(outageAt, replica)
		}
		return was(t, replica)
	}
	return s
}

// settings are what all breakers are told that have such a setting.
type settings struct {
	rate      float64 // of failures, to open at
	openFor   time.Duration
	slowAfter time.Duration // only ours judges by time
}

// The settings of most scenarios.
var usual = settings{rate: 0.5, openFor: time.Second}

// The scenarios by name.
const (
	failing     = "failing"
	hanging     = "hanging"
	cold        = "cold"
	brownout    = "brownout"
	brownSlow   = "brownout, slow calls"
	partialHalf = "partial, 50 %"
	partialAt   = "partial, 30 %"
	oneBadAll   = "one bad, one breaker"
	oneBadEach  = "one bad, one each"
)

func scenarios() []scenario {
	outage := func(bad health, after func(time.Duration) health) func(time.Duration, int) health {
		return func(t time.Duration, _ int) health {
			switch {
			case t < outageAt:
				return health{}
			case t < healedAt:
				return bad
			}
			return after(t - healedAt)
		}
	}
	well := func(time.Duration) health { return health{} }
	for5s := func(t time.Duration, _ int) health {
		if t >= outageAt && t < outageAt+brownFor {
			return health{slower: 10}
		}
		return health{}
	}
	slow := usual
	slow.slowAfter = 100 * time.Millisecond
	atThreshold := usual
	atThreshold.rate = 0.3
	third := outage(health{fails: 0.3}, well)
	oneBad := func(t time.Duration, replica int) health {
		if replica == 0 && t >= outageAt && t < healedAt {
			return health{fails: 1}
		}
		return health{}
	}
	return []scenario{
		{name: failing, title: "10 s outage: calls fail after 5 ms", length: 50 * time.Second,
			health: outage(health{fails: 1}, well), settings: usual},
		{name: hanging, title: "10 s outage: calls hang until the caller's timeout, 250 ms", length: 50 * time.Second,
			health: outage(health{fails: 1, hangs: true}, well), settings: usual},
		{name: cold, title: "10 s outage, then 5 s of a cold cache", length: 50 * time.Second,
			health: outage(health{fails: 1}, warming), settings: usual},
		{name: brownout, title: "5 s in which answers take ten times as long", length: 25 * time.Second,
			health: for5s, settings: usual},
		{name: brownSlow, title: "the same, with a slow-call rate: 50 % above 100 ms", length: 25 * time.Second,
			health: for5s, settings: slow},
		{name: partialHalf, title: "10 s in which 30 % fail; the threshold is 50 %", length: 30 * time.Second,
			health: third, settings: usual},
		{name: partialAt, title: "10 s in which 30 % fail; the threshold is 30 %", length: 30 * time.Second,
			health: third, settings: atThreshold},
		{name: oneBadAll, title: "one of eight replicas fails for 10 s; one breaker for all", length: 30 * time.Second,
			replicas: replicas, health: oneBad, settings: usual},
		{name: oneBadEach, title: "one of eight replicas fails for 10 s; a breaker for each", length: 30 * time.Second,
			replicas: replicas, health: oneBad, settings: usual, eachOne: true},
	}
}

// warming is a cold cache: most calls miss it at first, and take the longer and
// as much more of the capacity.
func warming(since time.Duration) health {
	share := warmth(since)
	return health{capacity: share, slower: 1 / share}
}

// warmth is the share of its capacity that a backend has so long after it healed
// with a cold cache.
func warmth(since time.Duration) float64 {
	return min(1, coldShare+(1-coldShare)*max(0, since.Seconds())/warmFor.Seconds())
}
