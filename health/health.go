package health

import (
	"context"
	"fmt"
	"iter"
	"math"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Health knows how the process is. Make one with New. All methods may be
// called concurrently.
type Health struct {
	epoch      time.Time // times are kept as durations since then, monotonic
	drainDelay time.Duration
	ctx        context.Context // of all checks; ended by Close
	cancel     context.CancelFunc
	current    atomic.Pointer[snapshot]
	verbose    func(*http.Request) bool // nil: nobody
	parting    chan struct{}            // closed by Drain and Close
	base       context.Context          // what Context returns
	cut        context.CancelCauseFunc

	mu       sync.Mutex // never taken by a probe
	checks   []*check
	fatal    *FatalError
	draining bool
	drained  time.Duration // since the epoch: when Drain returns
	closed   bool
	hook     bool          // the goroutine that calls OnStateChange is there
	active   int           // goroutines
	idle     chan struct{} // closed when there are none after Close
}

// New starts the checks of c in the background and returns without waiting for
// their first results: until those are there the process is not ready. The
// error joins everything that is wrong with c, each naming its field; nothing
// has been started then. The caller must call Close.
func New(c Config) (*Health, error) {
	checks, err := c.checks()
	if err != nil {
		return nil, err
	}
	h := &Health{
		epoch:      time.Now(),
		drainDelay: c.drainDelay(),
		checks:     checks,
		hook:       c.OnStateChange != nil,
		active:     len(checks),
		idle:       make(chan struct{}),
		verbose:    c.Verbose,
		parting:    make(chan struct{}),
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.base, h.cut = context.WithCancelCause(context.Background())
	h.publish()
	if h.hook {
		h.active++
		go h.notify(c.OnStateChange)
	}
	for _, one := range checks {
		go h.watch(one)
	}
	return h, nil
}

// Live returns nil unless Fatal has been called, or a LivenessCheck has failed for
// good; then a *FatalError. Nothing else fails liveness. It does no I/O, takes no
// lock and does not allocate.
func (h *Health) Live() error { return h.current.Load().live }

// Started returns nil once every startup check has passed, for good; before
// that an error that is ErrNotStarted. It does no I/O, takes no lock and does
// not allocate.
func (h *Health) Started() error { return h.current.Load().started }

// Ready returns nil if this process should get traffic. If not, the error is
// the first that applies of ErrFatal, ErrDraining, ErrNotStarted and
// ErrNotReady. The text names the checks that fail and what they returned: it
// is for logs, not for clients. Ready reads the clock once; it does no I/O,
// takes no lock and does not allocate.
func (h *Health) Ready() error { return h.view().ready }

// State returns the overall state, and why it is not StateHealthy: nil if it is,
// an error that is ErrDegraded in StateDegraded, else what Ready returns. It
// costs what Ready costs.
func (h *Health) State() (State, error) {
	v := h.view()
	return v.state, v.why
}

func (h *Health) view() *view { return h.current.Load().at(h.now()) }

// Changes yields the state and why, as State does, then again whenever the state
// has changed, also by results that turn stale, and after the first Fatal and the
// first of Drain and Close in any case, until ctx or the Health ends. A state that has passed
// while the loop was busy is skipped. It starts no goroutine, and any number may
// run.
func (h *Health) Changes(ctx context.Context) iter.Seq2[State, error] {
	return func(yield func(State, error) bool) {
		type news struct {
			state                   State
			fatal, started, parting bool
		}
		var told news // none yet
		for {
			s, now := h.current.Load(), h.now()
			v := s.at(now)
			if is := (news{v.state, s.live != nil, s.started == nil, s.draining}); is != told {
				told = is
				if !yield(v.state, v.why) {
					return
				}
			}
			if s.closed || !h.wait(ctx, s, s.next(now)) {
				return
			}
		}
	}
}

// wait waits until s is no longer what holds, or has come to say something else,
// at the time then; false means that ctx has ended.
func (h *Health) wait(ctx context.Context, s *snapshot, then time.Duration) bool {
	var due <-chan time.Time
	if then < math.MaxInt64 {
		timer := time.NewTimer(then - h.now() + 1)
		defer timer.Stop()
		due = timer.C
	}
	select {
	case <-s.superseded:
	case <-due:
	case <-ctx.Done():
		return false
	}
	return true
}

// now is one monotonic read of the clock.
func (h *Health) now() time.Duration { return time.Since(h.epoch) }

// WaitReady waits until the process is ready and returns nil. It gives up when
// ctx ends, with an error that is both Ready's and ctx's, and when the process
// can no longer become ready, with ErrFatal or ErrDraining. It is meant for a
// main that announces itself, and for tests.
func (h *Health) WaitReady(ctx context.Context) error {
	for {
		s := h.current.Load()
		err := s.at(h.now()).ready
		if err == nil || s.final {
			return err
		}
		select {
		case <-s.superseded:
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", err, ctx.Err())
		}
	}
}

// Fatal declares that only a restart can cure this process: from now on, and
// for good, it is neither live nor ready. The first cause is kept, later calls
// do nothing. A nil cause is allowed, and unkind to whoever reads the log. Checks
// may call it.
func (h *Health) Fatal(cause error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.fatal == nil {
		h.fatal = &FatalError{Cause: cause}
		h.publish()
	}
}

// Drain makes the process not ready, at once and for good, then waits
// Config.DrainDelay, in which traffic that still arrives must be served, and
// returns nil. Call it first, then http.Server.Shutdown, then Close. Liveness
// is not touched.
//
// If ctx ends first the error is ctx's, and the process goes on draining.
// Further calls wait for the same end; after it they return nil at once.
func (h *Health) Drain(ctx context.Context) error {
	wait := h.part()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("health: drain cut short: %w", ctx.Err())
	}
}

// part makes the process not ready and returns how long Drain has yet to wait.
func (h *Health) part() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.draining {
		h.draining = true
		h.drained = h.now() + h.drainDelay
		if !h.closed {
			close(h.parting)
		}
		h.publish()
	}
	return h.drained - h.now()
}

