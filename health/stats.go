package health

import "time"

// Stats is how things stood when Stats was called. It is for logs and metrics:
// the texts are the checks' own and do not belong into answers to clients.
type Stats struct {
	State                State
	Live, Started, Ready bool
	Error                string       // why State is not StateHealthy; empty when it is
	Checks               []CheckStats // startup, readiness, dependencies, liveness, in Config's order
}

// CheckStats is how one check stood.
type CheckStats struct {
	Name    string
	Kind    Kind
	Startup bool // Kind is KindStartup

	// OK: it passes, by Rise and Fall, and the result of a readiness check or a
	// dependency is fresh.
	OK bool
	// Error says why not; empty when OK.
	Error string
	// LastError is why the last run failed, also when OK because of Fall;
	// empty if it passed.
	LastError string
	// Stale: it passes, but the last result is too old.
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
func (h *Health) Stats() Stats { return h.stats(h.current.Load(), h.now()) }

func (h *Health) stats(s *snapshot, now time.Duration) Stats {
	v := s.at(now)
	stats := Stats{
		State:   v.state,
		Live:    s.live == nil,
		Started: s.started == nil,
		Ready:   v.ready == nil,
		Error:   text(v.why),
		Checks:  make([]CheckStats, len(s.checks)),
	}
	for i, r := range s.checks {
		one := CheckStats{
			Name:     r.name,
			Kind:     r.kind,
			Startup:  r.kind == KindStartup,
			OK:       r.err == nil,
			Error:    text(r.err),
			Hung:     r.hung,
			Runs:     r.runs,
			Failures: r.failures,
			Took:     r.took,
		}
		if r.runs > 0 {
			one.LastError = text(r.last)
			one.Ended = h.epoch.Add(r.ended)
		}
		if one.OK && r.ages() && now > r.expires {
			one.OK, one.Stale, one.Error = false, true, "stale"
		}
		stats.Checks[i] = one
	}
	return stats
}

// ages reports whether a pass is worth nothing after a while. Having started is
// for good; and a watchdog that is late says that the process is throttled, which
// no restart cures.
func (r *result) ages() bool { return r.kind == KindReadiness || r.kind == KindDependency }

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
