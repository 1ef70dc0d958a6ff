package limitbench

import (
	"fmt"
	"io"
	"runtime"
	"runtime/metrics"
	"strconv"
	"time"
)

// A footprint is what state for so many keys takes.
type footprint struct {
	name    string
	keys    int
	heap    float64 // bytes a key, after a collection
	scanned float64 // of these, what each collection has to look through
}

// measureMemory makes each limiter and has every key ask once. The keys are
// made on the way, as a request brings its own: who keeps the string, keeps its
// bytes.
func measureMemory(peers []keyedPeer, keys int) ([]footprint, error) {
	var all []footprint
	for _, p := range peers {
		heap, scan := heapNow()
		l, err := p.new(keys)
		if err != nil {
			return nil, err
		}
		now, one, buf := time.Now(), make([]string, 1), make([]byte, 0, 32)
		for i := range keys {
			buf = strconv.AppendInt(append(buf[:0], "tenant-"...), int64(1_000_000_000+i), 10)
			one[0] = string(buf)
			if err := l.loop(now, one); err != nil {
				return nil, fmt.Errorf("%s: key %d: %w", p.name, i, err)
			}
		}
		heapAfter, scanAfter := heapNow()
		runtime.KeepAlive(l)
		if l.close != nil {
			l.close()
		}
		all = append(all, footprint{
			name: p.name, keys: keys,
			heap:    max(0, heapAfter-heap) / float64(keys),
			scanned: max(0, scanAfter-scan) / float64(keys),
		})
	}
	return all, nil
}

// heapNow is what lives on the heap and how much of it the collector scans, in
// bytes. It collects twice: pools and finalizers take two.
func heapNow() (live, scan float64) {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	samples := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}}
	metrics.Read(samples)
	return float64(m.HeapAlloc), float64(samples[0].Value.Uint64())
}

// memoryPeers are those that differ in what they keep.
func memoryPeers() []keyedPeer {
	var peers []keyedPeer
	for _, p := range keyedPeers() {
		if p.name != ballastAllow && p.note != noRead || p.name == ballastAllowAt {
			peers = append(peers, p)
		}
	}
	return peers
}

func writeMemory(w io.Writer, all []footprint) {
	fmt.Fprintf(w, "\n**Memory: %s keys**, each of which has used one of its burst\n\n", number(float64(all[0].keys)))
	fmt.Fprintln(w, "| | bytes/key | of these scanned by each collection |")
	fmt.Fprintln(w, "|---|---:|---:|")
	for _, f := range all {
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.name, number(f.heap), number(f.scanned))
	}
}
