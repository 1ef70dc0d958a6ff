package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
)

// as is how slog.JSONHandler is told the differences that are documented.
func as(_ []string, a slog.Attr) slog.Attr {
	switch v := a.Value; v.Kind() {
	case slog.KindDuration:
		return slog.Float64(a.Key, v.Duration().Seconds())
	case slog.KindTime:
		return slog.Time(a.Key, v.Time().UTC())
	case slog.KindFloat64:
		if f := v.Float64(); math.IsNaN(f) || math.IsInf(f, 0) {
			return slog.String(a.Key, map[bool]string{true: "NaN"}[f != f]+map[bool]string{true: "+Inf"}[f > 0]+map[bool]string{true: "-Inf"}[f < 0])
		}
	}
	return a
}

type valuer struct{ v slog.Value }

func (v valuer) LogValue() slog.Value { return v.v }

func randomText(rng *rand.Rand) string {
	const alphabet = "abcdefgh \"\\/<>&\n\r\t\x00\x1b\x7fé\u0085\u2028\u202e\U0001f600\xff\xc3"
	b := make([]byte, rng.IntN(20))
	for i := range b {
		b[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return string(b)
}

func randomValue(rng *rand.Rand, depth int) slog.Value {
	switch n := rng.IntN(14); {
	case n == 0:
		return slog.StringValue(randomText(rng))
	case n == 1:
		return slog.Int64Value(int64(rng.Uint64()))
	case n == 2:
		return slog.Uint64Value(rng.Uint64())
	case n == 3:
		return slog.Float64Value([]float64{rng.NormFloat64(), math.NaN(), math.Inf(1), math.Inf(-1), 1e300, 1e-9, 1.5, math.Float64frombits(rng.Uint64())}[rng.IntN(8)])
	case n == 4:
		return slog.BoolValue(rng.IntN(2) == 0)
	case n == 5:
		return slog.DurationValue(time.Duration(rng.Int64N(1e15) - 5e14))
	case n == 6:
		return slog.TimeValue(time.Unix(rng.Int64N(4e9), rng.Int64N(1e9)).In(time.FixedZone("x", 3600)))
	case n == 7:
		return slog.AnyValue(errors.New(randomText(rng)))
	case n == 8:
		return slog.AnyValue([]any{randomText(rng), 1.5, nil, map[string]any{randomText(rng): []int{1}}})
	case n == 9:
		return slog.AnyValue(struct {
			A string
			B *int `json:"b"`
			C time.Duration
		}{randomText(rng), nil, 3})
	case n == 10:
		return slog.AnyValue(nil)
	case n == 11:
		return slog.AnyValue(valuer{randomValue(rng, depth+1)})
	case n == 12:
		return slog.AnyValue([]byte(randomText(rng)))
	case depth > 3:
		return slog.IntValue(depth)
	}
	return slog.GroupValue(randomAttrs(rng, rng.IntN(4), depth+1)...)
}

var serial int

func randomAttrs(rng *rand.Rand, n, depth int) (attrs []slog.Attr) {
	for range n {
		serial++ // no name twice: what a decoder makes of that is its own affair
		name := fmt.Sprintf("%s%d", randomText(rng), serial)
		if rng.IntN(10) == 0 {
			name = ""
		}
		v := randomValue(rng, depth)
		if name == "" && v.Resolve().Kind() != slog.KindGroup {
			name = fmt.Sprint("k", serial)
		}
		attrs = append(attrs, slog.Attr{Key: name, Value: v})
	}
	return attrs
}

// Random records, through random chains of With and WithGroup, are decoded to
// what slog.JSONHandler's are.
func TestAgainstJSONHandler(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	l, ours := newTest(t, Config{})
	var theirs bytes.Buffer
	for range 5000 {
		a, b := l.Slog().Handler(), slog.Handler(slog.NewJSONHandler(&theirs, &slog.HandlerOptions{ReplaceAttr: as}))
		for range rng.IntN(4) {
			if rng.IntN(2) == 0 {
				serial++
				name := fmt.Sprint("group", serial)
				a, b = a.WithGroup(name), b.WithGroup(name)
				continue
			}
			attrs := randomAttrs(rng, rng.IntN(3), 0)
			a, b = a.WithAttrs(attrs), b.WithAttrs(attrs)
		}
		message := randomText(rng)
		r := slog.NewRecord(time.Unix(rng.Int64N(4e9), rng.Int64N(1e9)), slog.Level(rng.IntN(20)-8), message, 0)
		r.AddAttrs(randomAttrs(rng, rng.IntN(6), 0)...)
		if err := errors.Join(a.Handle(context.Background(), r), b.Handle(context.Background(), r)); err != nil {
			t.Fatal(err)
		}
		got, want := line(t, ours), line(t, &theirs)
		want["timestamp"], want["message"] = want["time"], want["msg"]
		at, err := time.Parse(time.RFC3339Nano, want["time"].(string))
		if err != nil || at.UTC().Format(time.RFC3339Nano) != got["timestamp"] {
			t.Errorf("time %v, want %v", got["timestamp"], want["time"])
		}
		delete(want, "time")
		delete(want, "msg")
		got["timestamp"] = want["timestamp"]
		prune(want)
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("\n got %v\nwant %v", got, want)
		}
	}
}

// prune removes empty groups, which slog.JSONHandler ignores too, but writes if
// they are all that another one holds.
func prune(m map[string]any) {
	for name, v := range m {
		if inner, ok := v.(map[string]any); ok {
			if prune(inner); len(inner) == 0 {
				delete(m, name)
			}
		}
	}
}

// Whatever is logged, a record is one line of valid JSON, or one of the console's,
// and gives its texts back, but for U+FFFD in the place of what is not UTF-8.
func FuzzRecord(f *testing.F) {
	f.Add("message", "key", "value")
	f.Add("a\nb", "\xff", "\x1b[31m\u2028\u202e\u0085")
	f.Add("", "", "\r\n\x00\x7f\ufeff\xed\xa0\x80")
	f.Add("level", "level", "\\\"\\u0000")
	f.Add("{\"", "attr.level", "\t}")
	loggers := make(map[Format]*Logger)
	var buf bytes.Buffer
	for _, format := range []Format{JSON, Console} {
		l, err := New(Config{Format: format, Output: &buf, Name: "n\n", RedactKeys: []string{"qqq"}})
		if err != nil {
			f.Fatal(err)
		}
		loggers[format] = l
	}
	text := func(s string) string { // encoding/json is the oracle
		var back string
		standard, _ := json.Marshal(s)
		_ = json.Unmarshal(standard, &back)
		return back
	}
	f.Fuzz(func(t *testing.T, message, name, value string) {
		for format, l := range loggers {
			buf.Reset()
			l.Slog().With("with", slog.GroupValue(slog.String(name, value))).WithGroup(name).
				Info(message, "x", value, "err", errors.New(value), "any", []string{value}, name+"1", 1, slog.Group("g"+name, name, value))
			out, ok := bytes.CutSuffix(buf.Bytes(), []byte("\n"))
			if !ok {
				t.Fatalf("no line: %q", buf.Bytes())
			}
			if format == Console {
				columns := strings.Split(string(out), "\t")
				if len(columns) != 5 || !strings.HasPrefix(columns[4], "{") {
					t.Fatalf("%d columns: %q", len(columns), out)
				}
				clean(t, []byte(strings.Join(columns, "")))
				out = []byte(columns[4])
			}
			clean(t, out)
			m := make(map[string]any)
			if err := json.Unmarshal(out, &m); err != nil {
				t.Fatalf("%v in %q", err, out)
			}
			if len(message) > l.maxField || 6*len(value)+10 > l.maxField || len(name) > maxKey-3 || strings.HasPrefix(name, "with") {
				return
			}
			if format == JSON && m["message"] != text(message) {
				t.Errorf("message %q became %q", message, m["message"])
			}
			inner := m
			if name != "" {
				inner, _ = m[text(name)].(map[string]any)
			}
			if l.redact.secret(name) || inner == nil {
				return // two of a name, or none
			}
			if _, twice := map[string]bool{"x": true, "err": true, "any": true, "g": true}[name]; twice {
				return
			}
			if inner["x"] != text(value) || inner["err"] != text(value) || fmt.Sprint(inner["any"]) != fmt.Sprint([]string{text(value)}) {
				t.Errorf("%q became %v", value, inner)
			}
		}
	})
}
