package limitbench

import (
	"testing"
	"unsafe"
)

func TestKeys(t *testing.T) {
	const n = 1000
	for _, k := range []*Keys{hotKey(), uniformKeys("uniform", n), zipfKeys("zipf", n)} {
		known, counts := map[string]bool{}, map[string]int{}
		for _, key := range k.All {
			known[key] = true
		}
		most := 0
		for _, key := range k.Stream {
			if !known[key] {
				t.Fatalf("%s: the stream has %q, which All has not", k.Name, key)
			}
			counts[key]++
			most = max(most, counts[key])
		}
		share := float64(most) / float64(len(k.Stream))
		want := map[string][2]float64{"hot": {1, 1}, "uniform": {1.0 / n, 2.5 / n}, "zipf": {0.1, 0.3}}[k.Name]
		if share < want[0] || share > want[1] {
			t.Errorf("%s: the first key has %.3f of the traffic, want %v", k.Name, share, want)
		}
		if len(k.Stream)%keysBatch != 0 {
			t.Errorf("%s: %d keys do not divide into batches", k.Name, len(k.Stream))
		}
	}
}

// A table that compared pointers would look faster than it is.
func TestEveryCallHasItsOwnString(t *testing.T) {
	k := hotKey()
	if k.Stream[0] != k.Stream[1] || unsafe.StringData(k.Stream[0]) == unsafe.StringData(k.Stream[1]) {
		t.Error("two calls share the bytes of their keys")
	}
	if unsafe.StringData(k.Stream[0]) == unsafe.StringData(k.All[0]) {
		t.Error("a call shares the bytes of the key in the table")
	}
}

func TestChunkGoesRound(t *testing.T) {
	k := &Keys{Stream: []string{"a", "b", "c", "d"}}
	at, got := 0, ""
	for range 3 {
		for _, key := range k.chunk(&at, 2) {
			got += key
		}
	}
	if got != "abcdab" {
		t.Errorf("the walk is %s", got)
	}
}
