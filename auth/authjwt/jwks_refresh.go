package authjwt

import (
	"context"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// maxWaiting is how many calls of Refresh may wait at a time.
const maxWaiting = 1024

// Refresh returns a set with the key kid, or the current one if there is no such
// key. It may wait for a fetch, by the rules that [JWKS] states, but for no longer
// than Timeout. The error is an auth.ErrUnavailable if it cannot be told whether there
// is such a key, since the source does not answer or there are no keys at all yet,
// and ctx's own if ctx has ended. After Close it returns the current set at once.
func (j *JWKS) Refresh(ctx context.Context, seen *KeySet, kid string) (*KeySet, error) {
	j.asked.Add(1)
	if ctx.Err() != nil {
		return seen, gaveUp(ctx)
	}
	q := question{seen: seen, kid: kid, hash: j.hash(kid)}
	a := j.enter(&q)
	if a.later == nil {
		return a.set, a.err
	}
	defer j.depart()
	wait, cancel := context.WithTimeout(ctx, j.cfg.Timeout)
	defer cancel()
	for {
		select {
		case <-a.later:
			if a = j.look(&q); a.later == nil {
				return a.set, a.err
			}
		case <-wait.Done():
			if ctx.Err() != nil {
				return seen, gaveUp(ctx)
			}
			return j.timedOut(&q)
		}
	}
}

func (j *JWKS) hash(kid string) uint64 { return maphash.String(j.seed, kid) }

// gaveUp is why the wait for keys was of no use to whoever asked.
func gaveUp(ctx context.Context) error {
	return fmt.Errorf("authjwt: waiting for keys: %w", ctx.Err())
}

// question is a call of Refresh.
type question struct {
	seen  *KeySet
	kid   string
	hash  uint64
	needs uint64 // the first fetch to begin after the question came
}

// answeredBy reports whether set has what is asked for. Without a kid that is
// whatever was not seen yet.
func (q *question) answeredBy(set *KeySet) bool {
	if set == nil {
		return false
	}
	if q.kid == "" {
		return set != q.seen
	}
	_, known := set.find(q.kid, "")
	return known
}

// answer is what Refresh returns, or when to look again.
type answer struct {
	set   *KeySet
	err   error
	later <-chan struct{} // nil: this is it
}

// enter answers q at once, or counts it among those who wait.
func (j *JWKS) enter(q *question) answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	set := j.KeySet()
	now := time.Now()
	held := j.plan.allowed.Sub(now) // for how long no fetch may begin
	switch {
	case q.answeredBy(set):
		return answer{set: set}
	case j.closed:
		return j.known(set)
	case set != nil && j.absent.has(q.hash) && (j.fetching || held > 0):
		return answer{set: set}
	case j.overdue:
		return j.unknown(q)
	}
	q.needs = j.begun + 1
	j.want()
	switch {
	case !j.fetching && held >= j.cfg.Timeout: // then no wait is long enough
		return j.unknown(q)
	case j.waiting >= maxWaiting:
		j.refused++
		return j.known(set)
	}
	j.waiting++
	return answer{later: j.ended}
}

// look answers q after a fetch, or says when to look again.
func (j *JWKS) look(q *question) answer {
	j.mu.Lock()
	defer j.mu.Unlock()
	set := j.KeySet()
	done := j.begun
	if j.fetching {
		done--
	}
	switch {
	case q.answeredBy(set):
		return answer{set: set}
	case j.closed:
		return j.known(set)
	case j.err != nil:
		return j.unknown(q)
	case done >= q.needs:
		j.absent.add(q.hash)
		return answer{set: set}
	}
	j.want()
	return answer{later: j.ended}
}

// timedOut answers q after Timeout.
func (j *JWKS) timedOut(q *question) (*KeySet, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if set := j.KeySet(); q.answeredBy(set) {
		return set, nil
	}
	a := j.unknown(q)
	return a.set, a.err
}

func (j *JWKS) depart() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting--
}

// want asks for a fetch to begin as soon as one may. While one runs, those who
// wait for its end will ask if it was not what they need. j.mu is held.
func (j *JWKS) want() {
	if !j.fetching && !j.plan.wanted {
		j.plan.wanted = true
		j.step()
	}
}

// known answers with the keys that there are. j.mu is held.
func (j *JWKS) known(set *KeySet) answer {
	if set == nil {
		return j.unknown(&question{})
	}
	return answer{set: set}
}

// unknown answers that nobody can tell. j.mu is held.
func (j *JWKS) unknown(q *question) answer {
	reason := "no keys yet"
	switch {
	case j.err != nil:
		reason = j.err.Error()
	case j.fetching:
		reason = "no answer yet from " + j.origin.name
	}
	return answer{set: q.seen, err: &auth.Error{
		Cause:      auth.ErrUnavailable,
		Reason:     reason,
		RetryAfter: max(0, time.Until(j.plan.allowed)),
	}}
}

// absentKids remembers hashes of key ids, the newest for each place.
type absentKids [1024]uint64

func (a *absentKids) add(hash uint64)      { a[hash%uint64(len(a))] = hash }
func (a *absentKids) has(hash uint64) bool { return a[hash%uint64(len(a))] == hash && hash != 0 }
func (a *absentKids) forget()              { clear(a[:]) }
