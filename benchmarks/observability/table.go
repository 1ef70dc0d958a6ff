package obsbench

import (
	"fmt"
	"runtime"
	"time"
)

// A Contender does one kind of work in its own way.
type Contender struct {
	Name string
	Note string // what a reader must know to compare it

	// Open makes a fresh one, with its caches warm. Close
	// may be nil.
	Open func() (op Op, close func(), err error)
}

// A Table is one kind of work. Every contender does it once in each round.
type Table struct {
	Name       string // short: goals and benchmarks call it by this
	Title      string
	Workers    int
	Batch      int // operations between two looks at the clock
	Rounds     int // at most so many; 0 means as many as the others
	Contenders []Contender
}

// Results are the samples of a table's contenders, a round each.
type Results struct {
	Table   Table
	Samples map[string][]Sample
}

// Run measures the tables, round by round. Within a round a table's contenders
// follow on each other, and each round begins with another one, so that neither
// a noisy minute nor the one before decides.
//
// Beside them there is a heap as a service has: without one the collector runs
// every few milliseconds, and what it costs then is more than many of them, and
// never the same.
func Run(tables []Table, rounds int, length time.Duration) ([]*Results, error) {
	heap := make([]byte, 64<<20)
	defer runtime.KeepAlive(heap)
	var all []*Results
	for _, t := range tables {
		all = append(all, &Results{Table: t, Samples: map[string][]Sample{}})
	}
	for round := range rounds {
		for _, r := range all {
			if r.Table.Rounds > 0 && round >= r.Table.Rounds {
				continue
			}
			for i := range r.Table.Contenders {
				c := r.Table.Contenders[(i+round)%len(r.Table.Contenders)]
				s, err := r.Table.turn(c, length)
				if err != nil {
					return nil, fmt.Errorf("%s: %s: %w", r.Table.Name, c.Name, err)
				}
				r.Samples[c.Name] = append(r.Samples[c.Name], s)
			}
		}
	}
	return all, nil
}

// turn measures one contender once.
func (t Table) turn(c Contender, length time.Duration) (Sample, error) {
	op, closeIt, err := c.Open()
	if closeIt != nil {
		defer closeIt()
	}
	if err != nil {
		return Sample{}, err
	}
	return measure(op, t.Workers, t.Batch, length)
}

// A figure picks a number out of a sample.
type figure func(Sample) float64

// The figures that reports and goals speak of.
var (
	cpu    figure = Sample.CPUPerOp
	wall   figure = Sample.WallPerOp
	allocs figure = Sample.AllocsPerOp
)

// median is the middle round's figure; ok is false where nothing was measured.
func (r *Results) median(contender string, f figure) (value float64, ok bool) {
	var values []float64
	for _, s := range r.Samples[contender] {
		values = append(values, f(s))
	}
	return median(values)
}

// ratio is the median of the rounds' own ratios of two contenders, which a
// machine that is slower in some rounds does not move.
func (r *Results) ratio(a, b string, f figure) (value float64, ok bool) {
	as, bs := r.Samples[a], r.Samples[b]
	var values []float64
	for i := range min(len(as), len(bs)) {
		values = append(values, f(as[i])/f(bs[i]))
	}
	return median(values)
}
