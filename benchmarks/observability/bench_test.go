package obsbench

import (
	"testing"
	"time"
)

// The contenders are next to each other, so that a noisy minute hits them alike;
// the report goes further and takes turns.
func BenchmarkObservability(b *testing.B) {
	for _, t := range allTables() {
		b.Run(t.Name, func(b *testing.B) {
			for _, c := range t.Contenders {
				b.Run(c.Name, func(b *testing.B) { benchOne(b, t, c) })
			}
		})
	}
}

// benchOne measures for a second whatever -benchtime says, unless it is 1x: an
// operation is too short to count one by one.
func benchOne(b *testing.B, t Table, c Contender) {
	length := time.Second
	if b.N == 1 {
		length = time.Millisecond
	}
	s, err := t.turn(c, length)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(s.WallPerOp(), "ns/op")
	if s.CPU > 0 {
		b.ReportMetric(s.CPUPerOp(), "cpu-ns/op")
	}
	b.ReportMetric(s.AllocsPerOp(), "allocs/op")
}
