package auth

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/internal/rethrow"
)

const (
	defaultMaxEarly     = 5 * time.Minute
	defaultMaxAge       = time.Minute
	defaultTokenTimeout = 30 * time.Second

	// leastReuse is how long a token is kept without asking for the next, if it
	// lives that long: a source that gives out what it has until the last moment
	// would be asked in ever shorter intervals.
	leastReuse = time.Second

	// firstBackoff doubles with each failure, up to maxBackoff.
	firstBackoff, maxBackoff = 250 * time.Millisecond, 30 * time.Second

	// heedRejection is how often Invalidate is heeded. A peer that accepts no token
	// at all must not make each call to it ask for another.
	heedRejection = 30 * time.Second
)

// ReuseConfig configures [NewReuse].
type ReuseConfig struct {
	// Early is how long before a token expires the next one is asked for; it is
	// jittered by up to a quarter more, so that replicas do not ask together, and is
	// at most half of what the token still had to live when it came. 0 means a fifth
	// of that, at most 5 min.
	Early time.Duration
	// MaxAge is after how long a token without an ExpiresAt is asked for anew. 0
	// means 1 min, as Kubernetes clients read their tokens' files.
	MaxAge time.Duration
	// Timeout bounds each call of the source. 0 means 30 s.
	Timeout time.Duration
	// OnError is told of each call of the source that failed, also of those in the
	// background, whose failure nobody notices before the token expires. Those who
	// wait for a token wait for it, too, so it must not ask for one. nil: nobody.
	OnError func(error)

	_ struct{}
}

// Reuse is a [TokenSource] that keeps another's token until shortly before it
// expires. Its methods are safe for concurrent use.
type Reuse struct {
	src TokenSource
	cfg ReuseConfig

	held atomic.Pointer[heldToken]

	mu        sync.Mutex
	flight    *flight // nil: the source is not being asked
	failures  int     // of the source, since it last gave a token
	last      error   // the latest of them
	next      time.Time
	heedAgain time.Time // when Invalidate counts again
	closed    bool
}

// heldToken is never changed.
type heldToken struct {
	Token
	stale    time.Time // from when on the next one is asked for
	rejected bool      // by a peer: whoever needs a token waits for the next one
}

func (h *heldToken) usable(now time.Time) bool {
	return h != nil && (h.ExpiresAt.IsZero() || now.Before(h.ExpiresAt))
}

// flight is a call of the source. Its results are there when done is closed.
type flight struct {
	cancel context.CancelFunc
	done   chan struct{}
	token  Token
	err    error

	exited   bool // the source panicked or called Goexit
	panicked any
	stack    string
}

