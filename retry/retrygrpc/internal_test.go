package retrygrpc

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"
)

// However a server words it, gRFC A6's rule holds: one number from 0 on is a wait,
// and everything else forbids another attempt.
func FuzzPushback(f *testing.F) {
	for _, text := range []string{"", "0", "2500", "-1", "+5", "1e3", " 7", "007", "1_0", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9223372036855", "22337200372336868547U", "-22337200372336868547", "+22337200372336868547", "22337200372336868547+"} {
		f.Add(text, false)
		f.Add(text, true)
	}
	f.Fuzz(func(t *testing.T, text string, twice bool) {
		md := metadata.Pairs("grpc-retry-pushback-ms", text)
		if twice {
			md.Append("grpc-retry-pushback-ms", text)
		}
		d, ok, forbidden := parsePushback(md)
		if ok == forbidden || d < 0 || forbidden && d != 0 {
			t.Fatalf("%q: %v, %v, %v", text, d, ok, forbidden)
		}
		ms, isNumber := new(big.Int).SetString(text, 10)
		isNumber = isNumber && !strings.Contains(text, "_")
		if want := !twice && isNumber && ms.Sign() >= 0; ok != want {
			t.Fatalf("%q is a wait: %v", text, ok)
		}
		if !ok {
			return
		}
		want := ms.Mul(ms, big.NewInt(1e6))
		if longest := big.NewInt(1<<63 - 1); want.Cmp(longest) > 0 {
			want = longest
		}
		if want.Sub(want, big.NewInt(int64(d))).CmpAbs(big.NewInt(1e6)) > 0 {
			t.Errorf("%q is %v", text, d)
		}
	})
}

func TestNoPushback(t *testing.T) {
	if d, ok, forbidden := parsePushback(nil); d != 0 || ok || forbidden {
		t.Error(d, ok, forbidden)
	}
}

func FuzzPrevious(f *testing.F) {
	for _, text := range []string{"", "0", "1", "-1", "+5", "1e3", " 7", "007", "1000", "1001", "4294967296", "99999999999999999999"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		n := parsePrevious(text)
		want := int64(0)
		if number, ok := new(big.Int).SetString(text, 10); ok && !strings.ContainsAny(text, "_+-") && number.IsInt64() && number.Int64() < 1<<31 {
			want = min(number.Int64(), maxPrevious)
		}
		if int64(n) != want {
			t.Errorf("%q counts as %d", text, n)
		}
	})
}

// However many attempts a client claims, there are not too many to count.
func TestIncomingIsBounded(t *testing.T) {
	many := make([]string, 100)
	for i := range many {
		many[i] = "900"
	}
	ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{previousAttempts: many})
	out := outgoing(incoming(ctx))
	md, _ := metadata.FromOutgoingContext(out)
	if got := md.Get(previousAttempts); len(got) != 1 || got[0] != "1000" {
		t.Errorf("%q", got)
	}
	if incoming(t.Context()) != t.Context() {
		t.Error("a first attempt has another context")
	}
}

// A wait that does not fit a time.Duration is the longest that does.
func TestLongestPushback(t *testing.T) {
	d, ok, _ := parsePushback(metadata.Pairs("grpc-retry-pushback-ms", "9223372036854775807"))
	if !ok || d < 290*365*24*time.Hour {
		t.Error(d, ok)
	}
}
