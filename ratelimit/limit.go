package ratelimit

import (
	"errors"
	"fmt"
	"math"
	"time"

	"golang.org/x/time/rate"
)

// A Limit is how much a key may have: Burst at once, and Rate a second in the
// long run. In any span of time t no more than Burst + Rate·t is let through.
//
// Rate is above 0 and at most 1e9 events per second; it is rounded down so that
// the time between two events is a whole number of nanoseconds, which takes at
// most the Rate/1e9-th part off it. Burst is at least 1. Burst/Rate, the time in
// which an exhausted key recovers all of it, is at most 100 years.
type Limit struct {
	Rate  rate.Limit // events per second
	Burst int        // events
}

// PerSecond is n a second, all of them at once if need be: Burst is n rounded
// up.
func PerSecond(n float64) Limit { return per(n, time.Second) }

// PerMinute is n a minute, all of them at once if need be.
func PerMinute(n float64) Limit { return per(n, time.Minute) }

// PerHour is n an hour, all of them at once if need be.
func PerHour(n float64) Limit { return per(n, time.Hour) }

// PerDay is n in 24 hours, all of them at once if need be.
func PerDay(n float64) Limit { return per(n, 24*time.Hour) }

func per(n float64, d time.Duration) Limit {
	burst := math.Ceil(n)
	if !(burst < math.MaxInt) { // also what is no number
		return Limit{Rate: rate.Limit(n / d.Seconds())} // New refuses it
	}
	return Limit{Rate: rate.Limit(n / d.Seconds()), Burst: int(burst)}
}

const (
	maxRate    = 1e9
	maxHorizon = 100 * 365.25 * 24 * time.Hour
)

// Validate returns what is wrong with l, or nil.
func (l Limit) Validate() error {
	var errs []error
	if !(l.Rate > 0 && l.Rate <= maxRate) {
		errs = append(errs, fmt.Errorf("the Rate %v is not above 0 and at most 1e9 events per second", float64(l.Rate)))
	}
	if l.Burst < 1 {
		errs = append(errs, fmt.Errorf("the Burst %d is below 1", l.Burst))
	}
	if len(errs) == 0 && float64(l.Burst)*float64(l.interval()) > float64(maxHorizon) {
		errs = append(errs, fmt.Errorf("a Burst of %d at a Rate of %v takes more than 100 years to recover", l.Burst, float64(l.Rate)))
	}
	return errors.Join(errs...)
}

// valid is Validate without the reasons.
func (l Limit) valid() bool {
	return l.Rate > 0 && l.Rate <= maxRate && l.Burst >= 1 && float64(l.Burst)*float64(l.interval()) <= float64(maxHorizon)
}

// interval is the time that one event takes up, in nanoseconds, of a Limit with
// a good Rate. It is rounded up, and everything is counted in whole intervals,
// so that neither a burst nor the rate is ever exceeded and a whole burst fits.
func (l Limit) interval() int64 {
	return int64(min(math.Ceil(1e9/float64(l.Rate)), math.MaxInt64/2))
}
