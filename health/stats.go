package health

import "time"

// Stats is how things stood when Stats was called. It is for logs and metrics:
// the texts are the checks' own and do not belong into answers to clients.
type Stats struct {
	State                State
	Live, Started, Ready bool
	Error                string       // of Ready; empty when ready
	Checks               []CheckStats // startup checks, then readiness checks, in Config's order
}

// CheckStats is how one check stood.
type CheckStats struct {
	Name    string
	Startup bool // false for a readiness check

	// OK: the last run passed and, for a readiness check, its result is fresh.
	OK bool
	// Error says why not; empty when OK.
	Error string
	// Stale: the last run passed, but that is too long ago.
	Stale bool
	// Hung: a run is still going on 1 s or more after its timeout.
	Hung bool

	// Runs counts runs that have ended or timed out, Failures those of them
	// that did not pass.
	Runs, Failures uint64
	// Ended is when the last run ended or timed out; zero before the first.
	Ended time.Time
	// Took is how long the last run took, at most the time to its timeout.
	Took time.Duration
}

// Stats returns a copy that is the caller's to keep. All of it is of the same
// moment. It takes no lock.
func (h *Health) Stats() Stats {
	s, now := h.current.Load(), h.now()
	state, ready := s.at(now)
	stats := Stats{
		State:   state,
		Live:    s.live == nil,
		Started: s.started == nil,
		Ready:   ready == nil,
		Error:   text(ready),
		Checks:  make([]CheckStats, len(s.checks)),
	}
	for i, r := range s.checks {
		one := CheckStats{
			Name:     r.name,
			Startup:  r.startup,
			OK:       r.err == nil,
			Error:    text(r.err),
			Hung:     r.hung,
			Runs:     r.runs,
			Failures: r.failures,
			Took:     r.took,
		}
		if r.runs > 0 {
			one.Ended = h.epoch.Add(r.ended)
		}
		if one.OK && now > r.expires {
			one.OK, one.Stale, one.Error = false, true, "stale"
		}
		stats.Checks[i] = one
	}
	return stats
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
