package batching

import (
	"container/heap"
	"iter"
	"math"
)

// agingTurn is how often a place goes to an item that has waited too long at a
// less urgent level: an eighth of the backend is enough not to starve, and
// little enough not to turn levels around when all of them are overloaded.
const agingTurn = 8

// schedule orders what waits: by group, then level, then tenant's share, then
// deadline, then arrival. Its methods need Batcher.mu.
//
// Nothing here outlives the items that it is about, so that MaxQueue bounds
// all of it, whatever names groups and tenants have.
type schedule[In, Out any] struct {
	levels   int
	grouped  bool
	tenanted bool
	patience int64 // how long an item waits before it is overdue

	n       int
	units   int64
	groups  []*group[In, Out] // those that something waits for; without groups always one
	byGroup map[string]*group[In, Out]
	shared  []sharing // by level
	turn    uint      // places given
	leaders uint      // batches led
}

// group is what may share a batch.
type group[In, Out any] struct {
	name   string
	index  int // in schedule.groups
	n      int
	units  int64
	levels []level[In, Out]
}

// level is what waits at one priority.
type level[In, Out any] struct {
	n              int
	oldest, newest *waiter[In, Out] // by arrival; kept only if the schedule needs it
	flows          flows[In, Out]
	byTenant       map[string]*flow[In, Out]
}

// sharing is between the tenants that wait at one priority, in whatever group.
// What one has at another priority does not count: it could be nobody else's.
type sharing struct {
	n       int
	tenants map[string]*tenant
	weights float64 // of all of tenants, added up
	clock   float64 // virtual time: the furthest pace of those served
}

// tenant is who shares. Its pace is its virtual time: what it got, divided by
// its weight. The one whose pace would be lowest after its next item is next,
// and who comes, or comes back, starts at the furthest pace of those served
// (self-clocked fair queueing, Golestani, INFOCOM 1994). So nobody is ahead of
// that pace, and a tenant can be forgotten as soon as nothing of it waits: it
// neither owes nor has saved. By the pace before the item it would owe.
type tenant struct {
	n      int
	weight float64
	pace   float64
}

// newSchedule takes what it needs of a Config with its defaults.
func newSchedule[In, Out any](cfg Config[In], patience int64) schedule[In, Out] {
	s := schedule[In, Out]{
		levels:   cfg.Priorities,
		grouped:  cfg.Group != nil,
		tenanted: cfg.Tenant != nil,
		patience: patience,
		byGroup:  make(map[string]*group[In, Out]),
		shared:   make([]sharing, cfg.Priorities),
	}
	for i := range s.shared {
		s.shared[i].tenants = make(map[string]*tenant)
	}
	if !s.grouped {
		s.group("")
	}
	return s
}

// aged reports whether arrival counts for more than the last tie.
func (s *schedule[In, Out]) aged() bool { return s.levels > 1 || s.tenanted }

func (s *schedule[In, Out]) group(name string) *group[In, Out] {
	if !s.grouped && len(s.groups) == 1 {
		return s.groups[0]
	}
	g := s.byGroup[name]
	if g == nil {
		g = &group[In, Out]{name: name, index: len(s.groups), levels: make([]level[In, Out], s.levels)}
		s.groups = append(s.groups, g)
		s.byGroup[name] = g
	}
	return g
}

func (s *schedule[In, Out]) tenant(w *waiter[In, Out]) *tenant {
	of := &s.shared[w.level]
	t := of.tenants[w.tenant]
	if t == nil {
		t = &tenant{weight: w.share(), pace: of.clock}
		of.tenants[w.tenant] = t
		of.weights += t.weight
	}
	return t
}

func (s *schedule[In, Out]) flow(g *group[In, Out], l *level[In, Out], w *waiter[In, Out]) *flow[In, Out] {
	if !s.tenanted && len(l.flows) == 1 {
		return l.flows[0]
	}
	f := l.byTenant[w.tenant]
	if f == nil {
		f = &flow[In, Out]{group: g, tenant: s.tenant(w), index: nowhere}
		if l.byTenant == nil {
			l.byTenant = make(map[string]*flow[In, Out])
		}
		l.byTenant[w.tenant] = f
		if !s.tenanted {
			l.flows = append(l.flows, f) // for good
		}
	}
	return f
}