// Draining returns a channel that is closed by the first call of Drain or Close:
// for who holds a stream or a connection open and can end it well, in its own
// time.
func (h *Health) Draining() <-chan struct{} { return h.parting }

// Context ends, with the cause ErrDraining, when Serve is about to cut what is
// still in flight, and on Close. It is the parent of the contexts of all HTTP
// requests under Serve, and says to others when to send their last words.
func (h *Health) Context() context.Context { return h.base }

// Close ends the checks by cancelling their contexts, waits until every
// goroutine of h has ended and returns nil. The process is not ready from then
// on; call it after Drain and http.Server.Shutdown. If ctx ends first the error
// is ctx's and names the checks that still hang. Calling it again waits again.
func (h *Health) Close(ctx context.Context) error {
	h.mu.Lock()
	if !h.closed {
		h.closed = true
		if !h.draining {
			close(h.parting)
		}
		h.publish()
		h.cancel()
		h.cut(ErrDraining)
		h.idleIfLast()
	}
	h.mu.Unlock()
	select {
	case <-h.idle:
		return nil
	default:
	}
	select {
	case <-h.idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("health: close: %s: %w", h.hanging(), ctx.Err())
	}
}

// notify tells the hook about each change of the state, and about Fatal also
// when the state was unhealthy before, until Close.
func (h *Health) notify(hook func(from, to State, why error)) {
	defer h.leave(nil)
	defer func() {
		h.mu.Lock()
		h.hook = false
		h.mu.Unlock()
	}()
	from, live := StateStarting, true
	for {
		s := h.current.Load()
		if to := s.now.state; to != from || live != (s.live == nil) {
			hook(from, to, s.now.why)
			from, live = to, s.live == nil
		}
		if s.closed {
			return
		}
		<-s.superseded
	}
}

// enter accounts for the goroutine that is about to run c's Func.
func (h *Health) enter(c *check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c.running = true
	h.active++
}

// leave accounts for the end of a goroutine; c is not nil if it ran a Func.
func (h *Health) leave(c *check) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if c != nil {
		c.running = false
	}
	h.active--
	h.idleIfLast()
}

// idleIfLast lets Close return. Only a goroutine that is accounted for itself
// enters another, so that zero is reached once. h.mu is held.
func (h *Health) idleIfLast() {
	if h.closed && h.active == 0 {
		close(h.idle)
	}
}

// hanging names what keeps Close waiting.
func (h *Health) hanging() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var names []string
	for _, c := range h.checks {
		if c.running {
			names = append(names, "check "+c.Name)
		}
	}
	if h.hook {
		names = append(names, "Config.OnStateChange")
	}
	return "still running: " + strings.Join(names, ", ")
}
