package logging

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTimeIsTimePackages(t *testing.T) {
	check := func(at time.Time) {
		t.Helper()
		if got, want := string(appendTime(nil, at)), at.UTC().Format(time.RFC3339Nano); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(-1, 1), time.Date(2000, 2, 29, 23, 59, 59, 999999999, time.UTC), time.Date(1900, 3, 1, 0, 0, 0, 1, time.UTC),
		time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 12, 31, 23, 59, 59, 5, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 1e8, time.UTC),
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 30, 0, 0, time.FixedZone("", 3600)), time.Unix(math.MaxInt64/2, 0),
	} {
		check(at)
	}
	for day := time.Date(0, 1, 1, 12, 0, 0, 120, time.UTC); day.Year() < 10000; day = day.AddDate(0, 0, 13) {
		check(day)
	}
	for range 100_000 {
		check(time.Unix(rand.Int64N(4e11)-1e11, rand.Int64N(1e9)))
	}
}

func TestFloatIsEncodingJSONs(t *testing.T) {
	check := func(f float64) {
		t.Helper()
		want, err := json.Marshal(f)
		if err != nil {
			want = []byte(strconv.Quote(strconv.FormatFloat(f, 'g', -1, 64)))
		}
		if got := string(appendFloat(nil, f)); got != string(want) {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	for _, f := range []float64{0, math.Copysign(0, -1), 1, -1.5, 0.001, 0.0005, 1e-6, 9.99e-7, 1e-9, 1e-100, 4.35, 0.1 + 0.2, 999999999999.999, 1e12, 1e15, 123456789012345678, 1e20,
		1e21, 1e22, -1e300, math.MaxFloat64, math.SmallestNonzeroFloat64, math.NaN(), math.Inf(1), math.Inf(-1), math.MaxInt64, math.MinInt64} {
		check(f)
	}
	for range 200_000 {
		check(math.Float64frombits(rand.Uint64()))
		check(float64(rand.Int64N(2e15)-1e15) / 1000)
		check(float64(rand.Int64N(2e6)-1e6) / 1000)
		check(rand.ExpFloat64() * 1000)
	}
}

func TestDurations(t *testing.T) {
	for _, d := range []time.Duration{0, 1, -1, 999, 1e6, 1500 * time.Microsecond, time.Second, math.MaxInt64, math.MinInt64, -1500 * time.Millisecond} {
		for digits, unit := range map[int]time.Duration{6: time.Millisecond, 9: time.Second} {
			text := string(appendDuration(nil, d, digits))
			if got, err := strconv.ParseFloat(text, 64); err != nil || math.Abs(got-float64(d)/float64(unit)) > math.Abs(got)*1e-12 {
				t.Errorf("%d by %d: %s %v", d, unit, text, err)
			}
			if strings.Contains(text, ".") && strings.HasSuffix(text, "0") || strings.HasSuffix(text, ".") {
				t.Errorf("%s", text)
			}
		}
	}
	if got := string(appendDuration(nil, math.MinInt64, 9)); got != "-9223372036.854775808" {
		t.Error(got)
	}
}

// The eight bytes at once are judged as one by one: a text of one odd byte at each
// place comes out as the naive way has it.
func TestTextIsEncodingJSONs(t *testing.T) {
	for at := range 20 {
		for c := range 256 {
			raw := []byte("abcdefghijklmnopqrst~! #")
			raw[at] = byte(c)
			checkText(t, string(raw))
		}
	}
	for r := rune(0); r <= 0x2100; r++ {
		checkText(t, "x"+string(r)+"y")
	}
	for _, s := range []string{"", "\xed\xa0\x80", "\xf0\x9f\x98\x80", "a\xc2", "\xff\xfe", "\u202e\u2066\ufeff\ufffd"} {
		checkText(t, s)
	}
}

// checkText: a reader of JSON gets s back, but for U+FFFD in the place of what is
// not UTF-8, and the text itself holds nothing that a terminal obeys.
func checkText(t *testing.T, s string) {
	t.Helper()
	text := appendText([]byte{'"'}, s)
	text = append(text, '"')
	var got, want string
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%q became %s: %v", s, text, err)
	}
	standard, _ := json.Marshal(s)
	_ = json.Unmarshal(standard, &want)
	if got != want {
		t.Errorf("%q became %q, want %q", s, got, want)
	}
	clean(t, text)
}

// clean fails t if line holds what could end it or steer a terminal.
func clean(t *testing.T, line []byte) {
	t.Helper()
	if !utf8.Valid(line) {
		t.Errorf("no UTF-8: %q", line)
	}
	for _, r := range string(line) {
		if r < ' ' || 0x7f <= r && r < 0xa0 || strings.ContainsRune("\u2028\u2029\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff", r) {
			t.Errorf("%U in %q", r, line)
		}
	}
}
