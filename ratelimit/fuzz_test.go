package ratelimit_test

import (
	"encoding/binary"
	"math"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// FuzzKeyed asks with whatever limits, times, keys and amounts the bytes hold,
// and compares with the reference.
func FuzzKeyed(f *testing.F) {
	f.Add(1.0, 5, []byte("aaaaaaaaaaaabbbbbbbbbbbb"))
	f.Add(1e9, 1<<40, []byte{0, 0, 0, 0, 0, 0, 0, 1, 1, 200, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 3, 4})
	f.Add(math.NaN(), -1, []byte{})
	f.Fuzz(func(t *testing.T, r float64, burst int, ops []byte) {
		limit := ratelimit.Limit{Rate: rate.Limit(r), Burst: burst}
		k, err := ratelimit.New(ratelimit.Config{Limit: limit, MaxKeys: 1})
		if (err == nil) != (limit.Validate() == nil) {
			t.Fatalf("%+v: %v", limit, err)
		}
		if err != nil {
			return
		}
		ref := reference{make(map[string]int64)}
		now := int64(0)
		for ; len(ops) >= 9; ops = ops[9:] {
			now = min(max(now, 0)+int64(binary.LittleEndian.Uint64(ops)>>8), int64(40*365*24*time.Hour))
			n := int(int8(ops[8]))
			at := base.Add(time.Duration(now))
			got, want := k.AllowAt(at, "key", n), ref.allowAt(limit, at, "key", n)
			if got != want {
				t.Fatalf("%d at %v: %+v, want %+v", n, at, got, want)
			}
		}
	})
}
