package limitbench

import (
	"fmt"
	"time"
)

// The tables of keyed limiters, as goals call them.
const (
	tableHot        = "keyed, hot"
	tableContending = "keyed, contending"
	tableUniform    = "keyed, uniform"
	tableZipf       = "keyed, zipf"
)

// keyedTables are those of limiters with state for each key.
func keyedTables(many int) []Table {
	hot := hotKey()
	return []Table{
		keyedTable(tableHot, "One key, one core", 1, hot),
		keyedTable(tableContending, "One key, two cores contending for it", 2, hot),
		keyedTable(tableUniform, "10,000 keys, each as likely as the other", 1, uniformKeys("10k uniform", 10_000)),
		manyKeys(keyedTable(tableZipf, fmt.Sprintf("%s keys, zipf (1.1)", number(float64(many))), 1, zipfKeys("zipf", many))),
	}
}

// manyKeys takes the table out of most rounds: to make a limiter with a
// million keys takes longer than to measure it.
func manyKeys(t Table) Table {
	t.Rounds = 3
	return t
}

func keyedTable(name, title string, workers int, keys *Keys) Table {
	t := Table{Name: name, Title: title, Workers: workers, Batch: keysBatch}
	for _, p := range keyedPeers() {
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			return openKeyed(p, keys, workers)
		}})
	}
	return t
}

// openKeyed makes a limiter that has seen every key.
func openKeyed(p keyedPeer, keys *Keys, workers int) (Op, func(), error) {
	l, err := p.new(len(keys.All))
	if err != nil {
		return nil, nil, err
	}
	if err := l.loop(time.Now(), keys.All); err != nil {
		return nil, nil, err
	}
	places := make([]place, workers)
	return func(worker, n int) error {
		return l.loop(time.Now(), keys.chunk(&places[worker].at, n))
	}, l.close, nil
}

// A place is how far a worker is in the stream of keys.
type place struct {
	at int
	_  [120]byte // a cache line, and its neighbour, for each worker
}
