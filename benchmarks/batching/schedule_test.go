package batchbench

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestScheduleIsPoisson(t *testing.T) {
	const rate, length = 20000, 20 * time.Second
	s := newSchedule(rate, false, length, 7)
	// The count has the standard deviation 632; seeds do not change.
	if n := len(s); math.Abs(float64(n)-rate*length.Seconds()) > 3*632 {
		t.Errorf("%d arrivals, want about %v", n, rate*length.Seconds())
	}
	// Gaps are exponential: their deviation equals their mean.
	var sum, squares float64
	for i := 1; i < len(s); i++ {
		gap := (s[i].at - s[i-1].at).Seconds()
		sum += gap
		squares += gap * gap
	}
	mean := sum / float64(len(s)-1)
	deviation := math.Sqrt(squares/float64(len(s)-1) - mean*mean)
	if math.Abs(mean*rate-1) > 0.01 || math.Abs(deviation/mean-1) > 0.01 {
		t.Errorf("gaps of %v on average, deviating by %v, want both %v", mean, deviation, 1.0/rate)
	}
}

func TestScheduleBursts(t *testing.T) {
	const rate, length = 20000, 20 * time.Second
	s := newSchedule(rate, true, length, 7)
	if n := len(s); math.Abs(float64(n)/(rate*length.Seconds())-1) > 0.01 {
		t.Errorf("%d arrivals, want %v", n, rate*length.Seconds())
	}
	inside := 0
	for _, a := range s {
		if a.at%burstEvery < burstFor {
			inside++
		}
	}
	share := burstFor.Seconds() / burstEvery.Seconds()
	factor := float64(inside) / share / (float64(len(s)-inside) / (1 - share))
	if math.Abs(factor/burstFactor-1) > 0.02 {
		t.Errorf("bursts have %.2f times the rate of the rest, want %d", factor, burstFactor)
	}
}

func TestScheduleIsDeterministicAndOrdered(t *testing.T) {
	for _, bursts := range []bool{false, true} {
		a := newSchedule(5000, bursts, time.Second, 1)
		if b := newSchedule(5000, bursts, time.Second, 1); !slices.Equal(a, b) {
			t.Error("one seed, two schedules")
		}
		if b := newSchedule(5000, bursts, time.Second, 2); slices.Equal(a, b) {
			t.Error("two seeds, one schedule")
		}
		if !slices.IsSortedFunc(a, func(x, y arrival) int { return int(x.at - y.at) }) || a[len(a)-1].at >= time.Second {
			t.Error("out of order, or too long")
		}
	}
}

func TestCosts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	const n = 200000
	sum, small := 0, 0
	for range n {
		cost := newCost(rng)
		if cost < 1 || cost > maxCost {
			t.Fatalf("cost %d", cost)
		}
		if sum += cost; cost <= 10 {
			small++
		}
	}
	if mean := float64(sum) / n; math.Abs(mean/meanCost-1) > 0.01 {
		t.Errorf("mean cost %v, want %v", mean, meanCost)
	}
	// ln 10.5 / ln 100, as 10.5 is rounded down.
	if share := float64(small) / n; math.Abs(share-0.5106) > 0.01 {
		t.Errorf("%v of the items cost 10 at most", share)
	}
}
