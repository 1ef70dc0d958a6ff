package concurrency

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// What zero fields mean.
const (
	defaultMaxWait   = time.Second
	defaultAdaptive  = 1024 // Max
	defaultInitial   = 20
	defaultMin       = 1
	defaultTolerance = 1.2
	defaultProbe     = 10 * time.Second
)

// maxMax is what the in-flight count has bits for.
const maxMax = 1<<20 - 1

// Config shapes a [Limiter]. A negative number is an error.
type Config struct {
	// Max is the most permits that are out at a time, 1 to 1,048,575. It is
	// required, except with Adaptive, where 0 means 1024.
	Max int

	// Adaptive makes the limit follow what the service can take, between
	// Adaptive.Min and Max. nil means that it is Max.
	Adaptive *Adaptive

	// MaxQueue is how many calls may wait for a permit, up to 1,048,575; 0 means
	// none: what is above the limit is refused at once. A short queue lets bursts through
	// that a limit alone would cut; one as long as the limit is plenty.
	MaxQueue int

	// MaxWait is how long a call may wait; 0 means a second. The call's context
	// may end the wait before.
	MaxWait time.Duration

	// MaxBytes bounds the sum of what calls hold in memory, as stated with
	// [Limiter.AcquireBytes] or by their Content-Length; 0 means no such bound.
	// The Middleware counts what the client sends, not what a handler makes of
	// it: a JSON document may take several times its size when decoded.
	MaxBytes int64

	// Pressure, if set, tells of overload that latency does not show (yet):
	// the depth of a queue behind, GPU memory, a GPU that throttles for its
	// temperature. 0 is none; 1 is so much that only CriticalPlus may pass, and
	// one Critical call at a time. In between the lower classes lose first:
	// Sheddable from above 0.25, SheddablePlus from above 0.5, Critical from
	// above 0.75, each in a straight line down to nothing at 1. So map what you
	// measure: GPU memory that is always at 0.95 is no pressure.
	//
	// It is called on a caller's goroutine at most once in 100 ms and never
	// twice at a time, and should return within microseconds: read an atomic
	// that something else keeps up to date. NaN counts as 0. A panic in it
	// counts as 0, too, and in Stats.PressurePanics.
	Pressure func() float64

	_ struct{}
}

// Adaptive configures how the limit is found. The zero value is useful.
//
// The limit grows as long as it is reached and the latency stays below
// Tolerance times the baseline, and shrinks in proportion to what it is above
// that. The baseline is what calls take when only half as many are in flight:
// the limit is halved for a moment now and then to measure it. So it cannot
// drift upward with the latency of a service that is overloaded all the time,
// as a long-term average does, and so it finds the knee: where half the
// concurrency would not be much faster.
type Adaptive struct {
	// Initial is the first limit; 0 means 20, or Max if that is less.
	Initial int

	// Min is the lowest limit; 0 means 1.
	Min int

	// Tolerance is how many times the baseline's latency is fine, above 1 and
	// up to 10; 0 means 1.2. The limit settles where latency is about that.
	Tolerance float64

	// ProbeInterval is how long a baseline is trusted, at least 100 ms; 0 means
	// ten seconds. It is measured again after that if the limit has been
	// reached or calls have become slow (an idle service is not probed), and
	// before that if the limit has fallen by half. A probe takes a few times as
	// long as a call, and at least 100 ms; the next one is not before twenty
	// times as long has passed. In a probe the limit may be below Min.
	ProbeInterval time.Duration

	_ struct{}
}

// withDefaults fills in zero fields of a valid Config. It copies Adaptive.
func (c Config) withDefaults() Config {
	setDefault(&c.MaxWait, defaultMaxWait)
	if c.Adaptive == nil {
		return c
	}
	a := *c.Adaptive
	setDefault(&c.Max, defaultAdaptive)
	setDefault(&a.Min, defaultMin)
	setDefault(&a.Initial, max(a.Min, min(c.Max, defaultInitial)))
	setDefault(&a.Tolerance, defaultTolerance)
	setDefault(&a.ProbeInterval, defaultProbe)
	c.Adaptive = &a
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// validate names everything that is wrong with c, whose defaults are filled in.
func (c Config) validate() error {
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("concurrency: Config."+field+": "+format, args...))
	}
	if c.Max < 1 || c.Max > maxMax {
		fail("Max", "%d is not from 1 to %d", c.Max, maxMax)
	}
	if c.MaxQueue < 0 || c.MaxQueue > maxMax {
		fail("MaxQueue", "%d is not from 0 to %d", c.MaxQueue, maxMax)
	}
	if c.MaxWait < 0 {
		fail("MaxWait", "%v is negative", c.MaxWait)
	}
	if c.MaxBytes < 0 || c.MaxBytes > math.MaxInt64/2 {
		fail("MaxBytes", "%d is not from 0 to %d", c.MaxBytes, int64(math.MaxInt64/2))
	}
	if a := c.Adaptive; a != nil {
		if a.Min < 1 || a.Min > c.Max {
			fail("Adaptive.Min", "%d is not from 1 to Max, which is %d", a.Min, c.Max)
		}
		if a.Initial < max(1, a.Min) || a.Initial > c.Max {
			fail("Adaptive.Initial", "%d is not from Min to Max, which are %d and %d", a.Initial, a.Min, c.Max)
		}
		if !(a.Tolerance > 1 && a.Tolerance <= 10) {
			fail("Adaptive.Tolerance", "%v is not above 1 and up to 10", a.Tolerance)
		}
		if a.ProbeInterval < 100*time.Millisecond {
			fail("Adaptive.ProbeInterval", "%v is below 100ms", a.ProbeInterval)
		}
	}
	return errors.Join(errs...)
}
