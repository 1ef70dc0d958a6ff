package batchbench

import (
	"math"
	"math/rand/v2"
	"time"
)

// arrival is when an item comes, from the beginning, and what it costs.
type arrival struct {
	at   time.Duration
	cost int
}

// Costs of the open loop's items are spread log-uniformly from 1 to maxCost:
// as many from 1 to 10 as from 10 to 100.
const (
	maxCost  = 100
	meanCost = (maxCost - 1) / 4.605170185988092 // ln 100
)

// Of every burstEvery, burstFor sees arrivals at burstFactor times the rate of
// the rest.
const (
	burstEvery  = 100 * time.Millisecond
	burstFor    = 10 * time.Millisecond
	burstFactor = 10
)

// newSchedule is a Poisson process of rate arrivals a second on average, for
// so long; the rate is the same all the time, or comes in bursts. The same
// seed gives the same schedule.
func newSchedule(rate float64, bursts bool, length time.Duration, seed uint64) []arrival {
	rng := rand.New(rand.NewPCG(seed, 1))
	schedule := make([]arrival, 0, int(1.1*rate*length.Seconds())+16)
	calm := rate // a second, outside bursts
	if bursts {
		share := burstFor.Seconds() / burstEvery.Seconds()
		calm = rate / (1 - share + share*burstFactor)
	}
	for at := time.Duration(0); ; {
		at = advance(at, rng.ExpFloat64(), calm, bursts)
		if at >= length {
			return schedule
		}
		schedule = append(schedule, arrival{at, newCost(rng)})
	}
}

// advance returns when, from at on, as many arrivals as wanted are expected.
func advance(at time.Duration, wanted, calm float64, bursts bool) time.Duration {
	for {
		rate, end := calm, time.Duration(math.MaxInt64)
		if bursts {
			begin := at.Truncate(burstEvery)
			rate, end = calm*burstFactor, begin+burstFor
			if at >= end {
				rate, end = calm, begin+burstEvery
			}
		}
		need := wanted / rate // seconds
		if need <= (end - at).Seconds() {
			return at + time.Duration(need*float64(time.Second))
		}
		wanted -= rate * (end - at).Seconds()
		at = end
	}
}

func newCost(rng *rand.Rand) int {
	return max(1, int(math.Round(math.Exp(rng.Float64()*math.Log(maxCost)))))
}
