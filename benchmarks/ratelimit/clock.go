package limitbench

import "time"

// tableClock is what reading the clock costs on this machine, which is part of
// most operations here.
const (
	tableClock = "clock"
	timeNow    = "time.Now"
	timeSince  = "time.Since"
)

func clockTable() Table {
	return Table{
		Name: tableClock, Title: "Reading the clock", Workers: 1, Batch: 256,
		Contenders: []Contender{
			{Name: timeNow, Note: "wall and monotonic", Open: func() (Op, func(), error) {
				var last time.Time
				return func(_, n int) error {
					for range n {
						last = time.Now()
					}
					_ = last
					return nil
				}, nil, nil
			}},
			{Name: timeSince, Note: "monotonic", Open: func() (Op, func(), error) {
				begin, last := time.Now(), time.Duration(0)
				return func(_, n int) error {
					for range n {
						last = time.Since(begin)
					}
					_ = last
					return nil
				}, nil, nil
			}},
		},
	}
}
