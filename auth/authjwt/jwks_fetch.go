package authjwt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"
)

// grace is how long after its timeout a fetch may take to return.
const grace = time.Second

// tick is called by the timer.
func (j *JWKS) tick() {
	j.mu.Lock()
	hangs := j.hangs(time.Now())
	if hangs != nil {
		j.running++
	}
	j.step()
	j.mu.Unlock()
	if hangs != nil {
		defer j.leave()
		j.cfg.OnError(hangs)
	}
}

// hangs notes, once for each fetch, that it does not heed its context: that counts
// as a failure, though there is no other fetch before it has returned. j.mu is held.
func (j *JWKS) hangs(now time.Time) error {
	if !j.fetching || j.overdue || j.closed || now.Before(j.deadline()) {
		return nil
	}
	j.overdue = true
	j.failures++
	return j.failed(fmt.Errorf("has not returned after %v", j.cfg.Timeout+grace))
}

// deadline is when a fetch that runs is overdue.
func (j *JWKS) deadline() time.Time { return j.plan.began.Add(j.cfg.Timeout + grace) }

// step does what is due, and sets the timer for what is due next. j.mu is held.
func (j *JWKS) step() {
	if j.closed {
		return
	}
	now := time.Now()
	var next time.Time // zero: nothing
	if j.current.Load() != nil {
		if next = j.success.Add(j.cfg.MaxStale); !now.Before(next) {
			j.current.Store(nil)
			next = time.Time{}
		}
	}
	if !j.fetching && !now.Before(j.plan.next()) {
		j.fetching, j.overdue = true, false
		j.begun++
		j.plan.begin(now)
		j.running++
		go j.fetch()
	}
	switch {
	case !j.fetching:
		next = earlier(next, j.plan.next())
	case !j.overdue:
		next = earlier(next, j.deadline())
	}
	if next.IsZero() {
		j.timer.Stop()
	} else {
		j.timer.Reset(next.Sub(now))
	}
}

// earlier returns the earlier of a and b; a zero a is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || b.Before(a) {
		return b
	}
	return a
}

// fetch reads a document and ends the fetch, whichever way the source ends.
func (j *JWKS) fetch() {
	defer j.leave()
	var set *KeySet
	var sum [sha256.Size]byte
	err := errors.New("ended its goroutine by runtime.Goexit")
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panicked: %v", v)
		}
		if err = j.end(set, sum, err); err != nil {
			j.cfg.OnError(err)
		}
	}()
	ctx, cancel := context.WithTimeout(j.ctx, j.cfg.Timeout)
	defer cancel()
	set, sum, err = j.read(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("no answer within %v: %w", j.cfg.Timeout, err)
	}
}

// read returns the keys of a new document: those from before if they are the same.
func (j *JWKS) read(ctx context.Context) (set *KeySet, sum [sha256.Size]byte, err error) {
	document, err := j.origin.load(ctx)
	if err != nil {
		return nil, sum, err
	}
	sum = sha256.Sum256(document)
	// Only the goroutine that fetches changes these.
	if j.last != nil && sum == j.sum {
		return j.last, sum, nil
	}
	if set, err = ParseKeySet(document); err == nil && set.equal(j.last) {
		set = j.last
	}
	return set, sum, err
}

// end is to be called when a fetch is over. It returns what to tell OnError.
func (j *JWKS) end(set *KeySet, sum [sha256.Size]byte, err error) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.fetching = false
	if j.closed { // a cancelled fetch says nothing
		return nil
	}
	now := time.Now()
	if err != nil {
		if !j.overdue { // which was counted
			j.failures++
		}
		err = j.failed(err)
	} else {
		j.err, j.last, j.sum, j.success = nil, set, sum, now
		j.current.Store(set)
		j.plan.succeed(now)
		j.release()
	}
	j.step()
	return err
}

// failed plans what follows a failure, and returns it as it is told. j.mu is held.
func (j *JWKS) failed(err error) error {
	after := time.Duration(0)
	if asks, ok := errors.AsType[interface {
		error
		RetryDelay() time.Duration
	}](err); ok {
		after = asks.RetryDelay()
	}
	j.plan.fail(time.Now(), after)
	j.err = fmt.Errorf("authjwt: keys from %s: %w", j.origin.name, err)
	j.release()
	return j.err
}

// release lets those who wait look. j.mu is held.
func (j *JWKS) release() {
	j.absent.forget()
	close(j.ended)
	j.ended = make(chan struct{})
}
