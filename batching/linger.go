package batching

import (
	"runtime"
	"time"
)

const (
	// lingerProbe is how often a collector lingers although nobody came when
	// it last did, to find out whether that is still so. It is odd, or it could
	// fall in step with items that come in pairs, and see each second one only.
	lingerProbe = 17

	// lingerMemory is the weight of the newest linger among all.
	lingerMemory = 0.25

	// lingerWorth is how many must be expected to join to be worth it. Below 1,
	// because an average that comes from below does not reach what it tends to.
	lingerWorth = 0.5

	// timerSlack is how late a timer may be, in nanoseconds (golang/go#44343).
	timerSlack = int64(time.Millisecond)
)

// lingerings tells whether lingering pays: how many came while collectors
// lingered, and how long that was. Batcher.mu guards it.
type lingerings struct {
	known   bool
	joined  float64 // a lingering
	waited  float64 // nanoseconds a lingering
	skipped int
}

// due reports whether somebody is expected within so many nanoseconds.
func (l *lingerings) due(wait int64) bool {
	if !l.known || l.joined*float64(wait) >= lingerWorth*l.waited {
		return true
	}
	l.skipped++
	return l.skipped%lingerProbe == 0
}

// learn adds a lingering.
func (l *lingerings) learn(joined, waited float64) {
	if !l.known {
		l.known, l.joined, l.waited = true, joined, waited
		return
	}
	l.joined += lingerMemory * (joined - l.joined)
	l.waited += lingerMemory * (waited - l.waited)
}

// linger waits for company, until a batch or the queue is full, an item has
// waited for Linger or must run for its deadline, or the batcher is closed. The
// caller is the collector.
func (b *Batcher[In, Out]) linger(inst *instance) sealReason {
	var began, joined int64
	for {
		b.mu.Lock()
		b.drain()
		now := b.now()
		wait, missing, reason := b.lingerFor(now)
		if began == 0 && wait > 0 {
			if b.lingerings.due(wait) {
				began, joined = now, -b.arrived()
			} else {
				wait, reason = 0, sealIdle
			}
		}
		if wait <= 0 {
			if began != 0 && b.schedule.n > 0 {
				b.lingerings.learn(float64(joined+b.arrived()), float64(now-began))
			}
			b.mu.Unlock()
			return reason
		}
		target := int64(b.schedule.n + missing)
		b.poke.Store(target)
		b.mu.Unlock()
		if places := b.places.Load(); places>>1 >= target || places&closedBit != 0 {
			runtime.Gosched() // they have come since, and are on their way through the inbox
		} else {
			inst.linger.Reset(time.Duration(wait))
			select {
			case <-inst.linger.C:
			case <-b.pokes:
			}
			inst.linger.Stop()
		}
		b.poke.Store(0)
	}
}

// lingerFor returns how long to wait for company, how many items at least are
// missing to a full batch, and why not to wait any longer. b.mu is held.
func (b *Batcher[In, Out]) lingerFor(now int64) (wait int64, missing int, reason sealReason) {
	if b.schedule.n == 0 {
		return 0, 0, sealIdle
	}
	if b.places.Load()&closedBit != 0 {
		return 0, 0, sealClose
	}
	missing = min(b.full, b.cfg.MaxQueue-b.schedule.n) // nobody can join when the queue is full
	for _, g := range b.schedule.groups {
		missing = min(missing, b.full-g.n)
		if most := int64(b.cfg.MaxBatchCost); most > 0 {
			if g.units >= most {
				return 0, 0, sealFull
			}
			missing = min(missing, 1) // each one may be the last that fits
		}
	}
	if missing <= 0 {
		return 0, 0, sealFull
	}
	// Whoever waits longest counts, and whose deadline is nearest, even if they
	// are not the ones to run first.
	wait, reason = int64(b.cfg.Linger), sealLinger
	for w := range b.schedule.all() {
		wait = min(wait, w.since+int64(b.cfg.Linger)-now)
		if w.limit != noLimit {
			if left := b.latest(w) - now; left < wait {
				wait, reason = left, sealDeadline
			}
		}
	}
	return wait, missing, reason
}

// latest returns when w, which has a limit, must run to be answered before it.
// b.mu is held.
func (b *Batcher[In, Out]) latest(w *waiter[In, Out]) int64 {
	if b.speed.freshUntil.Load() == 0 {
		return w.since + (w.limit-w.since)/2 // nothing is known: a fair chance
	}
	return w.limit - b.upcoming() - int64(b.speed.residual.Load()) - timerSlack
}

// arrived returns how many items were ever accepted. b.mu is held.
func (b *Batcher[In, Out]) arrived() int64 { return b.places.Load()>>1 + int64(b.ledger.left()) }
