package authjwt

import (
	"math/rand/v2"
	"time"
)

// maxBackoff is the longest pause after a failure that nobody asked for.
const maxBackoff = 30 * time.Second

// plan says when to fetch. It has no clock of its own.
type plan struct {
	refresh, least time.Duration // RefreshInterval, MinInterval

	began   time.Time // when the last fetch did
	due     time.Time // when the next one is, wanted or not
	allowed time.Time // when it may begin at the earliest because it is wanted
	wanted  bool
	pause   time.Duration // after the last failure, before jitter; 0: it succeeded
}

// newPlan returns a plan with a first fetch at once.
func newPlan(cfg JWKSConfig, now time.Time) plan {
	return plan{refresh: cfg.RefreshInterval, least: cfg.MinInterval, due: now, allowed: now}
}

// next is when the next fetch begins, if none is running.
func (p *plan) next() time.Time {
	if p.wanted {
		return earlier(p.due, p.allowed)
	}
	return p.due
}

func (p *plan) begin(now time.Time) { p.began, p.wanted = now, false }

func (p *plan) succeed(now time.Time) {
	p.pause = 0
	p.due = now.Add(p.refresh - rand.N(p.refresh/10+1))
	p.allowed = p.began.Add(p.least)
}

// fail plans the next attempt after a pause, or after what the source asks for if
// that is longer. What is wanted waits as well: anybody can want.
func (p *plan) fail(now time.Time, after time.Duration) {
	p.pause = max(p.least, min(2*p.pause, maxBackoff, p.refresh))
	pause := p.pause + rand.N(p.pause/2+1)
	p.due = now.Add(max(pause, min(after, p.refresh)))
	p.allowed = p.due
}
