package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// pace is the time between calls. They do not wait for each other: users don't.
const pace = 5 * time.Millisecond

// A phase lasts until it has shown what it is there for.
type phase struct {
	name  string
	toxic string
	shows func(before, now breaker.Stats) bool
}

var phases = []phase{
	{"healthy", "", func(before, now breaker.Stats) bool { return now.Successes >= before.Successes+100 }},
	{"slow", `{"type": "latency", "attributes": {"latency": 500}}`, opens},
	{"resets", `{"type": "reset_peer"}`, opens},
	{"healed", "", func(_, now breaker.Stats) bool { return now.State == breaker.Closed }},
}

// opens: the breaker has opened, and what comes then is refused.
func opens(before, now breaker.Stats) bool {
	return now.Opened > before.Opened && now.Rejected >= before.Rejected+20
}

// A story is a client, a server that gets ill and well again, and what becomes of
// the calls.
type story struct {
	out    io.Writer
	least  time.Duration // of a phase
	server *flaky
	client *client
	host   string

	calls, live, cached, failed atomic.Uint64

	mu     sync.Mutex
	states []string // of the breaker, since they were last told
}

// run tells a story to out, with phases of that length at least.
func run(ctx context.Context, out io.Writer, least time.Duration) error {
	s, err := newStory(out, least)
	if err != nil {
		return err
	}
	defer s.close()
	return s.tell(ctx)
}

func newStory(out io.Writer, least time.Duration) (*story, error) {
	s := &story{out: out, least: least, states: []string{breaker.Closed.String()}}
	var err error
	if s.client, err = newClient(s.onStateChange); err != nil {
		return nil, err
	}
	if s.server, err = startFlaky(); err != nil {
		return nil, err
	}
	u, err := url.Parse(s.server.url)
	if err != nil {
		s.close()
		return nil, err
	}
	s.host = u.Host
	return s, nil
}

func (s *story) close() {
	s.client.http.CloseIdleConnections()
	s.server.close()
}

func (s *story) onStateChange(_ string, _, to breaker.State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.states = append(s.states, to.String())
}

// breaker returns the numbers of the server's.
func (s *story) breaker() breaker.Stats { return s.client.breakers.Get(s.host).Stats() }

func (s *story) tell(ctx context.Context) error {
	fmt.Fprintf(s.out, line, columns...)
	for _, p := range phases {
		if err := s.server.suffer(ctx, p.toxic); err != nil {
			return err
		}
		if err := s.play(ctx, p); err != nil {
			return fmt.Errorf("phase %s: %w", p.name, err)
		}
	}
	calls, retries, budget := s.calls.Load(), s.client.retrier.Stats().Retries, s.client.retrier.Budget().Stats()
	_, err := fmt.Fprintf(s.out, summary, calls, retries, budget.Capacity)
	return err
}

// What is told is a table of phases and a summary.
const (
	line    = "%-8v%7v%6v%8v%8v%9v%9v%9v  %v\n"
	summary = "%d calls, %d retries; the budget allows a tenth and %g more.\n"
)

var columns = []any{"phase", "calls", "live", "cached", "failed", "retries", "refused", "reached", "breaker"}

// play makes calls until the phase is over and all of them are, and sums up.
func (s *story) play(ctx context.Context, p phase) error {
	before := s.numbers()
	was := s.breaker()
	tick := time.NewTicker(pace)
	defer tick.Stop()
	var calls sync.WaitGroup
	for begun := time.Now(); time.Since(begun) < s.least || !p.shows(was, s.breaker()); {
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
		if ctx.Err() != nil {
			break
		}
		calls.Go(func() { s.call(ctx) })
	}
	calls.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	row := []any{p.name}
	for i, n := range s.numbers() {
		row = append(row, n-before[i])
	}
	_, err := fmt.Fprintf(s.out, line, append(row, s.changes())...)
	return err
}

// call makes one call and counts what became of it.
func (s *story) call(ctx context.Context) {
	s.calls.Add(1)
	switch _, live, err := s.client.get(ctx, s.server.url); {
	case err != nil:
		s.failed.Add(1)
	case live:
		s.live.Add(1)
	default:
		s.cached.Add(1)
	}
}

// numbers are the table's, since the beginning.
func (s *story) numbers() [7]uint64 {
	return [...]uint64{
		s.calls.Load(), s.live.Load(), s.cached.Load(), s.failed.Load(),
		s.client.retrier.Stats().Retries, s.breaker().Rejected, s.server.reached.Load(),
	}
}

// changes are the states that the breaker was in since the last call.
func (s *story) changes() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := strings.Join(s.states, " → ")
	s.states = s.states[len(s.states)-1:]
	return text
}
