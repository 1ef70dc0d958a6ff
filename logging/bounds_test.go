package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"
)

// One field is cut, at a rune's start, and says so; the rest of the record stays.
func TestFieldsAreCut(t *testing.T) {
	for _, format := range []Format{JSON, Console} {
		l, buf := newTest(t, Config{Format: format, MaxFieldBytes: 300})
		long := strings.Repeat("ü", 1<<20)
		list := make([]string, 1000)
		l.Slog().With("w", long).Info(long, "s", long, "e", errors.New(long), "list", list, slog.Group("g", "s", long), long, 1, "end", true)
		text := buf.String()
		if n := len(text); n > 5000 || !utf8.ValidString(text) {
			t.Errorf("%v: %d bytes", format, n)
		}
		if format == Console {
			continue
		}
		m := line(t, buf)
		want := strings.Repeat("ü", 150) + "…[+2096852 bytes]"
		for _, got := range []any{m["w"], m["message"], m["s"], m["e"], m["g"].(map[string]any)["s"]} {
			if got != want {
				t.Errorf("%v", got)
			}
		}
		if got := m["list"].(string); !strings.HasPrefix(got, `["","",`) || !strings.HasSuffix(got, "bytes]") {
			t.Errorf("%v", got)
		}
		if m["end"] != true || m[strings.Repeat("ü", 128)+"…[+2096896 bytes]"] != 1.0 {
			t.Errorf("%v", m)
		}
		l.Slog().Info("x", "s", strings.Repeat("x", 300))
		if got := line(t, buf)["s"]; got != strings.Repeat("x", 300) {
			t.Errorf("cut at the limit: %v", got)
		}
	}
}

// A record has so many attributes and bytes, and tells how many it lacks.
func TestAttributesAreBounded(t *testing.T) {
	for _, schema := range schemas {
		l, buf := newTest(t, Config{Schema: schema, MaxRecordBytes: 64 << 10})
		dropped := l.keys.dropped.name
		var many []any
		for i := range 1000 {
			many = append(many, fmt.Sprint("k", i), i)
		}
		l.Slog().Info("x", many...)
		if m := line(t, buf); m[dropped] != 1000.0-maxAttrs {
			t.Errorf("%v: %v", schema, m[dropped])
		}
		l.Slog().With(many[:400]...).WithGroup("g").With(many[:20]...).Info("x", many[:100]...)
		if m := line(t, buf); m[dropped] != 260.0-maxAttrs {
			t.Errorf("%v: %v", schema, m[dropped])
		}
		var groups []any
		for i := range 100 { // each is two
			groups = append(groups, slog.Group(fmt.Sprint("g", i), "a", 1))
		}
		l.Slog().Info("x", groups...)
		if m := line(t, buf); m[dropped] != 100.0-maxAttrs/2 {
			t.Errorf("%v: %v", schema, m[dropped])
		}
		var large []any
		for i := range 20 {
			large = append(large, fmt.Sprint("k", i), strings.Repeat("\x00", 10<<10))
		}
		l.Slog().Info("x", append(large, "small", 1)...)
		if n := buf.Len(); n > 64<<10+1000 || !strings.Contains(buf.String(), `"small":1`) {
			t.Errorf("%v: %d bytes", schema, n)
		}
		if m := line(t, buf); m[dropped] != 19.0 {
			t.Errorf("%v: %v", schema, m[dropped])
		}
		l.Slog().Info("x", slog.Group("g", large...), "after", 1)
		if m := line(t, buf); m[dropped] != 19.0 {
			t.Errorf("%v: %v", schema, m[dropped])
		}
	}
	if l, err := New(Config{MaxFieldBytes: 1 << 20}); err != nil || l.maxRecord != 4<<20 {
		t.Errorf("%v", err)
	}
	for _, cfg := range []Config{{MaxFieldBytes: 1}, {MaxFieldBytes: 2 << 20}, {MaxRecordBytes: 1}, {MaxFieldBytes: 1 << 20, MaxRecordBytes: 512 << 10}, {MaxRecordBytes: 1 << 30}, {MaxFieldBytes: -1}} {
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), "Config.Max") {
			t.Errorf("%+v: %v", cfg, err)
		}
	}
}

