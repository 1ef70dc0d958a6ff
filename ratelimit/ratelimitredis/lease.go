package ratelimitredis

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

const (
	// leaseTime is how long tokens that were taken ahead may be spent, and
	// returnTime how old they may be to be given back.
	leaseTime  = 100 * time.Millisecond
	returnTime = 500 * time.Millisecond

	// holderTTL is how long a process counts as a live holder after it last
	// talked to Redis.
	holderTTL = 2 * time.Second

	leaseStripes = 32
)

// A lease is what a process has taken ahead of a key. It is kept as time, as in
// Redis: n events cost n intervals, and no fraction is lost when a lease is no
// multiple of them, or when the limit changes.
type lease struct {
	key     string // canonical
	lane    *lane
	balance time.Duration // to be spent
	expires int64         // when the balance must not be spent any more
	asking  bool          // a call for more is under way
	calls   int           // that ask Redis for what the balance lacks

	used, before time.Duration // what was asked for in this leaseTime, and in the one before

	free time.Duration // what Redis had left when it was last asked,
	at   int64         // and when that was
}

// leases are the leases of a process.
type leases struct {
	lim     *Limiter
	seed    maphash.Seed
	stripes [leaseStripes]stripe

	sweeping sync.Mutex // held by a sweep
	mu       sync.Mutex
	timer    *time.Timer // sweeps; runs while there are keys
	armed    bool
	closed   bool
	keys     int
}

type stripe struct {
	mu     sync.Mutex
	m      map[string]*lease
	served uint64 // calls that were decided here
	_      [40]byte
}

func (ls *leases) init(l *Limiter) {
	ls.lim, ls.seed = l, maphash.MakeSeed()
	for i := range ls.stripes {
		ls.stripes[i].m = make(map[string]*lease)
	}
	ls.timer = time.AfterFunc(time.Hour, ls.sweep)
	ls.timer.Stop()
}

func (ls *leases) stripeOf(key string) *stripe {
	return &ls.stripes[maphash.String(ls.seed, key)%leaseStripes]
}

// add makes room for one more key, or returns false.
func (ls *leases) add() bool {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed || ls.keys >= ls.lim.cfg.MaxKeys {
		return false
	}
	ls.keys++
	if !ls.armed {
		ls.armed = true
		ls.timer.Reset(leaseTime)
	}
	return true
}

// allowLeased decides from the key's lease, and asks Redis if that does not
// suffice. local says that the lease did; the call is counted then.
func (l *Limiter) allowLeased(ctx context.Context, key string, limit ratelimit.Limit, n int) (d ratelimit.Decision, local bool, err error) {
	each := interval(limit)
	cost := each * time.Duration(n)
	now := l.now()
	st := l.leases.stripeOf(key)

	st.mu.Lock()
	le := st.m[key]
	if le == nil {
		if !l.leases.add() {
			st.mu.Unlock()
			d, err = l.allowExact(ctx, key, limit, n)
			return d, false, err
		}
		le = &lease{key: canonical(key), lane: l.laneOf(key)}
		st.m[key] = le
	}
	stale, expired := le.expire(now), le.expires
	le.used += cost
	if le.balance >= cost {
		le.balance -= cost
		st.served++
		d = le.decision(limit, now)
		st.mu.Unlock()
		return d, true, nil
	}
	// What is left of the lease pays for a part of the call.
	part := le.balance
	le.balance = 0
	le.calls++
	var more *call
	if want := max(le.used, le.before); !le.asking && want >= 2*each {
		le.asking = true
		more = newCall(le.key, opLease, limit, 0)
		more.cost, more.least, more.lease = want, 2*each, le
		more.settle = func(c *call) { l.leases.granted(st, c) }
	}
	st.mu.Unlock()
	if stale > 0 {
		l.leases.giveBack(le, stale, expired, false)
	}
	return l.allowBeyond(ctx, st, le, limit, n, part, more)
}

// allowBeyond asks Redis for what a lease lacks to n, and for more if more is
// not nil.
func (l *Limiter) allowBeyond(ctx context.Context, st *stripe, le *lease, limit ratelimit.Limit, n int, part time.Duration, more *call) (d ratelimit.Decision, local bool, err error) {
	if !le.lane.usable() {
		err = le.lane.unavailable(errDown)
		le.settle(st, part, more != nil)
		if more != nil {
			more.free()
		}
		return d, false, err
	}
	c := newCall(le.key, opAsk, limit, n)
	c.cost -= part
	if err = le.lane.ask(ctx, c, more); err != nil {
		le.settle(st, part, err == ErrClosed && more != nil)
		return d, false, err
	}
	taken, ok, room, sent := c.taken, c.ok, c.room, c.sent
	c.free()
	d = decision(limit, n, taken-part, ok)
	d.ResetAfter = max(0, d.ResetAfter)
	if ok {
		part = 0
	}
	st.mu.Lock()
	if more == nil && sent > le.at {
		le.free, le.at = room-d.ResetAfter, sent
	}
	st.mu.Unlock()
	le.settle(st, part, false)
	return d, false, nil
}

