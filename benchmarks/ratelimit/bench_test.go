package limitbench

import (
	"testing"
	"time"
)

// BenchmarkKeyed is every cell of the keyed limiters. The contenders are next
// to each other, so that a noisy minute hits them alike; the report goes
// further and takes turns.
func BenchmarkKeyed(b *testing.B) { benchTables(b, keyedTables(1_000_000)) }

func BenchmarkConcurrency(b *testing.B) { benchTables(b, []Table{clockTable(), concurrencyTable()}) }

func BenchmarkHTTP(b *testing.B) { benchTables(b, httpTables()) }

func BenchmarkGRPC(b *testing.B) { benchTables(b, []Table{grpcTable()}) }

func BenchmarkRedis(b *testing.B) {
	address, stop, skip, err := startRedis()
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	benchTables(b, redisTables(address, skip))
}

func benchTables(b *testing.B, tables []Table) {
	for _, t := range tables {
		b.Run(t.Name, func(b *testing.B) {
			if t.Skip != "" {
				b.Skip(t.Skip)
			}
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
