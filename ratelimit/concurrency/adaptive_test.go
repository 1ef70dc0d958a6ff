package concurrency

import (
	"container/heap"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// A plant is a service simulated in virtual time: slots calls are worked on at
// a time, the others wait their turn. Calls come by themselves, Poisson, and
// whoever finds the limit reached goes away.
type plant struct {
	rng     *rand.Rand
	c       controller
	now     int64
	slots   int
	service func() float64 // ns
	first   time.Duration  // of it until the first byte, for streams; 0 is all of it
	rate    float64        // arrivals a second

	inFlight int
	busy     int     // slots
	backlog  []int64 // when each was let in
	working  events
	refused  bool

	limit    func() float64 // of something else than c, if set
	observe  func(event)
	unloaded float64 // ns, the geometric mean of service

	tickets, turnedAway, done int
	latency                   mean
	held                      float64 // limit × time
}

type event struct {
	at, began int64
	first     bool
}
type events []event

func (e events) Len() int           { return len(e) }
func (e events) Less(i, j int) bool { return e[i].at < e[j].at }
func (e events) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)        { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	*e = (*e)[:len(*e)-1]
	return last
}

func newPlant(a Adaptive, slots int, rate float64, service func(*rand.Rand) float64) *plant {
	cfg := Config{Adaptive: &a}.withDefaults()
	p := &plant{rng: rand.New(rand.NewPCG(1, 2)), slots: slots, rate: rate}
	p.c = newController(*cfg.Adaptive, cfg.Max)
	p.service = func() float64 { return service(p.rng) }
	p.limit = func() float64 { return p.c.limit }
	p.observe = func(e event) {
		p.c.observe(p.now, sample{began: e.began, tickets: uint64(p.tickets), inFlight: p.inFlight, refused: p.refused, each: 1})
	}
	var m mean
	for range 10_000 {
		m.add(int64(p.service()))
	}
	p.unloaded = m.time()
	return p
}

// run lets d of virtual time pass, and begins its figures anew.
func (p *plant) run(d time.Duration) {
	p.turnedAway, p.done, p.latency, p.held = 0, 0, mean{}, 0
	end := p.now + int64(d)
	arrival := p.now + p.gap()
	for {
		next := arrival
		if len(p.working) > 0 && p.working[0].at < next {
			next = p.working[0].at
		}
		p.held += p.limit() * float64(min(next, end)-p.now)
		if next > end {
			p.now = end
			return
		}
		p.now = next
		if next == arrival {
			p.arrive()
			arrival = p.now + p.gap()
		} else {
			p.finish(heap.Pop(&p.working).(event))
		}
	}
}

func (p *plant) gap() int64 { return max(1, int64(p.rng.ExpFloat64()/p.rate*1e9)) }

func (p *plant) arrive() {
	if p.inFlight >= int(p.limit()) {
		p.turnedAway++
		p.refused = true
		return
	}
	p.tickets++
	p.inFlight++
	p.backlog = append(p.backlog, p.now)
	p.work()
}

func (p *plant) work() {
	for p.busy < p.slots && len(p.backlog) > 0 {
		p.busy++
		heap.Push(&p.working, event{p.now + int64(p.service()), p.backlog[0], false})
		if p.first > 0 {
			heap.Push(&p.working, event{p.now + int64(p.first), p.backlog[0], true})
		}
		p.backlog = p.backlog[1:]
	}
}

func (p *plant) finish(e event) {
	if e.first == (p.first > 0) {
		p.latency.add(p.now - e.began)
		p.observe(e)
		p.refused = false
	}
	if !e.first {
		p.done++
		p.busy--
		p.inFlight--
		p.work()
	}
}

func constant(d time.Duration) func(*rand.Rand) float64 {
	return func(*rand.Rand) float64 { return float64(d) }
}

func exponential(d time.Duration) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return r.ExpFloat64() * float64(d) }
}

// lognormal has the given median.
func lognormal(d time.Duration, sigma float64) func(*rand.Rand) float64 {
	return func(r *rand.Rand) float64 { return float64(d) * math.Exp(sigma*r.NormFloat64()) }
}

// gradient2 is Netflix' limiter of that name (concurrency-limits, Gradient2Limit
// with its defaults), the naive alternative: it compares with a long-term average.
type gradient2 struct{ limit, long float64 }

func (g *gradient2) observe(rtt float64, inFlight int) {
	const factor = 2.0 / (600 + 1)
	if g.long == 0 {
		g.long = rtt
	}
	g.long += factor * (rtt - g.long)
	if g.long/rtt > 2 {
		g.long *= 0.95
	}
	if float64(inFlight) < g.limit/2 {
		return
	}
	gradient := max(0.5, min(1, 1.5*g.long/rtt))
	g.limit = min(1000, max(20, 0.8*g.limit+0.2*(g.limit*gradient+4)))
}