// settle ends a call that asked Redis: part of the balance was not needed, and
// notSent says that what it would have leased was not asked for.
func (le *lease) settle(st *stripe, part time.Duration, notSent bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	le.calls--
	le.balance += part
	if notSent {
		le.asking = false
	}
}

// expire takes back what must not be spent any more.
func (le *lease) expire(now int64) (stale time.Duration) {
	if le.balance > 0 && now >= le.expires {
		stale, le.balance = le.balance, 0
	}
	return stale
}

// decision is that of a call that the lease has just paid for. What others take
// meanwhile is not known, so that what remains is an estimate.
func (le *lease) decision(limit ratelimit.Limit, now int64) ratelimit.Decision {
	each := interval(limit)
	room := each * time.Duration(limit.Burst)
	free := le.balance
	if le.at != 0 {
		free += le.free + time.Duration(now-le.at)
	}
	free = min(max(free, 0), room)
	return ratelimit.Decision{OK: true, Limit: limit, Remaining: int(free / each), ResetAfter: room - free}
}

// granted books a lease, or the lack of one.
func (ls *leases) granted(st *stripe, c *call) {
	le, got := c.lease, c.leased
	if c.err != nil {
		got = 0
	}
	expires := c.sent + int64(leaseTime)
	st.mu.Lock()
	le.asking = false
	closed := ls.lim.closed.Load() // nobody will look after it
	if c.err == nil {
		le.free, le.at = c.room-c.taken-got, c.sent
	}
	if got > 0 && !closed {
		le.balance += got
		le.expires = expires
	}
	st.mu.Unlock()
	if got > 0 {
		ls.lim.stats.leasesTaken.Add(1)
		if closed {
			ls.giveBack(le, got, expires, true)
		}
	}
}

// giveBack sends back what was not spent of a lease that expires or expired
// then. Nobody waits for it. inSend says that the caller runs in lane.send.
//
// It is for soon after it was taken, and not for a server that would hear of it
// later. What Redis has meanwhile refilled anyway, because the key was idle, is
// had twice when it is given back: at most Rate times the age of the lease.
func (ls *leases) giveBack(le *lease, rest time.Duration, expires int64, inSend bool) {
	if le.lane.down.Load() || ls.lim.now()-expires > int64(returnTime-leaseTime) {
		ls.lim.stats.leasesLost.Add(1)
		return
	}
	c := calls.Get().(*call)
	c.key, c.op, c.cost = le.key, opCredit, rest
	c.settle = func(c *call) {
		if c.err != nil {
			ls.lim.stats.leasesLost.Add(1)
		} else {
			ls.lim.stats.leasesReturned.Add(1)
		}
	}
	le.lane.post(c, inSend)
}

// sweep gives back what idle keys have, and forgets them.
func (ls *leases) sweep() {
	ls.sweeping.Lock()
	defer ls.sweeping.Unlock()
	gone := 0
	now := ls.lim.now()
	for i := range ls.stripes {
		gone += ls.stripes[i].sweep(ls, now, false)
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	ls.keys -= gone
	if ls.armed = ls.keys > 0 && !ls.closed; ls.armed {
		ls.timer.Reset(leaseTime)
	}
}

// sweep does one stripe, and returns how many keys it has forgotten. all makes
// it take back what may still be spent.
func (st *stripe) sweep(ls *leases, now int64, all bool) (gone int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for key, le := range st.m {
		if all {
			now = le.expires
		}
		if rest := le.expire(now); rest > 0 {
			ls.giveBack(le, rest, le.expires, false)
		}
		le.before, le.used = le.used, 0
		if le.before == 0 && le.balance == 0 && !le.asking && le.calls == 0 {
			delete(st.m, key)
			gone++
		}
	}
	return gone
}

// close gives all leases back.
func (ls *leases) close() {
	ls.mu.Lock()
	ls.closed = true
	ls.timer.Stop()
	ls.mu.Unlock()
	ls.sweeping.Lock()
	defer ls.sweeping.Unlock()
	for i := range ls.stripes {
		ls.stripes[i].sweep(ls, 0, true)
	}
}

func (ls *leases) len() int {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return ls.keys
}

func (ls *leases) served() (n uint64) {
	if ls.lim == nil {
		return 0
	}
	for i := range ls.stripes {
		st := &ls.stripes[i]
		st.mu.Lock()
		n += st.served
		st.mu.Unlock()
	}
	return n
}

// signOff ends this process's life as a holder, where Redis answers. Nothing
// else is under way any more.
func (l *Limiter) signOff(ctx context.Context) {
	if l.holders.Load() == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Timeout)
	defer cancel()
	for _, ln := range l.lanes {
		if !ln.down.Load() {
			l.client.ZRem(ctx, ln.holders, l.id)
		}
	}
}
