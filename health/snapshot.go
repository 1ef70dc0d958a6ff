package health

import (
	"fmt"
	"math"
	"time"
)

// State is the overall state, in the word that /health answers with.
type State string

const (
	// StateStarting: a startup check has not passed yet.
	StateStarting State = "starting"
	// StateHealthy: ready for traffic.
	StateHealthy State = "healthy"
	// StateUnhealthy: a readiness check fails, or Fatal was called.
	StateUnhealthy State = "unhealthy"
	// StateDraining: Drain or Close was called.
	StateDraining State = "draining"
)

// snapshot is all that a probe reads. It never changes once published.
type snapshot struct {
	state   State
	live    error
	started error
	ready   error // nil only in StateHealthy

	// From expires on (time since the Health's epoch), a healthy state is
	// worth nothing, and stale says why.
	expires time.Duration
	stale   error

	checks     []result
	final      bool          // no state but Fatal's can follow
	closed     bool          // Close was called
	superseded chan struct{} // closed when the next snapshot is there
}

// at returns the verdict for the given time since the epoch.
func (s *snapshot) at(now time.Duration) (State, error) {
	if s.state == StateHealthy && now > s.expires {
		return StateUnhealthy, s.stale
	}
	return s.state, s.ready
}

// snapshot builds the snapshot of what is known now. h.mu is held.
func (h *Health) snapshot() *snapshot {
	s := &snapshot{
		expires:    math.MaxInt64,
		final:      h.fatal != nil || h.draining || h.closed,
		closed:     h.closed,
		superseded: make(chan struct{}),
		checks:     make([]result, len(h.checks)),
	}
	var starting, failing []error
	for i, c := range h.checks {
		s.checks[i] = c.result
		switch {
		case c.err != nil && c.startup:
			starting = append(starting, c.err)
		case c.err != nil:
			failing = append(failing, c.err)
		case c.expires < s.expires:
			s.expires = c.expires
			s.stale = newChecksError(ErrNotReady, []error{
				fmt.Errorf("check %s: no result for more than %v", c.Name, c.fresh()),
			})
		}
	}
	if len(starting) > 0 {
		s.started = newChecksError(ErrNotStarted, starting)
	}
	if h.fatal != nil {
		s.live = h.fatal
	}
	switch {
	case h.fatal != nil:
		s.state, s.ready = StateUnhealthy, s.live
	case h.draining || h.closed:
		s.state, s.ready = StateDraining, ErrDraining
	case s.started != nil:
		s.state, s.ready = StateStarting, s.started
	case len(failing) > 0:
		s.state, s.ready = StateUnhealthy, newChecksError(ErrNotReady, failing)
	default:
		s.state = StateHealthy
	}
	return s
}

// publish makes what is known now visible to probes. h.mu is held.
func (h *Health) publish() {
	if old := h.current.Swap(h.snapshot()); old != nil {
		close(old.superseded)
	}
}