func (p *plant) wants(t *testing.T, what string, capacity float64, over time.Duration, limit, latency, done [2]float64) {
	t.Helper()
	t.Logf("%s: limit %.1f on average, latency %v, baseline %v, done %.3f of capacity", what,
		p.held/float64(over), time.Duration(p.latency.time()), time.Duration(p.c.base.time()), float64(p.done)/capacity/over.Seconds())
	for _, c := range []struct {
		name string
		got  float64
		want [2]float64
	}{
		{"mean limit, of slots", p.held / float64(over) / float64(p.slots), limit},
		{"latency, of the unloaded service's", p.latency.time() / p.unloaded, latency},
		{"work done, of capacity", float64(p.done) / capacity / over.Seconds(), done},
	} {
		if !(c.want[0] <= c.got && c.got <= c.want[1]) {
			t.Errorf("%s: %s: %.3f, want %v", what, c.name, c.got, c.want)
		}
	}
}

// The known defect of limiters that learn from all they see: under an overload
// that lasts, the latency of the overload becomes the norm.
func TestBaselineDoesNotDrift(t *testing.T) {
	const slots = 40
	for _, tt := range []struct {
		name        string
		mean        time.Duration
		service     func(*rand.Rand) float64
		most, least float64
		long        time.Duration
	}{
		{"constant", 400 * time.Millisecond, constant(400 * time.Millisecond), 1.45, 0.97, time.Hour},
		{"exponential", 100 * time.Millisecond, exponential(100 * time.Millisecond), 1.8, 0.9, 20 * time.Minute},
		{"lognormal", 165 * time.Millisecond, lognormal(100*time.Millisecond, 1), 1.8, 0.9, 20 * time.Minute},
	} {
		t.Run(tt.name, func(t *testing.T) {
			capacity := slots / tt.mean.Seconds()
			p := newPlant(Adaptive{}, slots, 2*capacity, tt.service)
			p.run(tt.long - 10*time.Minute)
			p.run(10 * time.Minute)
			p.wants(t, "at the end of "+tt.long.String()+" at twice the capacity", capacity, 10*time.Minute,
				[2]float64{0.9, tt.most}, [2]float64{0.9, tt.most}, [2]float64{tt.least, 1.05})
			if b := p.c.base.time() / p.unloaded; b < 0.3 || b > 2.5 { // of one probe, which has its luck
				t.Errorf("the baseline is %.2f of the unloaded service's latency", b)
			}
		})
	}
}

// Of streams the time to the first byte is what counts, and permits come back
// rarely: a probe must not shut the service for as long as a stream lasts.
func TestStreams(t *testing.T) {
	p := newPlant(Adaptive{}, 100, 20, constant(10*time.Second)) // twice the capacity
	p.first, p.unloaded = 200*time.Millisecond, 200e6
	p.run(3 * time.Minute)
	for range 5 {
		p.run(4 * time.Minute)
		p.wants(t, "streams", 10, 4*time.Minute, [2]float64{0.7, 1.2}, [2]float64{0.99, 3}, [2]float64{0.7, 1.01})
	}
}

// Whoever tolerates more gets more, and no drift either.
func TestToleranceDoesNotDrift(t *testing.T) {
	p := newPlant(Adaptive{Tolerance: 3}, 10, 200, constant(100*time.Millisecond))
	p.run(25 * time.Minute)
	p.run(5 * time.Minute)
	p.wants(t, "tolerance 3", 100, 5*time.Minute, [2]float64{2, 4}, [2]float64{2, 4}, [2]float64{0.97, 1.05})
}

// That the tests above can fail, and on what.
func TestGradient2Drifts(t *testing.T) {
	p := newPlant(Adaptive{}, 40, 200, constant(400*time.Millisecond))
	g := &gradient2{limit: 20}
	p.limit = func() float64 { return g.limit }
	p.observe = func(e event) { g.observe(float64(p.now-e.began), p.inFlight) }
	p.run(30 * time.Minute)
	t.Logf("limit %.0f of 40 slots, latency %v of 400ms", g.limit, time.Duration(p.latency.time()))
	if g.limit < 400 {
		t.Errorf("the reference stays at %.0f: it is no reference for drift", g.limit)
	}
}

func TestLimitFollowsCapacity(t *testing.T) {
	const mean = 100 * time.Millisecond
	p := newPlant(Adaptive{}, 40, 1600, constant(mean))
	check := func(what string) {
		t.Helper()
		p.run(30 * time.Second) // to find it
		p.run(2 * time.Minute)
		p.wants(t, what, float64(p.slots)/mean.Seconds(), 2*time.Minute,
			[2]float64{0.9, 1.6}, [2]float64{0.99, 1.6}, [2]float64{0.95, 1.01})
	}
	check("at first")
	p.slots *= 2
	check("doubled")
	p.slots /= 4
	check("then a quarter")
}

