package retrybench

import (
	"context"
	"errors"
)

// errWrong ends a measurement in which the work was not done as often as it
// should have been.
var errWrong = errors.New("the work was called too often, or too seldom")

const (
	tableFirst       = "first try"
	tableFirstCancel = "first try, cancelable"
	tableFirstTwo    = "first try, two cores"
	tableSecond      = "second try"

	doBatch = 256 // calls between two looks at the clock
)

func doTables() []Table {
	cancelable := func() (context.Context, func()) { return context.WithCancel(context.Background()) }
	background := func() (context.Context, func()) { return context.Background(), func() {} }
	zero := settings{attempts: 3, fixed: true}
	return []Table{
		doTable(Table{Name: tableFirst, Workers: 1, Title: "The first try succeeds; context.Background()"}, usual(), 0, background),
		doTable(Table{Name: tableFirstCancel, Workers: 1, Title: "The first try succeeds; a context that can be canceled"}, usual(), 0, cancelable),
		doTable(Table{Name: tableFirstTwo, Workers: 2, Title: "The first try succeeds; two cores, one retrier and budget; context.Background()"}, usual(), 0, background),
		doTable(Table{Name: tableSecond, Workers: 1, Title: "The first try fails and the second succeeds, without delay; a context that can be canceled"}, zero, 1, cancelable),
	}
}

// doTable is about calls of which so many attempts fail before one succeeds.
func doTable(t Table, s settings, fails int, newContext func() (context.Context, func())) Table {
	t.Batch = doBatch
	bare := peer{name: none, note: "part of every line", new: func(settings) (caller, error) { return callAlone, nil }}
	for _, p := range append([]peer{bare}, peers()...) {
		if fails > 0 && (p.name == none || p.budget && p.name != Ours) {
			continue // a budget refuses a retry for every call, as it should
		}
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			call, err := p.new(s)
			if err != nil {
				return nil, nil, err
			}
			ctx, cancel := newContext()
			return counted(ctx, call, fails, t.Workers), cancel, nil
		}})
	}
	return t
}

// callAlone is no library at all.
func callAlone(ctx context.Context, w work, n int) error {
	for range n {
		if err := w.do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// counted makes sure that the work is done as often as it takes. Each worker has
// work of its own.
func counted(ctx context.Context, call caller, fails, workers int) Op {
	all := make([]job, workers)
	for i := range all {
		all[i].fails, all[i].left = fails, fails
	}
	return func(worker, n int) error {
		j := &all[worker]
		before := j.calls
		if err := call(ctx, j.work(), n); err != nil {
			return err
		}
		if j.calls-before != n*(1+fails) {
			return errWrong
		}
		return nil
	}
}

// job is a worker's work, on cache lines of its own.
type job struct {
	calls, fails, left int
	_                  [104]byte
}

func (j *job) work() work {
	if j.fails == 0 {
		return work{
			do:    func(context.Context) error { j.calls++; return nil },
			plain: func() error { j.calls++; return nil },
		}
	}
	return work{do: func(context.Context) error { return j.try() }, plain: j.try}
}

func (j *job) try() error {
	j.calls++
	if j.left == 0 {
		j.left = j.fails
		return nil
	}
	j.left--
	return errDown
}
