package retryafter_test

import (
	"math"
	"net/http"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/retryafter"
)

func TestParse(t *testing.T) {
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		value, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"1", "", time.Second},
		{"86400", "", 24 * time.Hour},
		{"-1", "", 0},
		{"+1", "", 0},
		{"1.5", "", 0},
		{" 1", "", 0},
		{"soon", "", 0},
		{"9223372036", "", 9223372036 * time.Second},
		{"9223372037", "", math.MaxInt64},
		{"9223372036854775807", "", math.MaxInt64},
		{"99999999999999999999999", "", math.MaxInt64},
		{"Wed, 25 Nov 2026 12:00:30 GMT", "", 30 * time.Second},
		{"Wednesday, 25-Nov-26 12:00:30 GMT", "", 30 * time.Second}, // RFC 850
		{"Wed Nov 25 12:00:30 2026", "", 30 * time.Second},          // asctime
		{"Wed, 25 Nov 2026 11:59:30 GMT", "", 0},
		{"Wed, 25 Nov 2026 10:00:30 GMT", "Wed, 25 Nov 2026 10:00:00 GMT", 30 * time.Second},
		{"Wed, 25 Nov 2026 12:00:30 GMT", "yesterday", 30 * time.Second},
		{"Fri, 31 Dec 9999 23:59:59 GMT", "", math.MaxInt64},
	} {
		h := http.Header{"Retry-After": {tt.value}}
		if tt.date != "" {
			h.Set("Date", tt.date)
		}
		if got := retryafter.Parse(h, now); got != tt.want {
			t.Errorf("%q by %q: %v, want %v", tt.value, tt.date, got, tt.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, v := range []string{"1", "-1", "9223372036854775807", "Wed, 25 Nov 2026 12:00:30 GMT"} {
		f.Add(v, "Wed, 25 Nov 2026 12:00:00 GMT")
	}
	f.Fuzz(func(t *testing.T, value, date string) {
		h := http.Header{"Retry-After": {value}, "Date": {date}}
		if d := retryafter.Parse(h, time.Unix(0, 0)); d < 0 {
			t.Errorf("%v", d)
		}
	})
}
