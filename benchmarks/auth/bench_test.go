package authbench

import (
	"testing"
	"time"
)

// BenchmarkHTTP is every library's middleware. The contenders are next to each
// other, so that a noisy minute hits them alike; the report goes further and takes
// turns.
func BenchmarkHTTP(b *testing.B) { benchTables(b, httpTables(testIssuers())) }

func BenchmarkVerify(b *testing.B) {
	hits, err := testIssuers()["HS256"].tokens(manyTokens)
	if err != nil {
		b.Fatal(err)
	}
	misses, err := missTables(testIssuers())
	if err != nil {
		b.Fatal(err)
	}
	benchTables(b, append([]Table{hitTable(testIssuers()["HS256"], hits)}, misses...))
}

func BenchmarkOthers(b *testing.B) {
	keys, err := newAPIKeys(10_000)
	if err != nil {
		b.Fatal(err)
	}
	tables := []Table{chainTable(testIssuers()["RS256"], keys), keysTable(keys), rbacTable()}
	benchTables(b, append(tables, hostileTables(testIssuers()["HS256"])...))
}

func benchTables(b *testing.B, tables []Table) {
	for _, t := range tables {
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
