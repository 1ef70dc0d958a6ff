package batching_test

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// simulation is the schedule of a batcher as its documentation tells it: one
// slice, sorted at every step, no goroutine, no heap, no list.
type simulation struct {
	plot
	now      time.Duration
	queue    []*simulated // by arrival
	running  [][]*simulated
	ends     []time.Duration // of running
	tenants  map[sharer]*pace
	clocks   [8]float64 // by level
	places   int        // given so far
	led      int        // batches that ran so far
	outcomes []string
	batches  []string
}

type simulated struct {
	task
	due int64 // in ticks of 2^20 ns
	out bool  // it has its outcome
}

// sharer is a tenant at a level.
type sharer struct {
	level int
	name  string
}

// pace is what a tenant got, by its weight.
type pace struct{ at, weight float64 }

func simulate(p plot) (outcomes, batches []string) {
	s := &simulation{plot: p, outcomes: make([]string, len(p.tasks)), tenants: make(map[sharer]*pace)}
	const never = time.Duration(math.MaxInt64)
	for next := 0; ; {
		arrive, leave, end := never, never, never
		if next < len(s.tasks) {
			arrive = s.tasks[next].arrive
		}
		var leaver *simulated
		for _, v := range slices.Concat(append(slices.Clone(s.running), s.queue)...) {
			if !v.out && v.leave > 0 && v.leave < leave {
				leaver, leave = v, v.leave
			}
		}
		if len(s.ends) > 0 {
			end = slices.Min(s.ends)
		}
		s.now = min(arrive, leave, end)
		switch s.now {
		case never:
			slices.Sort(s.batches)
			return s.outcomes, s.batches
		case arrive:
			s.arrive(s.tasks[next])
			next++
		case leave:
			s.outcome(leaver, "left")
			s.drop(leaver)
		case end:
			i := slices.Index(s.ends, end)
			for _, v := range s.running[i] {
				s.outcome(v, "answered")
			}
			s.running, s.ends = slices.Delete(s.running, i, i+1), slices.Delete(s.ends, i, i+1)
		}
		for len(s.running) < s.instances && len(s.queue) > 0 {
			s.seal()
		}
	}
}

func (s *simulation) outcome(v *simulated, what string) {
	if !v.out {
		v.out = true
		s.outcomes[v.id] = fmt.Sprintf("task %d: %s at %v", v.id, what, s.now)
	}
}

func (s *simulation) arrive(in task) {
	v := &simulated{task: in}
	v.level = min(max(0, v.level), s.levels-1)
	v.cost = max(1, v.cost)
	if s.maxCost > 0 && v.cost > s.maxCost {
		s.outcome(v, "too large")
		return
	}
	v.due = int64(v.arrive+500*time.Millisecond) >> 20
	if v.deadline {
		v.due = int64(v.leave) >> 20
	}
	if len(s.queue) == s.maxQueue {
		loser := s.displace(v)
		if loser == nil {
			s.outcome(v, "full")
			return
		}
		s.outcome(loser, "full")
		s.drop(loser)
	}
	if s.tenants[v.sharer()] == nil {
		s.tenants[v.sharer()] = &pace{at: s.clocks[v.level], weight: float64(v.weight())}
	}
	s.queue = append(s.queue, v)
}

func (v *simulated) sharer() sharer { return sharer{v.level, v.tenant} }

func (s *simulation) drop(v *simulated) {
	s.queue = slices.DeleteFunc(s.queue, func(o *simulated) bool { return o == v })
	if !slices.ContainsFunc(s.queue, func(o *simulated) bool { return o.sharer() == v.sharer() }) {
		delete(s.tenants, v.sharer())
	}
	if !slices.ContainsFunc(s.queue, func(o *simulated) bool { return o.level == v.level }) {
		s.clocks[v.level] = 0
	}
}

// displace returns who has a worse claim to a place than v.
func (s *simulation) displace(v *simulated) *simulated {
	worst := v.level
	for _, o := range s.queue {
		worst = max(worst, o.level)
	}
	has := make(map[string]int)
	at, weights, known := 0, 0, false
	for _, o := range s.queue {
		if o.level != worst {
			continue
		}
		if at++; has[o.tenant] == 0 {
			weights += o.weight()
		}
		has[o.tenant]++
		known = known || o.tenant == v.tenant
	}
	if !known {
		weights += v.weight()
	}
	share := func(o task) float64 { return float64(at) / float64(weights) * float64(o.weight()) }
	for _, o := range slices.Backward(s.queue) {
		switch {
		case o.level != worst:
		case worst > v.level:
			return o
		case float64(has[v.tenant]+1) > share(v.task):
			return nil
		case float64(has[o.tenant]) > share(o.task):
			return o
		}
	}
	return nil
}

// finish returns the pace of v's tenant if v is served next.
func (s *simulation) finish(v *simulated) float64 {
	if !s.tenanted {
		return 0
	}
	p := s.tenants[v.sharer()]
	return p.at + float64(v.cost)/p.weight
}

func (s *simulation) compare(v, o *simulated) int {
	return cmp.Or(cmp.Compare(v.level, o.level), cmp.Compare(s.finish(v), s.finish(o)),
		cmp.Compare(v.due, o.due), cmp.Compare(v.arrive, o.arrive))
}

// next returns which of queue goes first, if this is not, or is, the eighth
// place or batch.
func (s *simulation) next(queue []*simulated, eighth bool) *simulated {
	first := s.best(queue)
	if eighth {
		for _, v := range queue { // by arrival
			if v.level > first.level && s.now-v.arrive > 500*time.Millisecond {
				return v
			}
		}
	}
	return first
}

// best returns the first of queue. A tenant's items go by deadline, so that a
// cheap one does not overtake.
func (s *simulation) best(queue []*simulated) *simulated {
	heads := make(map[string]*simulated)
	for _, v := range queue {
		key := fmt.Sprint(v.sharer(), v.group)
		if h := heads[key]; h == nil || cmp.Or(cmp.Compare(v.due, h.due), cmp.Compare(v.arrive, h.arrive)) < 0 {
			heads[key] = v
		}
	}
	var first *simulated
	for _, v := range heads {
		if first == nil || s.compare(v, first) < 0 {
			first = v
		}
	}
	return first
}

func (s *simulation) seal() {
	group := func(name string) (of []*simulated) {
		for _, v := range s.queue {
			if v.group == name {
				of = append(of, v)
			}
		}
		return of
	}
	leader := s.next(s.queue, s.grouped && s.led%8 == 7)
	if !s.grouped || leader == s.best(s.queue) { // it is not the group's turn
		leader = s.next(group(leader.group), s.places%8 == 7)
	}
	s.led++
	var batch []*simulated
	cost := 0
	for v := leader; ; {
		batch = append(batch, v)
		cost += v.cost
		p := s.tenants[v.sharer()]
		p.at = s.finish(v)
		s.clocks[v.level] = max(s.clocks[v.level], p.at)
		s.drop(v)
		s.places++
		left := group(leader.group)
		if len(left) == 0 || len(batch) == s.maxBatch {
			break
		}
		v = s.next(left, s.places%8 == 7)
		if s.maxCost > 0 && cost+v.cost > s.maxCost {
			break
		}
	}
	s.running = append(s.running, batch)
	s.ends = append(s.ends, s.now+service(len(batch), cost))
	text := fmt.Sprint(s.now)
	for _, v := range batch {
		text += fmt.Sprint(" ", v.id)
	}
	s.batches = append(s.batches, text)
}