// When most of a service is gone, half of what was right is too much, too: what
// a probe sees then is a queue, and no baseline.
func TestLimitFollowsCollapse(t *testing.T) {
	p := newPlant(Adaptive{}, 80, 1600, constant(100*time.Millisecond))
	p.run(time.Minute)
	p.slots = 5
	p.run(15 * time.Second)
	p.run(5 * time.Second)
	p.wants(t, "a sixteenth", 50, 5*time.Second, [2]float64{0.9, 2}, [2]float64{0.99, 2}, [2]float64{0.9, 1.05})
}

// A service that has become slower, not smaller, is no overload.
func TestBaselineFollowsService(t *testing.T) {
	d := 100 * time.Millisecond
	p := newPlant(Adaptive{}, 40, 800, func(*rand.Rand) float64 { return float64(d) })
	for _, d = range []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 50 * time.Millisecond} {
		p.rate = 2 * float64(p.slots) / d.Seconds()
		p.unloaded = float64(d)
		p.run(30 * time.Second)
		p.run(2 * time.Minute)
		p.wants(t, d.String(), float64(p.slots)/d.Seconds(), 2*time.Minute,
			[2]float64{0.9, 1.6}, [2]float64{0.99, 1.6}, [2]float64{0.95, 1.01})
	}
}

// Where the limit is not reached, measuring must cost nobody his permit, and
// nothing says that there could be more.
func TestNobodyIsTurnedAwayFromAnIdleService(t *testing.T) {
	p := newPlant(Adaptive{Initial: 100}, 80, 200, exponential(100*time.Millisecond))
	p.run(30 * time.Minute)
	if p.turnedAway > 0 || p.c.limit != 100 {
		t.Errorf("%d of %d turned away; limit %v", p.turnedAway, p.tickets, p.c.limit)
	}
}

// feed has the controller see n calls that were answered one after the other,
// each d after it began, with the limit reached.
func feed(c *controller, now *int64, tickets *uint64, n int, d time.Duration, outcome uint64) {
	for range n {
		*tickets++
		*now += int64(d)
		c.observe(*now, sample{began: *now - int64(d), outcome: outcome, tickets: *tickets, inFlight: int(c.limit), each: 1})
	}
}

func TestOverloadedCallsShrinkTheLimit(t *testing.T) {
	cfg := Config{Adaptive: &Adaptive{Initial: 100}}.withDefaults()
	for _, tt := range []struct {
		outcome uint64
		low     float64
		high    float64
	}{
		{overloaded, 1, 1},
		{ignored, 100, 100},
		{served, 101, 1024},
	} {
		c := newController(*cfg.Adaptive, cfg.Max)
		var now int64
		var tickets uint64
		feed(&c, &now, &tickets, 2000, 10*time.Millisecond, tt.outcome)
		if c.limit < tt.low || c.limit > tt.high {
			t.Errorf("outcome %d: limit %v, want %v to %v", tt.outcome, c.limit, tt.low, tt.high)
		}
	}
}

func TestControllerWhenTheClockGoesBack(t *testing.T) {
	cfg := Config{Max: 100, Adaptive: &Adaptive{}}.withDefaults()
	c := newController(*cfg.Adaptive, cfg.Max)
	var tickets uint64
	now := int64(time.Hour)
	feed(&c, &now, &tickets, 200, 10*time.Millisecond, served)
	limit, base := c.limit, c.base.time()
	now = -int64(time.Hour)
	c.observe(now, sample{began: int64(time.Hour), tickets: tickets, inFlight: 1, each: 1})
	if c.limit != limit || c.base.time() != base {
		t.Errorf("limit %v became %v, baseline %v %v", limit, c.limit, base, c.base.time())
	}
	feed(&c, &now, &tickets, 3000, 10*time.Millisecond, served)
	if c.limit <= limit/4 || c.last.start < now-int64(10*time.Second) || c.base.time() < 9.9e6 || c.base.time() > 10.1e6 {
		t.Errorf("afterwards limit %v, after %v, baseline %v", c.limit, limit, time.Duration(c.base.time()))
	}
}

// Whatever it is told, the limit stays between Min and Max, and half of Min in
// a probe.
func FuzzController(f *testing.F) {
	f.Add([]byte("\x01\x02\x03\x04some calls that take some time, some of them overloaded"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := Config{Max: 64, Adaptive: &Adaptive{Min: 4}}.withDefaults()
		c := newController(*cfg.Adaptive, cfg.Max)
		var now int64
		var tickets uint64
		for i, b := range data {
			now += int64(int8(b)) * int64(10*time.Millisecond)
			tickets += uint64(b % 7)
			for range 1 + b%16 {
				tickets++
				now += int64(b) * 1e5
				c.observe(now, sample{began: now - int64(b)*1e6, outcome: uint64(b % 3), tickets: tickets,
					inFlight: i % 70, refused: b%5 == 0, each: 1 + 7*int(b>>7)})
				low := 4.0
				if c.probe != noProbe {
					low = 1
				}
				if !(c.limit >= low && c.limit <= 64) {
					t.Fatalf("limit %v, in phase %d", c.limit, c.probe)
				}
			}
		}
	})
}
