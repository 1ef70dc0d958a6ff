package concurrency

import "math"

// How windows and probes are made.
const (
	windowTime    = 100e6 // ns that a window takes calls for, at least
	windowCalls   = 50    // that it takes; or, where calls are rare,
	windowFew     = 10    // for as long as one takes, and in a probe, whose word counts for longer,
	windowProbe   = 4     // times as long
	windowDone    = 0.9   // of these calls answered, and it is judged
	windowPatient = 10    // times as long as it took them, or one takes, it waits for that
	probeDepth    = 2     // by what the limit is divided to measure a baseline
	probeRest     = 20    // times what a probe took, before the next
	most          = 1.6   // times the baseline: what neither Tolerance nor chance may exceed; below probeDepth
	tooManyBad    = 0.1   // of a window's calls, for overload
)

// A controller finds the limit. It is pure: it is told the time, in nanoseconds
// since anything, and starts nothing.
//
// It compares geometric means, that is averages of logarithms: what matters is
// by which factor calls have become slower, and of calls that take from
// milliseconds to minutes the arithmetic mean is that of the longest.
type controller struct {
	Adaptive
	max    int
	limit  float64
	streak int // windows in a row that raised it, each by more than the one before

	window window
	last   window  // the last that was judged; for Stats and for the probe after it
	usual  float64 // ns that its calls took; 0 before the first

	base      mean    // the baseline; of no calls at first
	nextProbe int64   // when it is too old
	probedAt  float64 // the limit when it was measured

	probe  phase
	full   window  // the last before the probe
	began  int64   // of the probe
	resume float64 // the limit after it
	target float64 // the limit in it
	since  int64   // that calls find no room and none is answered; 0 if one was
	vain   int     // how often something was done about that
}

type phase uint8

const (
	noProbe  phase = iota
	draining       // limit goes down to target, then calls in flight do
	probing        // the window has calls only that began when that was done
)

// A mean is one of logarithms of nanoseconds.
type mean struct {
	calls       int
	sum, square float64
}

func (m *mean) add(ns int64) {
	x := math.Log(float64(max(1, ns)))
	m.calls++
	m.sum += x
	m.square += x * x
}

func (m *mean) value() float64 { return m.sum / float64(m.calls) }

// doubt is the variance of value.
func (m *mean) doubt() float64 {
	v := m.value()
	return max(0, m.square/float64(m.calls)-v*v) / float64(m.calls)
}

// time is the geometric mean itself, or 0 of no calls.
func (m *mean) time() float64 {
	if m.calls == 0 {
		return 0
	}
	return math.Exp(m.value())
}

// A window is what is known of the calls that began from start until end. It
// is judged when nine in ten of them have been answered, however long that
// takes: at a fixed time it would know the quick ones only, and of these the
// more the busier the service.
type window struct {
	mean
	start, end int64  // end is 0 as long as it takes calls
	first      uint64 // ticket
	begun      int    // calls, once it has an end
	done       int    // calls that were answered, timed or not
	bad        int    // calls that failed of overload
	peak       int    // calls in flight at most
	refused    bool   // some call found no room
}

// A sample is a call that has been answered.
type sample struct {
	began    int64
	outcome  uint64
	tickets  uint64 // given out so far
	inFlight int    // calls, with this one
	refused  bool   // some call found no room lately
	each     int    // calls, that this one stands for
}

func newController(a Adaptive, most int) controller {
	return controller{Adaptive: a, max: most, limit: float64(a.Initial)}
}

// observe learns from a call that was answered now, and reports whether limit
// may have changed.
func (c *controller) observe(now int64, s sample) (changed bool) {
	c.since, c.vain = 0, 0
	if now < c.window.start || now < c.began { // the clock went back
		c.began, c.nextProbe = now, now
		c.restart(now, s)
		return false
	}
	if c.probe == draining {
		return c.drain(now, s)
	}
	c.window.add(now, s)
	takes := c.usual
	if c.probe == probing {
		takes *= windowProbe
	}
	if !c.window.full(now, s, takes, c.usual) {
		return false
	}
	c.last = c.window
	c.usual = c.last.time()
	c.restart(now, s)
	if c.probe == probing {
		c.conclude(now)
	} else {
		c.judge(now)
	}
	return true
}

func (c *controller) restart(now int64, s sample) { c.window = window{start: now, first: s.tickets} }

func (w *window) add(now int64, s sample) {
	w.peak = max(w.peak, s.inFlight)
	w.refused = w.refused || s.refused
	if s.began < w.start || w.end != 0 && s.began >= w.end {
		return
	}
	w.done++
	switch s.outcome {
	case served:
		w.mean.add(now - s.began)
	case overloaded:
		w.bad++
	}
}

// full reports whether the window is to be judged. takes is for how long it
// takes calls if they are few, usual how long one took in the window before.
func (w *window) full(now int64, s sample, takes, usual float64) bool {
	age := float64(now - w.start)
	if w.end == 0 {
		if age < windowTime {
			return false
		}
		w.begun = int((s.tickets-w.first)&ticketMask) / s.each
		if w.begun < windowCalls && (w.begun < windowFew || age < takes) {
			return false
		}
		w.end = now
	}
	return float64(w.done) >= windowDone*float64(w.begun) ||
		age > windowPatient*max(float64(w.end-w.start), usual)
}