// NewReuse returns a source that asks src for a token only when the one at hand
// is about to expire: early, in the background, once for all who wait. The
// context that src gets is none of theirs, and ends with Timeout. While src
// fails, the token at hand is given out until it expires, and src is asked
// again after 250 ms, and then after twice that each time, up to 30 s, jittered
// downward by up to half. Without a token the error is an [ErrUnavailable], unless
// src's states that it is not Retryable, and its RetryDelay is when src will be asked
// again. To a breaker of the service that the token is for it should mean nothing:
// breaker.Config.Classify.
//
// A goroutine runs only while src is being asked, one at most; Close ends it.
// It returns everything that is wrong with its arguments.
func NewReuse(src TokenSource, cfg ReuseConfig) (*Reuse, error) {
	var errs []error
	if src == nil {
		errs = append(errs, errors.New("auth: NewReuse: src is nil"))
	}
	for _, d := range []struct {
		name      string
		value     *time.Duration
		byDefault time.Duration
	}{{"Early", &cfg.Early, 0}, {"MaxAge", &cfg.MaxAge, defaultMaxAge}, {"Timeout", &cfg.Timeout, defaultTokenTimeout}} {
		if *d.value < 0 {
			errs = append(errs, fmt.Errorf("auth: ReuseConfig.%s: %v is negative", d.name, *d.value))
		}
		if *d.value == 0 {
			*d.value = d.byDefault
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return &Reuse{src: src, cfg: cfg}, nil
}

// Token returns a token that has not expired. It waits for one, until ctx ends,
// if there is none, or if that was invalidated. Its error, if ctx has not ended,
// has the source's in it, and says by Retryable and RetryDelay when the source
// will be asked again: until then it comes at once. A panic of the source goes on
// in those who wait for it.
func (r *Reuse) Token(ctx context.Context) (Token, error) {
	now := time.Now()
	if h := r.held.Load(); h != nil && now.Before(h.stale) {
		return h.Token, nil
	}
	return r.renew(ctx, now)
}

func (r *Reuse) renew(ctx context.Context, now time.Time) (Token, error) {
	r.mu.Lock()
	h := r.held.Load()
	if h != nil && now.Before(h.stale) { // it has come meanwhile
		r.mu.Unlock()
		return h.Token, nil
	}
	if r.flight == nil && !r.closed && !now.Before(r.next) {
		r.start()
	}
	f, failed := r.flight, &sourceError{r.last, r.next.Sub(now)}
	if r.closed {
		f, failed = nil, &sourceError{cause: errReuseClosed}
	}
	r.mu.Unlock()

	usable := h.usable(now)
	switch {
	case usable && (f == nil || !h.rejected):
		return h.Token, nil
	case f == nil:
		return Token{}, failed
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	}
	switch {
	case f.exited:
		rethrow.Panic(f.panicked, "auth: the token source panicked, see below; it was called in this goroutine:", f.stack)
	case f.err != nil && usable && h.usable(time.Now()):
		return h.Token, nil // to be rejected by one peer is not to be by all
	}
	return f.token, f.err
}

// Invalidate says that a peer rejected the token with this value. If it is the
// one at hand, those who ask next get another, and the old one only if there is
// none to be had. It is heeded once in 30 s: a peer that rejects whatever it gets
// must not make each call ask the source. [NewTransport] calls it on a 401.
func (r *Reuse) Invalidate(value string) {
	h := r.held.Load()
	if h == nil || h.rejected || h.Value != value {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Before(r.heedAgain) {
		return
	}
	if r.held.CompareAndSwap(h, &heldToken{Token: h.Token, rejected: true}) {
		r.heedAgain = now.Add(heedRejection)
	}
}

// Close ends the call of the source that may be under way, and waits for it until
// ctx ends; the error is then that it still hangs. Afterwards the source is not
// asked any more: the token at hand is given out until it expires.
func (r *Reuse) Close(ctx context.Context) error {
	r.mu.Lock()
	r.closed = true
	f := r.flight
	r.mu.Unlock()
	if f == nil {
		return nil
	}
	f.cancel()
	select {
	case <-f.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("auth: Reuse.Close: a call of the token source still hangs: %w", context.Cause(ctx))
	}
}

// start asks the source. r.mu is held.
func (r *Reuse) start() {
	ctx, cancel := context.WithTimeout(context.Background(), r.cfg.Timeout)
	f := &flight{cancel: cancel, done: make(chan struct{}), exited: true}
	r.flight = f
	go r.ask(ctx, f)
}

// ask calls the source, and comes to an end whatever that does.
func (r *Reuse) ask(ctx context.Context, f *flight) {
	defer f.cancel()
	var t Token
	var err error
	defer func() {
		if f.exited {
			if f.panicked = recover(); f.panicked != nil {
				f.stack = rethrow.Stack()
			}
			err = errors.New("auth: the token source panicked")
		}
		r.land(f, t, err)
	}()
	t, err = r.src.Token(ctx)
	f.exited = false
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		// Not %w: whose deadline it was, those who wait could not tell.
		err = fmt.Errorf("auth: the token source did not answer within %v: %v", r.cfg.Timeout, err)
	}
}

// land ends a flight with what the source returned.
func (r *Reuse) land(f *flight, t Token, err error) {
	now := time.Now()
	switch {
	case err != nil:
	case t.Value == "":
		err = errors.New("auth: the token source gave an empty token")
	case !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt):
		err = errors.New("auth: the token source gave a token that has expired")
	}
	if err != nil && r.cfg.OnError != nil {
		r.cfg.OnError(err)
	}
	r.mu.Lock()
	if err == nil {
		f.token = t
		r.failures, r.last, r.next = 0, nil, time.Time{}
		r.held.Store(&heldToken{Token: t, stale: r.staleAt(t, now)})
	} else {
		delay := min(maxBackoff, firstBackoff<<min(r.failures, 10))
		delay -= rand.N(delay / 2)
		r.failures++
		r.last, r.next = err, now.Add(delay)
		f.err = &sourceError{err, delay}
		if r.closed { // which was not the source's failure, and no reason to come again
			f.err = &sourceError{cause: errReuseClosed}
		}
	}
	r.flight = nil
	r.mu.Unlock()
	close(f.done)
}

// staleAt is from when on to ask for the token after t.
func (r *Reuse) staleAt(t Token, now time.Time) time.Time {
	if t.ExpiresAt.IsZero() {
		return now.Add(r.cfg.MaxAge)
	}
	life := t.ExpiresAt.Sub(now)
	early := r.cfg.Early
	if early == 0 {
		early = min(life/5, defaultMaxEarly)
	}
	early = min(early, life/2)
	early += rand.N(early/4 + 1)
	// By the wall clock, as ExpiresAt is: the other one stands still while a machine sleeps.
	return now.Round(0).Add(min(life, max(life-min(early, life/2), leastReuse)))
}
