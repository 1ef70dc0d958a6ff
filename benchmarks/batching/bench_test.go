package batchbench

import (
	"fmt"
	"testing"
)

// BenchmarkClosed is every cell of the closed loop. The libraries are next to
// each other, so that a noisy minute hits them alike; the report goes further
// and takes turns.
func BenchmarkClosed(b *testing.B) {
	for _, backend := range []Backend{Noop, Blocking} {
		for _, callers := range []int{1, 8, 1000, 10000} {
			for _, limit := range []int{32, 128} {
				for _, lib := range Libraries() {
					c := Closed{Library: lib, Backend: backend, Callers: callers, MaxBatch: limit}
					name := fmt.Sprintf("backend=%s/callers=%d/max=%d/lib=%s", backend.Name, callers, limit, lib.Name)
					b.Run(name, func(b *testing.B) { benchClosed(b, c) })
				}
			}
		}
	}
}

// BenchmarkDevices is what a second device adds.
func BenchmarkDevices(b *testing.B) {
	for _, lib := range Libraries() {
		for devices := 1; devices <= 2; devices++ {
			c := Closed{Library: lib, Backend: Blocking, Devices: devices, Callers: 1000, MaxBatch: 32}
			b.Run(fmt.Sprintf("lib=%s/devices=%d", lib.Name, devices), func(b *testing.B) { benchClosed(b, c) })
		}
	}
}

func benchClosed(b *testing.B, c Closed) {
	if why := c.skip(); why != "" {
		b.Skip(why)
	}
	c.MinOps = max(b.N, 2*c.Callers) // everyone has a turn, also with -benchtime 1x
	r, err := c.Run()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ReportMetric(r.WallPerOp(), "ns/op")
	b.ReportMetric(r.CPUPerOp(), "cpu-ns/op")
	b.ReportMetric(r.PerSecond(), "items/s")
	b.ReportMetric(float64(r.P50)/1e3, "p50-µs")
	b.ReportMetric(float64(r.P99)/1e3, "p99-µs")
	b.ReportMetric(r.Batch, "items/batch")
	b.ReportMetric(r.Allocs, "allocs/op")
	b.ReportMetric(r.AllocsPerBatch(), "allocs/batch")
}