// excess is the logarithm of how many times too slow the last window's calls
// were, and not by chance. Up to 0 they were not.
func (c *controller) excess() float64 {
	w := &c.last
	if w.calls == 0 || c.base.calls == 0 {
		return 0
	}
	slower := w.value() - c.base.value()
	chance := math.Sqrt(w.doubt() + c.base.doubt())
	if !c.limited() {
		// Whoever would be turned away for it was not before.
		return slower - math.Log(c.Tolerance) - 4*chance
	}
	return slower - c.margin(chance)
}

// margin is the logarithm of how many times slower is no sign of a queue, when
// chance alone makes a difference of chance.
func (c *controller) margin(chance float64) float64 {
	tolerance := math.Log(c.Tolerance)
	return max(tolerance, min(tolerance+chance, math.Log(most)))
}

// judge moves the limit by the last window.
func (c *controller) judge(now int64) {
	w := &c.last
	switch {
	case w.calls == 0:
	case c.base.calls == 0:
		c.base = w.mean // at whatever load: the first probe is due
		c.nextProbe = now
	case w.peak <= 1, c.base.value()-w.value() > math.Log(c.Tolerance)+2*math.Sqrt(w.doubt()+c.base.doubt()):
		c.base = w.mean // nothing is concurrent, or all is faster than we knew
	}
	stale := now >= c.nextProbe || c.limit < c.probedAt/2
	if stale && w.calls > 0 && w.peak > 1 && (c.limited() || c.excess() > 0) {
		c.startProbe(now)
		return
	}
	c.move()
}

// limited reports whether the limit kept calls out. The lowest class is kept
// out from half of it on.
func (c *controller) limited() bool {
	w := &c.last
	return w.peak >= int(c.limit) || w.refused && 2*w.peak >= int(c.limit)
}

// move shrinks the limit in proportion to what calls were too slow, or grows it
// if it was reached and they were not.
func (c *controller) move() {
	w := &c.last
	bad := float64(w.bad) / float64(max(1, w.calls+w.bad))
	excess := c.excess()
	switch {
	case bad >= tooManyBad:
		c.limit *= 1 - bad/2
		c.streak = 0
	case excess > 0:
		c.limit *= max(0.5, math.Exp(-excess))
		c.streak = 0
	case c.limited() && w.calls > 0:
		c.streak++
		c.limit += min(float64(c.streak)*math.Sqrt(c.limit), c.limit/2)
	}
	c.clamp()
}

func (c *controller) clamp() {
	c.limit = min(max(c.limit, float64(c.Min)), float64(c.max))
}

func (c *controller) startProbe(now int64) {
	level := min(c.limit, float64(c.last.peak))
	c.full = c.last
	c.probe, c.began = draining, now
	c.resume, c.target = c.limit, max(1, math.Floor(level/probeDepth))
	c.limit = max(c.target, level)
}

// drain withholds every second permit that comes back, until only so many are
// out as the probe allows. To withhold all of them would be quicker, but where
// calls are streams of a minute nobody would be let in for half of that.
func (c *controller) drain(now int64, s sample) (changed bool) {
	c.limit = max(c.target, c.limit-0.5*float64(s.each))
	if s.inFlight-1 <= int(c.target) {
		c.probe = probing
		c.limit = c.target
		c.restart(now, s)
	}
	return true
}

// starve is told that a call finds no room while so many are in flight, and
// reports whether limit may have changed. Permits may be held by what does not
// end, such as WebSockets. If they are as many as the limit, no call is answered
// any more that could tell how it goes; so a probe is given up then, or one more
// call let in. But where all calls hang that is one too many: each time it takes
// twice as long until the next.
func (c *controller) starve(now int64, inFlight int, tickets uint64) (changed bool) {
	if c.since == 0 || now < c.since {
		c.since = now
		return false
	}
	patience := windowPatient * max(windowTime, c.usual)
	if float64(now-c.since) <= math.Ldexp(patience, c.vain) {
		return false
	}
	c.since = now
	c.vain++
	if c.probe == noProbe {
		c.limit = max(c.limit, float64(inFlight)) + 1 // more than the one, where it is a class's share that is used up
		c.clamp()
		return true
	}
	c.endProbe(now)
	c.nextProbe += (windowPatient - 1) * (c.nextProbe - now) // the next one is likely to be as vain
	c.last = c.full
	c.restart(now, sample{tickets: tickets})
	return true
}

// conclude sets the baseline by what calls took in the probe, against what
// those before it took with twice as many in flight.
func (c *controller) conclude(now int64) {
	half, full := &c.last, &c.full
	if half.calls > 0 {
		chance := math.Sqrt(half.doubt() + full.doubt())
		helps := full.value()-half.value() > min(c.margin(chance), math.Log(most))
		// If half the concurrency helps, calls queue, and maybe those of the
		// probe did, too: they can lower the baseline, but not raise it. If it
		// does not, this is what calls take now.
		if !helps || half.value() < c.base.value() {
			c.base = half.mean
		}
	}
	c.endProbe(now)
	c.last = c.full
	c.usual = c.last.time()
	c.move()
}

func (c *controller) endProbe(now int64) {
	c.probe, c.limit, c.probedAt = noProbe, c.resume, c.resume
	c.nextProbe = now + max(int64(c.ProbeInterval), probeRest*(now-c.began))
	c.clamp() // Max may be another by now
}
