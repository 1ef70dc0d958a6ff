package breaker_test

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// A pair is a breaker beside its reference.
type pair struct {
	t       *testing.T
	b       *breaker.Breaker
	r       *reference
	now     time.Duration
	permits []*breaker.Permit
	twins   []*refPermit
	was     time.Duration // the recovery's interval before
	seen    map[[2]breaker.State]int
}

// refConfigs are what Reconfigure chooses from, all without defaults.
var refConfigs = []breaker.Config{
	{FailureRate: 0.5, SlowRate: 0.5, ConsecutiveFailures: 5, MinCalls: 10, Window: 10 * time.Second,
		OpenFor: time.Second, MaxOpenFor: 3 * time.Second, Probes: 3, ProbeTTL: 2 * time.Second},
	{FailureRate: 0.3, SlowRate: 0.4, SlowAfter: 50 * time.Millisecond, ConsecutiveFailures: -1, MinCalls: 5, Window: time.Second,
		OpenFor: 100 * time.Millisecond, MaxOpenFor: time.Second, Probes: 1, ProbeTTL: time.Second},
	{FailureRate: 1, SlowRate: 1, SlowAfter: time.Millisecond, ConsecutiveFailures: 1000, MinCalls: 3, Window: 64 * time.Millisecond,
		OpenFor: time.Second, MaxOpenFor: time.Minute, Probes: 10, ProbeTTL: 100 * time.Millisecond},
	{FailureRate: 0.5, SlowRate: 0.5, ConsecutiveFailures: 5, MinCalls: 10, Window: 10 * time.Second,
		OpenFor: time.Minute, MaxOpenFor: time.Hour, Probes: 5, ProbeTTL: time.Minute},
}

func newPair(t *testing.T, cfg breaker.Config) *pair {
	return &pair{t: t, b: newBreaker(t, cfg), r: newReference(cfg), seen: map[[2]breaker.State]int{}}
}

func (p *pair) at() time.Time { return p.b.Epoch().Add(p.now) }

func (p *pair) allow() {
	before, gen := p.r.state, p.r.gen
	twin, decides := p.r.allow(p.now)
	permit, err := p.b.AllowAt(p.at())
	if (permit == nil) == (err == nil) {
		p.t.Fatalf("%v and %v", permit, err)
	}
	if err != nil {
		p.r.rejected++
	}
	if !decides {
		p.follow()
		if permit != nil {
			twin = p.r.trial(p.r.latest)
			if p.r.isClosed() {
				twin = p.r.closedPermit(p.now)
			}
			if p.r.gen != gen {
				p.t.Fatalf("let through while it opened")
			}
		}
	} else if (twin == nil) != (permit == nil) {
		p.t.Fatalf("%v at %v: got %v, %v, want %+v", before, p.now, permit, err, twin)
	}
	if permit != nil {
		p.permits, p.twins = append(p.permits, permit), append(p.twins, twin)
	}
	p.compare(before)
}

// follow takes over how a recovery went on.
func (p *pair) follow() {
	if p.r.state != breaker.Recovering {
		return
	}
	p.r.streak, p.r.gate = p.b.StreakNow(), p.b.Gate().Sub(p.b.Epoch())
	switch now := p.b.State(); now {
	case breaker.Recovering:
		if i := p.b.Interval(); p.was > 0 && i < p.was/2 {
			p.t.Fatalf("from %v between calls to %v", p.was, i)
		}
		p.was = p.b.Interval()
		return
	case breaker.Open:
		p.r.open(p.r.latest)
	case breaker.Closed:
		p.r.close(p.r.latest)
	default:
		p.t.Fatalf("from recovering to %v", now)
	}
}

// done reports the i-th permit, which stays one to report again.
func (p *pair) done(i int, o breaker.Outcome) {
	before := p.r.state
	p.r.done(p.twins[i], p.now, o)
	p.permits[i].DoneAt(p.at(), o)
	p.follow()
	p.compare(before)
}

func (p *pair) begin(i int) {
	before := p.r.state
	p.r.begin(p.twins[i], p.now)
	p.permits[i].FirstByteAt(p.at())
	p.follow()
	p.compare(before)
}

func (p *pair) control(arg byte) {
	before := p.r.state
	switch arg % 8 {
	case 0:
		p.r.part(refForever, breaker.ForcedOpen)
		p.b.ForceOpen()
	case 1:
		p.r.part(0, breaker.ForcedClosed)
		p.b.ForceClosed()
	case 2, 3:
		p.r.reset()
		p.b.Reset()
	default:
		cfg := refConfigs[arg%4]
		p.r.reconfigure(cfg)
		if err := p.b.Reconfigure(cfg); err != nil {
			p.t.Fatal(err)
		}
	}
	p.compare(before)
}

