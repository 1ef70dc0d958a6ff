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
	// StateDegraded: ready for traffic, but a dependency is down.
	StateDegraded State = "degraded"
	// StateUnhealthy: a readiness check fails, or Fatal was called.
	StateUnhealthy State = "unhealthy"
	// StateDraining: Drain or Close was called.
	StateDraining State = "draining"
)

// Kind says on which list of Config a check is, and so what it decides.
type Kind string

const (
	KindStartup    Kind = "startup"    // of Config.Startup
	KindReadiness  Kind = "readiness"  // of Config.Readiness
	KindDependency Kind = "dependency" // of Config.Dependencies
	KindLiveness   Kind = "liveness"   // of Config.Liveness
)

// snapshot is all that a probe reads. It never changes once published.
type snapshot struct {
	now     view
	live    error
	started error

	// A result expires at some time since the Health's epoch. From then on a
	// state that is ready is no better than what is said here.
	stale, doubt   view          // of readiness checks, and of dependencies
	expires, fades time.Duration // likewise

	checks     []result
	final      bool          // no state but Fatal's can follow
	draining   bool          // Drain or Close was called
	closed     bool          // Close was called
	superseded chan struct{} // closed when the next snapshot is there
}

// view is a state with its reasons.
type view struct {
	state State
	ready error // what Ready returns
	why   error // nil in StateHealthy only
}

// at returns the view of the given time since the epoch.
func (s *snapshot) at(now time.Duration) *view {
	switch s.now.state {
	case StateHealthy, StateDegraded:
		if now > s.expires {
			return &s.stale
		}
		if now > s.fades && s.now.state == StateHealthy {
			return &s.doubt
		}
	}
	return &s.now
}

// next returns when at will say something else, math.MaxInt64 if never.
func (s *snapshot) next(now time.Duration) time.Duration {
	switch s.at(now).state {
	case StateHealthy:
		return min(s.expires, s.fades)
	case StateDegraded:
		return s.expires
	}
	return math.MaxInt64
}

// snapshot builds the snapshot of what is known now. h.mu is held.
func (h *Health) snapshot() *snapshot {
	s := &snapshot{
		expires:    math.MaxInt64,
		fades:      math.MaxInt64,
		final:      h.fatal != nil || h.draining || h.closed,
		draining:   h.draining || h.closed,
		closed:     h.closed,
		superseded: make(chan struct{}),
		checks:     make([]result, len(h.checks)),
	}
	failing := make(map[Kind][]error)
	for i, c := range h.checks {
		s.checks[i] = c.result
		switch {
		case c.err != nil:
			failing[c.kind] = append(failing[c.kind], c.err)
		case c.kind == KindReadiness && c.expires < s.expires:
			s.expires = c.expires
			err := newChecksError(ErrNotReady, []error{c.overdue()})
			s.stale = view{StateUnhealthy, err, err}
		case c.kind == KindDependency && c.expires < s.fades:
			s.fades = c.expires
			s.doubt = view{StateDegraded, nil, newChecksError(ErrDegraded, []error{c.overdue()})}
		}
	}
	if errs := failing[KindStartup]; len(errs) > 0 {
		s.started = newChecksError(ErrNotStarted, errs)
	}
	if h.fatal != nil {
		s.live = h.fatal
	}
	no := func(state State, why error) view { return view{state, why, why} }
	switch {
	case h.fatal != nil:
		s.now = no(StateUnhealthy, s.live)
	case s.draining:
		s.now = no(StateDraining, ErrDraining)
	case s.started != nil:
		s.now = no(StateStarting, s.started)
	case len(failing[KindReadiness]) > 0:
		s.now = no(StateUnhealthy, newChecksError(ErrNotReady, failing[KindReadiness]))
	case len(failing[KindDependency]) > 0:
		s.now = view{StateDegraded, nil, newChecksError(ErrDegraded, failing[KindDependency])}
	default:
		s.now = view{state: StateHealthy}
	}
	return s
}

func (c *check) overdue() error {
	return fmt.Errorf("check %s: no result for more than %v", c.Name, c.fresh())
}

// publish makes what is known now visible to probes. h.mu is held.
func (h *Health) publish() {
	if old := h.current.Swap(h.snapshot()); old != nil {
		close(old.superseded)
	}
}