// Code that calls WithGroup each time it goes deeper makes no record deeper than 16.
func TestGroupsAreBounded(t *testing.T) {
	l, buf := newTest(t, Config{})
	log := l.Slog()
	for range 1000 {
		log = log.WithGroup("g")
	}
	log.Info("x", "a", 1, slog.Group("h", "b", 2))
	log.With("c", 3).WithGroup("g").Info("x", "d", 4)
	for i, inner := range []string{`"a":1,"h":{"!":"too deep"}`, `"c":3,"d":4`} {
		text := strings.Split(buf.String(), "\n")[i]
		dropped := 1000 - maxDepth + i
		if want := strings.Repeat(`"g":{`, maxDepth) + inner + strings.Repeat("}", maxDepth) + fmt.Sprintf(`,"dropped_attributes":%d}`, dropped); !strings.HasSuffix(text, want) {
			t.Errorf("%s\nwant %s", text, want)
		}
	}
}

// What a LogValue may do without end: become another, hold itself, in one place
// or in many, inline itself, panic.
type (
	forever  struct{}
	deep     struct{}
	wide     struct{}
	inlined  struct{}
	panicker struct{}
)

func (f forever) LogValue() slog.Value { return slog.AnyValue(f) }
func (d deep) LogValue() slog.Value    { return slog.GroupValue(slog.Any("d", d)) }
func (w wide) LogValue() slog.Value {
	return slog.GroupValue(slog.Any("a", w), slog.Any("b", w), slog.Any("c", w), slog.Any("d", w))
}
func (i inlined) LogValue() slog.Value { return slog.GroupValue(slog.Any("", i), slog.Any("", i)) }
func (panicker) LogValue() slog.Value  { panic("in LogValue") }

type ring struct{ Next *ring }

func TestEndlessValues(t *testing.T) {
	loop := new(ring)
	loop.Next = loop
	for _, v := range []any{forever{}, deep{}, wide{}, inlined{}, panicker{}, loop} {
		l, buf := newTest(t, Config{})
		l.Slog().With("v", v).WithGroup("g").Info("x", "v", v, "", v)
		l.Audit(t.Context(), "x", slog.Any("v", v))
		if n := buf.Len(); n > 100<<10 {
			t.Errorf("%T: %d bytes", v, n)
		}
		if n := strings.Count(buf.String(), "{"); n > 2*maxAttrs+10 || v == (deep{}) && n > 4*(maxDepth+1)+2 {
			t.Errorf("%T: %d groups", v, n)
		}
		if all := lines(t, buf); len(all) != 2 || all[0]["message"] != "x" || all[1]["v"] == nil && v != (inlined{}) {
			t.Errorf("%T: %v", v, all)
		}
		l.Slog().Info("y", "a", 1) // the pooled record is as new
		if m := line(t, buf); m["a"] != 1.0 || len(m) != 7 {
			t.Errorf("%T: then %v", v, m)
		}
	}
}

// A value that logs while it is being logged.
type chatty struct{ l *Logger }

func (c chatty) LogValue() slog.Value { c.l.Slog().Info("inner"); return slog.IntValue(1) }
func (c chatty) MarshalJSON() ([]byte, error) {
	c.l.Slog().Info("inner", "list", []int{1})
	return []byte(`[2]`), nil
}

func TestValuesThatLog(t *testing.T) {
	l, buf := newTest(t, Config{})
	l.Slog().Info("outer", "v", chatty{l}, "w", []any{chatty{l}})
	all := lines(t, buf)
	if len(all) != 3 || all[2]["message"] != "outer" || all[2]["v"] != 1.0 || fmt.Sprint(all[2]["w"]) != "[[2]]" {
		t.Errorf("%v", all)
	}
}

// No large buffer stays in the pool.
func TestLargeRecordsAreNotKept(t *testing.T) {
	l, _ := newTest(t, Config{MaxFieldBytes: 1 << 20, MaxRecordBytes: 4 << 20})
	l.Slog().Info("x", "large", strings.Repeat("x", 1<<20), "list", make([]string, 1<<16))
	l.Slog().Info("x", "m", map[string]any{"password": strings.Repeat("x", 1<<20)})
	for range 10 {
		if r, ok := l.pool.Get().(*record); ok && (cap(r.buf) > maxPooled || r.json != nil && r.json.buf.Cap() > maxPooled) {
			t.Errorf("%d bytes kept", cap(r.buf))
		}
	}
}
