package authjwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// JWKS is a [KeySource] that fetches a JWK Set and keeps it fresh. KeySet is one
// atomic load: tokens with keys that are known never wait, whatever the source does.
//
// A token that names another key may be the first after a rotation, or made up by
// anybody. Refresh, which is called for both, keeps to these rules:
//
//   - There is one fetch at a time. One for the sake of such tokens begins MinInterval
//     after the beginning of the one before, at the earliest. The schedule does not
//     draw on that: while the source answers, no document is older than RefreshInterval.
//   - A call waits for a fetch that begins after it has come, since one that has begun
//     before may have missed the key. So the first token of a new key is accepted
//     within MinInterval and one fetch (of the fetch that runs and another one, if these
//     take longer), flood or no flood, and not refused, but for the next two rules.
//   - At most 1024 calls wait. Further ones are answered with the keys at hand, and so a
//     token of a key newer than these is refused. That ends with the next fetch, which
//     is made all the same: whose keys are known then has nothing to wait for.
//   - A kid that the last document was found to lack is not looked for again, but answered
//     at once, until MinInterval has passed or another fetch has ended. Up to 1024 such
//     kids are remembered, as hashes.
//   - A wait ends with its context, after Timeout, or when the source fails. The error
//     is then an auth.ErrUnavailable with when to come again. After a failure nothing is
//     fetched for MinInterval, twice as long after each further one, up to 30 s, plus
//     up to half of that at random, or for as long as the source's Retry-After asks, up
//     to RefreshInterval.
//
// A document that [ParseKeySet] refuses never takes the place of one that it takes.
// One with the same keys as before keeps the [KeySet], and so what a [Verifier]
// remembers.
//
// It is safe for concurrent use. While a fetch runs there is a goroutine, which
// Close waits for; whoever made a JWKS closes it.
type JWKS struct {
	cfg     JWKSConfig
	origin  origin
	ctx     context.Context // of fetches
	cancel  context.CancelFunc
	seed    maphash.Seed
	current atomic.Pointer[KeySet] // nil: none that may be used
	asked   atomic.Uint64          // calls of Refresh

	mu       sync.Mutex
	plan     plan
	timer    *time.Timer
	fetching bool
	overdue  bool          // the fetch does not heed its context
	begun    uint64        // fetches
	ended    chan struct{} // closed when the fetch that runs, or else the next, is over
	err      error         // of the fetch that ended last
	last     *KeySet       // of the newest good document
	sum      [sha256.Size]byte
	success  time.Time // when that was
	failures uint64
	refused  uint64
	waiting  int
	absent   absentKids

	running int // goroutines
	closed  bool
	idle    chan struct{} // closed when closed and none runs
}

// NewJWKS begins to fetch, and returns at once: Ready waits for the first keys.
func NewJWKS(cfg JWKSConfig) (*JWKS, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	j := &JWKS{
		cfg:    cfg,
		origin: cfg.origin(),
		seed:   maphash.MakeSeed(),
		plan:   newPlan(cfg, time.Now()),
		ended:  make(chan struct{}),
		idle:   make(chan struct{}),
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.mu.Lock()
	defer j.mu.Unlock()
	j.timer = time.AfterFunc(cfg.RefreshInterval, j.tick)
	j.step()
	return j, nil
}

// KeySet returns the current keys, or nil before the first document and once the
// last is older than MaxStale.
func (j *JWKS) KeySet() *KeySet { return j.current.Load() }

// Ready waits until there are keys and returns nil. If ctx ends first, the error is
// ctx's and says why there are none.
func (j *JWKS) Ready(ctx context.Context) error {
	for {
		j.mu.Lock()
		ended, closed, why := j.ended, j.closed, j.err
		j.mu.Unlock()
		switch {
		case j.KeySet() != nil:
			return nil
		case closed:
			return fmt.Errorf("authjwt: no keys from %s: closed", j.origin.name)
		}
		select {
		case <-ended:
		case <-ctx.Done():
			if why == nil {
				why = errNoAnswer
			}
			return fmt.Errorf("authjwt: no keys from %s: %w: %w", j.origin.name, why, ctx.Err())
		}
	}
}

// errNoAnswer: the first fetch is still running.
var errNoAnswer = errors.New("no answer yet")

// JWKSStats is a [JWKS] in numbers.
type JWKSStats struct {
	Keys        int       // that are trusted now
	Fetches     uint64    // that were begun
	Failures    uint64    // of these
	LastSuccess time.Time // when a good document was read last; zero: never

	Asked   uint64 // calls of Refresh: tokens with keys that were not there
	Refused uint64 // of these those that too many others waited with
	Waiting int    // of these, at present
}

// Stats returns the numbers.
func (j *JWKS) Stats() JWKSStats {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := JWKSStats{Fetches: j.begun, Failures: j.failures, LastSuccess: j.success,
		Asked: j.asked.Load(), Refused: j.refused, Waiting: j.waiting}
	if set := j.KeySet(); set != nil {
		s.Keys = len(set.keys)
	}
	return s
}

// Close ends the fetching and waits until no goroutine is left; calls of Refresh
// and Ready end, too. The last keys stay, for good. If ctx ends first, the error is
// ctx's and says what still runs. Calling it again waits again.
func (j *JWKS) Close(ctx context.Context) error {
	j.mu.Lock()
	if !j.closed {
		j.closed = true
		j.timer.Stop()
		j.cancel()
		close(j.ended)
		j.idleIfLast()
	}
	j.mu.Unlock()
	select {
	case <-j.idle:
		return nil
	default:
	}
	select {
	case <-j.idle:
		return nil
	case <-ctx.Done():
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	what := "OnError"
	if j.fetching {
		what = fmt.Sprintf("a fetch of %s, begun %v ago,", j.origin.name, time.Since(j.plan.began).Round(time.Millisecond))
	}
	return fmt.Errorf("authjwt: close: %s has not returned: %w", what, ctx.Err())
}

// leave is to be called when a goroutine ends.
func (j *JWKS) leave() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.running--
	j.idleIfLast()
}

// idleIfLast is to be called with j.mu held.
func (j *JWKS) idleIfLast() {
	if j.closed && j.running == 0 {
		j.origin.close()
		close(j.idle)
	}
}