func (s *schedule[In, Out]) push(w *waiter[In, Out]) {
	g := s.group(w.of)
	l := &g.levels[w.level]
	f := s.flow(g, l, w)
	w.queued, w.flow = true, f
	f.push(w)
	if s.tenanted && f.head() == w {
		l.flows.update(f)
	}
	if s.aged() {
		l.add(w)
	}
	s.n++
	s.units += w.units
	g.n++
	g.units += w.units
	l.n++
	s.shared[w.level].n++
	f.tenant.n++
}

func (s *schedule[In, Out]) remove(w *waiter[In, Out]) {
	f := w.flow
	g := f.group
	l := &g.levels[w.level]
	headed := f.head() == w
	f.remove(w)
	if s.aged() {
		l.drop(w)
	}
	w.queued, w.flow = false, nil
	s.n--
	s.units -= w.units
	g.n--
	g.units -= w.units
	l.n--
	of := &s.shared[w.level]
	of.n--
	f.tenant.n--
	switch {
	case !s.tenanted:
	case f.empty():
		heap.Remove(&l.flows, f.index)
		delete(l.byTenant, w.tenant)
	case headed:
		l.flows.update(f)
	}
	if s.tenanted && f.tenant.n == 0 {
		of.weights -= f.tenant.weight
		delete(of.tenants, w.tenant)
		if len(of.tenants) == 0 { // what was rounded off goes with it
			of.weights, of.clock = 0, 0
		}
	}
	if s.grouped && g.n == 0 {
		last := len(s.groups) - 1
		s.groups[g.index] = s.groups[last]
		s.groups[g.index].index = g.index
		s.groups[last] = nil
		s.groups = s.groups[:last]
		delete(s.byGroup, g.name)
	}
}

// serve removes w, because it runs, and charges its tenant.
func (s *schedule[In, Out]) serve(w *waiter[In, Out]) {
	s.turn++
	if s.tenanted {
		of := &s.shared[w.level]
		w.flow.tenant.pace = w.finish()
		of.clock = max(of.clock, w.flow.tenant.pace)
	}
	s.remove(w)
}

// leader returns the first item of the next batch, which decides its group.
// Something waits.
func (s *schedule[In, Out]) leader(now int64) *waiter[In, Out] {
	if !s.grouped {
		return s.next(s.groups[0], now)
	}
	if s.levels > 1 && s.leaders%agingTurn == agingTurn-1 {
		if w := s.overdue(s.groups, now); w != nil {
			return w
		}
	}
	first := s.best(s.groups[0])
	for _, g := range s.groups[1:] {
		if w := s.best(g); s.before(w, first) {
			first = w
		}
	}
	return s.next(first.flow.group, now)
}

// next returns the item of g to run next, or nil if nothing of g waits.
func (s *schedule[In, Out]) next(g *group[In, Out], now int64) *waiter[In, Out] {
	if g.n == 0 {
		return nil
	}
	if s.levels > 1 && s.turn%agingTurn == agingTurn-1 {
		if w := s.overdue(s.groups[g.index:g.index+1], now); w != nil {
			return w
		}
	}
	return s.best(g)
}

// best returns the first item of g, where something waits.
func (s *schedule[In, Out]) best(g *group[In, Out]) *waiter[In, Out] {
	for i := range g.levels {
		if l := &g.levels[i]; l.n > 0 {
			return l.flows.first().head()
		}
	}
	return nil
}

// overdue returns the item that waits longest of those that have waited too
// long, in these groups, below the most urgent level there; or nil.
func (s *schedule[In, Out]) overdue(groups []*group[In, Out], now int64) *waiter[In, Out] {
	var overdue *waiter[In, Out]
	served := false
	for i := range s.levels {
		waits := false
		for _, g := range groups {
			w := g.levels[i].oldest
			if w == nil {
				continue
			}
			waits = true
			if served && now-w.since > s.patience && (overdue == nil || w.since < overdue.since) {
				overdue = w
			}
		}
		served = served || waits
	}
	return overdue
}

