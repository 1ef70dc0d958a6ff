package breaker

// An Outcome is what a call says of the health of what it called.
type Outcome uint8

const (
	// Success: what was called works, whatever it thinks of the caller.
	Success Outcome = iota
	// Failure: it does not.
	Failure
	// Ignore: the call says nothing, because its caller gave up, or because
	// something else stood in its way.
	Ignore
)

// String returns "success", "failure" or "ignore".
func (o Outcome) String() string {
	switch o {
	case Success:
		return "success"
	case Failure:
		return "failure"
	case Ignore:
		return "ignore"
	}
	return "unknown"
}

// A State is what a breaker does with calls.
type State uint8

const (
	// Closed: every call is let through.
	Closed State = iota
	// Open: none is, until the open time is over.
	Open
	// HalfOpen: Config.Probes calls are.
	HalfOpen
	// Recovering: more and more are.
	Recovering
	// ForcedOpen: none is, until [Breaker.Reset] or ForceClosed.
	ForcedOpen
	// ForcedClosed: every call is, until [Breaker.Reset] or ForceOpen.
	ForcedClosed
)

// String returns the state's name as metrics have it, such as "half_open".
func (s State) String() string {
	switch s {
	case Closed:
		return "closed"
	case Open:
		return "open"
	case HalfOpen:
		return "half_open"
	case Recovering:
		return "recovering"
	case ForcedOpen:
		return "forced_open"
	case ForcedClosed:
		return "forced_closed"
	}
	return "unknown"
}