// compare compares all that can be seen, and takes over the open time.
func (p *pair) compare(before breaker.State) {
	p.t.Helper()
	r, s := p.r, p.b.Stats()
	if r.state != breaker.Recovering {
		p.was = 0
	}
	got := [...]uint64{s.Successes, s.Failures, s.Ignored, s.Slow, s.Late, s.Rejected, s.Opened, s.ExpiredProbes}
	want := [...]uint64{r.total[0], r.total[1], r.total[2], r.total[3], r.late, r.rejected, r.opened, r.expired}
	if s.State != r.state || got != want || p.b.State() != s.State {
		p.t.Fatalf("from %v at %v: %v %v, want %v %v", before, p.now, s.State, got, r.state, want)
	}
	if got, want := p.b.CountsAt(p.at()), r.counts(p.now); got != want {
		p.t.Fatalf("%v at %v: %v in the window, want %v", s.State, p.now, got, want)
	}
	if got := p.b.StreakNow(); got != r.streak && r.state != breaker.Recovering {
		p.t.Fatalf("%v: %d failures in a row, want %d", s.State, got, r.streak)
	}
	if r.state == breaker.Open && before != breaker.Open || r.openFor < 0 {
		p.drawn()
	}
	if gate := p.b.Gate().Sub(p.b.Epoch()); gate != r.gate && !r.isClosed() && r.state != breaker.Recovering {
		p.t.Fatalf("%v at %v: no call before %v, want %v", s.State, p.now, gate, r.gate)
	}
	if r.state != before {
		p.seen[[2]breaker.State{before, r.state}]++
	}
}

// drawn checks the open time that was drawn.
func (p *pair) drawn() {
	r, most := p.r, p.r.most()
	openFor := p.b.Gate().Sub(p.b.Epoch()) - r.gate
	if openFor > most || openFor < most/2 {
		p.t.Fatalf("open for %v, want %v to %v", openFor, most/2, most)
	}
	r.openFor = openFor
	r.gate += openFor
	r.level++
}

// op makes one operation.
func (p *pair) op(kind, arg byte) {
	d := time.Duration(arg)
	n := len(p.permits)
	pick := func() int { return n - 1 - int(arg>>2)%n }
	switch kind %= 32; {
	case kind < 8, n == 0:
		p.allow()
	case kind < 14:
		p.done(pick(), breaker.Outcome(arg%3))
	case kind < 17:
		p.done(pick(), breaker.Failure)
	case kind < 20:
		p.begin(pick())
	case kind < 22:
		p.now += d * d * 3 * time.Microsecond
	case kind == 22:
		p.now += d * 37 * time.Millisecond
	case kind == 23:
		if p.r.gate != refForever && p.r.gate-p.now < time.Hour {
			p.now = max(p.now, p.r.gate)
		}
	case kind == 24:
		p.now -= d * d * 50 * time.Microsecond
	case kind == 25:
		p.now += d * time.Second
	case kind == 26:
		p.now -= d * time.Second
	case kind == 27:
		if arg < 64 {
			p.control(arg)
		}
	default:
		p.many(kind, arg)
	}
}

// many makes calls one after the other, which succeed, or most of which fail.
func (p *pair) many(kind, arg byte) {
	for i := range int(arg % 64) {
		n := len(p.permits)
		p.allow()
		p.now += time.Duration(arg/64) * 7 * time.Millisecond
		if len(p.permits) == n {
			p.now += 10 * time.Millisecond
			continue
		}
		o := breaker.Success
		if kind == 28 && i%8 != 0 {
			o = breaker.Failure
		}
		p.done(n, o)
	}
}

// play plays ops, two bytes each, after one that chooses the Config.
func play(t *testing.T, ops []byte) (seen map[[2]breaker.State]int) {
	synctest.Test(t, func(t *testing.T) { // where the clock of Reset and Reconfigure stands still
		p := newPair(t, refConfigs[ops[0]%4])
		for ops = ops[1:]; len(ops) >= 2; ops = ops[2:] {
			p.op(ops[0], ops[1])
		}
		seen = p.seen
	})
	return seen
}

func randomOps(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 7))
	ops := make([]byte, 2*n+1)
	for i := range ops {
		ops[i] = byte(rng.Uint32())
	}
	return ops
}

// Whatever happens to it, the breaker does what its reference does.
func TestMachineIsItsReference(t *testing.T) {
	seen := map[[2]breaker.State]int{}
	seeds := uint64(300)
	if raceEnabled {
		seeds = 100
	}
	for seed := range seeds {
		for change, n := range play(t, randomOps(seed, 300)) {
			seen[change] += n
		}
		if t.Failed() {
			t.Fatal("seed", seed)
		}
	}
	for _, change := range [][2]breaker.State{
		{breaker.Closed, breaker.Open}, {breaker.Open, breaker.HalfOpen}, {breaker.HalfOpen, breaker.Open},
		{breaker.HalfOpen, breaker.Recovering}, {breaker.Recovering, breaker.Open}, {breaker.Recovering, breaker.Closed},
		{breaker.Recovering, breaker.ForcedOpen}, {breaker.HalfOpen, breaker.ForcedClosed}, {breaker.ForcedOpen, breaker.Closed},
	} {
		if seen[change] == 0 {
			t.Errorf("from %v to %v never", change[0], change[1])
		}
	}
}

func FuzzMachine(f *testing.F) {
	for seed := range uint64(8) {
		f.Add(randomOps(seed, 100))
	}
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) == 0 || len(ops) > 1001 {
			return
		}
		play(t, ops)
	})
}