// all yields everything that waits, in no order.
func (s *schedule[In, Out]) all() iter.Seq[*waiter[In, Out]] {
	return func(yield func(*waiter[In, Out]) bool) {
		for _, g := range s.groups {
			for i := range g.levels {
				for _, f := range g.levels[i].flows {
					for w := f.first; w != nil; w = w.next {
						if !yield(w) {
							return
						}
					}
					for _, w := range f.early {
						if !yield(w) {
							return
						}
					}
				}
			}
		}
	}
}

// displace returns the item that should lose its place in a full queue to one
// like w, or nil if all have at least as good a claim: the newest of the least
// urgent level, if that is less urgent; else, of the same level, the newest of a
// tenant that has more than its share of the places, if w's has less.
func (s *schedule[In, Out]) displace(w *waiter[In, Out]) *waiter[In, Out] {
	worst := s.levels - 1
	for worst > int(w.level) && s.shared[worst].n == 0 {
		worst--
	}
	newest := func(entitled func(*waiter[In, Out]) bool) *waiter[In, Out] {
		var found *waiter[In, Out]
		for _, g := range s.groups {
			w := g.levels[worst].newest
			for w != nil && !entitled(w) {
				w = w.older
			}
			if w != nil && (found == nil || w.since > found.since) {
				found = w
			}
		}
		return found
	}
	if worst > int(w.level) {
		return newest(func(*waiter[In, Out]) bool { return true })
	}
	if !s.tenanted {
		return nil
	}
	weight, weights, has := s.share(w)
	places := float64(s.shared[worst].n) / weights // for a weight of 1
	if float64(has+1) > places*weight {
		return nil
	}
	return newest(func(w *waiter[In, Out]) bool {
		return float64(w.flow.tenant.n) > places*w.flow.tenant.weight
	})
}

// share returns the weight of w's tenant, of all tenants that wait at its level
// and w's, and how many items of w's tenant wait there.
func (s *schedule[In, Out]) share(w *waiter[In, Out]) (weight, weights float64, waiting int) {
	of := &s.shared[w.level]
	if t := of.tenants[w.tenant]; t != nil {
		return t.weight, of.weights, t.n
	}
	return w.share(), of.weights + w.share(), 0
}

// share returns what TenantWeight said.
func (w *waiter[In, Out]) share() float64 { return float64(max(1, w.weight)) }

// before reports whether w, of one group, goes before other, of another.
func (s *schedule[In, Out]) before(w, other *waiter[In, Out]) bool {
	if w.level != other.level {
		return w.level < other.level
	}
	if s.tenanted && w.finish() != other.finish() {
		return w.finish() < other.finish()
	}
	return w.earlier(other)
}

// finish returns the pace of w's tenant if w is served next.
func (w *waiter[In, Out]) finish() float64 {
	t := w.flow.tenant
	return t.pace + float64(w.units)/t.weight
}

// earlier orders by deadline, then arrival.
func (w *waiter[In, Out]) earlier(other *waiter[In, Out]) bool {
	return w.due < other.due || w.due == other.due && w.since < other.since
}

func (l *level[In, Out]) add(w *waiter[In, Out]) {
	w.older, w.newer = l.newest, nil
	if l.newest == nil {
		l.oldest = w
	} else {
		l.newest.newer = w
	}
	l.newest = w
}

func (l *level[In, Out]) drop(w *waiter[In, Out]) {
	if w.older == nil {
		l.oldest = w.newer
	} else {
		w.older.newer = w.newer
	}
	if w.newer == nil {
		l.newest = w.older
	} else {
		w.newer.older = w.older
	}
	w.older, w.newer = nil, nil
}

// noLimit is the limit of an item whose answer is always of use.
const noLimit = math.MaxInt64
