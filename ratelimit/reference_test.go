package ratelimit_test

import (
	"math"
	"math/big"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// reference is what a Keyed limiter is to do, as plainly as it can be said: a
// map from keys to TATs that forgets nothing.
type reference struct {
	tat map[string]int64 // since base, in nanoseconds
}

var base = time.Now()

func interval(l ratelimit.Limit) int64 { return int64(math.Ceil(1e9 / float64(l.Rate))) }

func (r *reference) allowAt(l ratelimit.Limit, t time.Time, key string, n int) ratelimit.Decision {
	now := int64(t.Sub(base))
	tat := now
	if known, ok := r.tat[key]; ok {
		tat = max(tat, known)
	}
	room := interval(l) * int64(l.Burst)
	d := ratelimit.Decision{Limit: l}
	switch wait := tat + interval(l)*int64(n) - now - room; {
	case n < 0 || n > l.Burst:
		d.RetryAfter = rate.InfDuration
	case n > 0 && wait > 0:
		d.RetryAfter = time.Duration(wait)
	case n == 0:
		d.OK = true
	default:
		d.OK = true
		tat += interval(l) * int64(n)
		r.tat[key] = tat
	}
	d.Remaining = int(max(0, room-(tat-now)) / interval(l))
	d.ResetAfter = time.Duration(tat - now)
	return d
}

// window is the exact statement of what a limit promises: of what was let
// through, no span holds more than Burst + Rate·t, in rational numbers.
type window struct {
	limit ratelimit.Limit
	at    []int64 // when something was let through, rising
	n     []int
}

func (w *window) add(at int64, n int) {
	w.at = append(w.at, at)
	w.n = append(w.n, n)
}

// excess returns by how much a span holds too much, 0 if none does.
func (w *window) excess() *big.Rat {
	most := new(big.Rat)
	rat := new(big.Rat).SetFloat64(float64(w.limit.Rate))
	for i := range w.at {
		sum := int64(0)
		for j := i; j < len(w.at); j++ {
			sum += int64(w.n[j])
			allowed := big.NewRat(w.at[j]-w.at[i], 1e9)
			allowed.Mul(allowed, rat).Add(allowed, big.NewRat(int64(w.limit.Burst), 1))
			if over := new(big.Rat).Sub(big.NewRat(sum, 1), allowed); over.Cmp(most) > 0 {
				most = over
			}
		}
	}
	return most
}
