package ratelimitredis

import (
	"sync/atomic"
	"time"
)

// health is whether a lane's server answers. While it does not, one call in a
// while asks all the same, and the others do not wait for it.
type health struct {
	down      atomic.Bool
	lastOK    atomic.Int64 // when an answer was in time the last time, after Limiter.base; 0 for never
	nextProbe atomic.Int64 // when a call may ask again
}

// probeEvery is how often a call finds out whether a server is back.
func (l *Limiter) probeEvery() time.Duration { return 2 * l.cfg.Timeout }

// usable says whether the calling call may ask Redis.
func (ln *lane) usable() bool {
	if !ln.down.Load() {
		return true
	}
	now, next := ln.lim.now(), ln.nextProbe.Load()
	return now >= next && ln.nextProbe.CompareAndSwap(next, now+int64(ln.lim.probeEvery()))
}

// succeed notes an answer in time.
func (ln *lane) succeed() {
	ln.lastOK.Store(ln.lim.now())
	if ln.down.Load() && ln.down.CompareAndSwap(true, false) {
		ln.lim.stats.recovered.Add(1)
	}
}

// fail notes an error.
func (ln *lane) fail() {
	if !ln.down.Load() {
		ln.nextProbe.Store(ln.lim.now() + int64(ln.lim.probeEvery()))
		if ln.down.CompareAndSwap(false, true) {
			ln.lim.stats.outages.Add(1)
		}
	}
}

// late notes that a call that came at start got no answer in time. That is an
// outage unless others did: then it is a queue.
func (ln *lane) late(start int64) {
	if ln.lastOK.Load() < start {
		ln.fail()
	}
}

func (ln *lane) unavailable(cause error) error {
	return &unavailable{cause: cause, delay: ln.lim.probeEvery()}
}
