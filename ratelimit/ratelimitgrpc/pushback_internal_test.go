package ratelimitgrpc

import (
	"math"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
)

// However many methods are kept back, so many are remembered and no more, and
// those that are kept back longest stay.
func TestHoldsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := holds{most: time.Hour}
		denied := status.Error(codes.ResourceExhausted, "")
		to := func(i int) destination { return destination{"", strconv.Itoa(i)} }
		for i := range 3 * maxHolds {
			// A longest one among them, in the middle.
			ms := strconv.Itoa(1000 + i)
			if i == 7 {
				ms = "1000000"
			}
			h.note(to(i), denied, metadata.Pairs("grpc-retry-pushback-ms", ms))
		}
		if len(h.until) != maxHolds || h.count.Load() != maxHolds {
			t.Errorf("%d holds, counted as %d", len(h.until), h.count.Load())
		}
		if d := h.remaining(to(7)); d != 1000*time.Second {
			t.Errorf("the longest hold is for %v", d)
		}
		if d := h.remaining(to(3*maxHolds - 1)); d != time.Duration(1000+3*maxHolds-1)*time.Millisecond {
			t.Errorf("the last hold is for %v", d)
		}
		if d := h.remaining(to(8)); d != 0 {
			t.Errorf("the shortest is kept, for %v", d)
		}
		<-time.After(time.Minute)
		for i := range 3 * maxHolds { // those that are over go when they are looked at
			if d := h.remaining(to(i)); i != 7 && d != 0 {
				t.Errorf("%d is kept back for %v", i, d)
			}
		}
		if len(h.until) != 1 || h.count.Load() != 1 {
			t.Errorf("%d holds, counted as %d", len(h.until), h.count.Load())
		}
	})
}

// Whoever was refused a moment before there was room is told to come back.
func TestRefusedButRoomByNow(t *testing.T) {
	if err := refused(rate.NewLimiter(1, 1), 1); !err.Retryable() || err.RetryDelay() <= 0 {
		t.Errorf("retryable %v, after %v", err.Retryable(), err.RetryDelay())
	}
}

// However a server words it, a client is kept back for as long as it says, and
// never for longer than most.
func FuzzPushback(f *testing.F) {
	for _, text := range []string{"", "0", "2500", "-1", "+5", "1e3", " 7", "007", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9223372036855"} {
		f.Add(text, int64(0), int32(0), int64(time.Minute))
	}
	f.Add("1", int64(math.MaxInt64), int32(math.MaxInt32), int64(math.MaxInt64))
	f.Add("1", int64(math.MinInt64), int32(math.MinInt32), int64(1))
	f.Fuzz(func(t *testing.T, text string, seconds int64, nanos int32, most int64) {
		st, err := status.New(codes.Unavailable, "").WithDetails(&errdetails.RetryInfo{RetryDelay: &durationpb.Duration{Seconds: seconds, Nanos: nanos}})
		if err != nil {
			t.Fatal(err)
		}
		// In milliseconds and nanoseconds that do not overflow.
		want := new(big.Int).Add(new(big.Int).Mul(big.NewInt(seconds), big.NewInt(1e9)), big.NewInt(int64(nanos)))
		if ms, ok := new(big.Int).SetString(text, 10); ok && ms.IsInt64() && !strings.Contains(text, "_") {
			if ns := ms.Mul(ms, big.NewInt(1e6)); ns.Cmp(want) > 0 {
				want = ns
			}
		}
		want = clamp(want, big.NewInt(0), big.NewInt(math.MaxInt64))
		d := pushback(st.Err(), metadata.Pairs("grpc-retry-pushback-ms", text))
		// RetryInfo and the trailer saturate in steps of their own.
		if diff := new(big.Int).Sub(want, big.NewInt(int64(d))); diff.CmpAbs(big.NewInt(1e6)) > 0 {
			t.Errorf("%q and %d s %d ns: %d ns, want %v", text, seconds, nanos, d, want)
		}
		synctest.Test(t, func(t *testing.T) {
			h := holds{most: time.Duration(most)}
			h.note(destination{}, st.Err(), metadata.Pairs("grpc-retry-pushback-ms", text))
			if got := h.remaining(destination{}); got < 0 || got > max(0, h.most) || got > 0 && got != min(d, h.most) {
				t.Errorf("kept back for %v, want %v and at most %v", got, d, h.most)
			}
		})
	})
}

func clamp(x, low, high *big.Int) *big.Int {
	if x.Cmp(low) < 0 {
		return low
	}
	if x.Cmp(high) > 0 {
		return high
	}
	return x
}
