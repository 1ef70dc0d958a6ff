package logging

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

func newTest(t *testing.T, cfg Config) (*Logger, *bytes.Buffer) {
	t.Helper()
	var buf bytes.Buffer
	cfg.Output = &buf
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l, &buf
}

// lines decodes buf's records and empties it.
func lines(t *testing.T, buf *bytes.Buffer) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range bytes.Lines(buf.Bytes()) {
		var m map[string]any
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, m)
	}
	buf.Reset()
	return all
}

// line decodes buf's only record and empties it.
func line(t *testing.T, buf *bytes.Buffer) map[string]any {
	t.Helper()
	all := lines(t, buf)
	if len(all) != 1 {
		t.Fatalf("%d records, want 1: %v", len(all), all)
	}
	return all[0]
}

func TestSchema(t *testing.T) {
	l, buf := newTest(t, Config{Name: "model-serving"})
	l.Slog().Info("loaded", "model_id", "digits")
	m := line(t, buf)
	for key, want := range map[string]any{
		"level": "INFO", "logger": "model-serving", "message": "loaded",
		"module": "github.com/ballast-go/ballast/logging", "function": "TestSchema", "model_id": "digits",
	} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
	at, err := time.Parse(time.RFC3339Nano, m["timestamp"].(string))
	if err != nil || at.Location() != time.UTC {
		t.Errorf("timestamp %v: %v", m["timestamp"], err)
	}
	if len(m) != 8 {
		t.Errorf("%d fields: %v", len(m), m)
	}
}

type method struct{}

func (*method) log(l *Logger) { l.Slog().Info("x") }

func TestSource(t *testing.T) {
	l, buf := newTest(t, Config{})
	new(method).log(l)
	func() { l.Slog().Info("x") }()
	all := lines(t, buf)
	if all[0]["function"] != "(*method).log" || all[1]["function"] != "TestSource.func1" {
		t.Errorf("%v, %v", all[0]["function"], all[1]["function"])
	}
	for name, want := range map[string][2]string{
		"main.main":                        {"main", "main"},
		"gopkg.in/yaml%2ev3.(*T).M":        {"gopkg.in/yaml.v3", "(*T).M"},
		"example.com/a.b/c.F[...].func1.2": {"example.com/a.b/c", "F[...].func1.2"},
		"odd":                              {"odd", ""},
		"":                                 {"", ""},
	} {
		if m, f := splitFunction(name); m != want[0] || f != want[1] {
			t.Errorf("%s: %q %q", name, m, f)
		}
	}
}

func TestLevels(t *testing.T) {
	l, buf := newTest(t, Config{Level: slog.LevelWarn})
	derived := l.Slog().With("a", 1)
	log := func() (levels []any) {
		for _, level := range []slog.Level{-400, -8, -4, 0, 2, 4, 8, 12, 400} {
			derived.Log(context.Background(), level, "x")
		}
		for _, m := range lines(t, buf) {
			levels = append(levels, m["level"])
		}
		return levels
	}
	if got := fmt.Sprint(log()); got != "[WARN ERROR ERROR+4 ERROR+119]" {
		t.Errorf("at WARN: %v", got)
	}
	l.SetLevel(slog.LevelDebug)
	if got := fmt.Sprint(log()); got != "[DEBUG INFO INFO+2 WARN ERROR ERROR+4 ERROR+119]" {
		t.Errorf("at DEBUG: %v", got)
	}
	l.SetLevel(-1000)
	if l.Level() != minLevel {
		t.Errorf("level %d", l.Level())
	}
	if got := len(log()); got != 8 { // -400 is below all
		t.Errorf("at the lowest level: %d records", got)
	}
	if derived.Enabled(context.Background(), -129) {
		t.Error("enabled beyond the lowest level")
	}
}

type broken struct{}

func (*broken) Error() string               { panic("in Error") }
func (broken) MarshalJSON() ([]byte, error) { panic("in MarshalJSON") }
func (broken) String() string               { return "unused" }

type nilError struct{ text string }

func (e *nilError) Error() string { return e.text }

type secret string

func (secret) LogValue() slog.Value { return slog.StringValue("REDACTED") }

func TestValues(t *testing.T) {
	l, buf := newTest(t, Config{})
	at := time.Date(2026, 1, 2, 3, 4, 5, 600, time.FixedZone("x", 3600))
	for _, tt := range []struct {
		value any
		want  any
	}{
		{"text", "text"}, {1, 1.0}, {int64(-1), -1.0}, {uint64(math.MaxUint64), float64(math.MaxUint64)},
		{1.5, 1.5}, {true, true}, {1500 * time.Millisecond, 1.5}, {at, "2026-01-02T02:04:05.0000006Z"},
		{math.NaN(), "NaN"}, {math.Inf(1), "+Inf"}, {nil, nil},
		{errors.New("bad"), "bad"}, {secret("hunter2"), "REDACTED"},
		{[]int{1, 2}, []any{1.0, 2.0}}, {map[string]int{"a": 1}, map[string]any{"a": 1.0}},
		{struct{ A int }{1}, map[string]any{"A": 1.0}},
		{(*nilError)(nil), "!PANIC: runtime error: invalid memory address or nil pointer dereference"},
		{broken{}, "!PANIC: in MarshalJSON"}, {make(chan int), "!ERROR:json: unsupported type: chan int"},
		{slog.GroupValue(slog.Int("a", 1)), map[string]any{"a": 1.0}},
		{"a\nb\x1b[31m\xff\u2028", "a\nb\x1b[31m\ufffd\u2028"},
	} {
		l.Slog().Info("x", "v", tt.value)
		if got := line(t, buf)["v"]; fmt.Sprint(got) != fmt.Sprint(tt.want) {
			t.Errorf("%v: got %#v, want %#v", tt.value, got, tt.want)
		}
	}
	l.Slog().Info("x", "v", any(&broken{}))
	if got := line(t, buf)["v"]; !strings.HasPrefix(fmt.Sprint(got), "!PANIC") {
		t.Errorf("got %v", got)
	}
}

// Whatever is logged, a record stays one line: no value forges another.
func TestOneRecordOneLine(t *testing.T) {
	for _, format := range []Format{JSON, Console} {
		l, buf := newTest(t, Config{Format: format, Name: "n"})
		evil := "x\r\n{\"level\":\"ERROR\"}\x1b[2J\x00\xff\u2028\u009b"
		l.Slog().WithGroup("g"+evil).Info(evil, evil, evil, slog.Group("h", evil, errors.New(evil)))
		out := strings.TrimSuffix(buf.String(), "\n")
		if strings.ContainsAny(out, "\r\n\x1b\x00") || !utf8.ValidString(out) {
			t.Errorf("%v: %q", format, out)
		}
		if l.Stats() != (Stats{Written: 1}) {
			t.Errorf("%+v", l.Stats())
		}
	}
}

func TestConsole(t *testing.T) {
	l, buf := newTest(t, Config{Format: Console, Name: "serving"})
	l.Slog().Warn("müde", "after", time.Second)
	got := strings.Split(strings.TrimSpace(buf.String()), "\t")
	if len(got) != 5 || got[1] != "WARN" || got[2] != "serving" || got[3] != "müde" || !strings.Contains(got[4], `"after": 1`) {
		t.Errorf("%q", got)
	}
}

func TestConfigErrors(t *testing.T) {
	_, err := New(Config{Format: 7, Level: 1000})
	if err == nil || !strings.Contains(err.Error(), "Config.Format") || !strings.Contains(err.Error(), "Config.Level") {
		t.Errorf("got %v", err)
	}
	var f Format
	if err := f.UnmarshalText([]byte("yaml")); err == nil || !strings.Contains(err.Error(), "yaml") {
		t.Errorf("got %v", err)
	}
	for _, want := range []Format{JSON, Console} {
		text, _ := want.MarshalText()
		if err := f.UnmarshalText(text); err != nil || f != want {
			t.Errorf("%s: %v %v", text, f, err)
		}
	}
	if got := Format(7).String(); got != "Format(7)" {
		t.Error(got)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestFailedWritesAreCounted(t *testing.T) {
	for name, w := range map[string]writerFunc{
		"error": func(p []byte) (int, error) { return len(p), errors.New("disk full") },
		"short": func(p []byte) (int, error) { return len(p) - 1, nil },
		"panic": func([]byte) (int, error) { panic("broken writer") },
	} {
		l, err := New(Config{Output: w})
		if err != nil {
			t.Fatal(err)
		}
		l.Slog().Info("x")
		if err := l.Slog().Handler().Handle(context.Background(), slog.Record{}); err == nil {
			t.Errorf("%s: the handler reports no error", name)
		}
		if got := l.Stats(); got != (Stats{Failed: 2}) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An output gets one Write at a time, whoever logs.
func TestWritesNeverOverlap(t *testing.T) {
	var inside, writes int // guarded by the Logger, or the race detector complains
	l, err := New(Config{Output: writerFunc(func(p []byte) (int, error) {
		if inside++; inside != 1 || p[len(p)-1] != '\n' {
			t.Errorf("%d writes at once: %q", inside, p)
		}
		runtime.Gosched()
		inside--
		writes++
		return len(p), nil
	})})
	if err != nil {
		t.Fatal(err)
	}
	h := Middleware(l, MiddlewareConfig{})(http.NotFoundHandler())
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				l.Slog().Info("x")
				h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			}
		})
	}
	wg.Wait()
	if writes != 800 || l.Stats().Written != 800 {
		t.Errorf("%d writes", writes)
	}
}

// Loggers derived from one another never share what they add.
func TestDerivedLoggersAreApart(t *testing.T) {
	l, buf := newTest(t, Config{})
	base := l.Slog().With("a", 1).WithGroup("g").With("b", 2)
	left, right := base.With("side", "left"), base.With("side", "right")
	long := base.WithGroup("p").WithGroup("q") // its slice has room to append to
	below, beside := long.WithGroup("x"), long.WithGroup("y")
	below.Info("m", "c", 3)
	beside.Info("m", "c", 3)
	for i, m := range lines(t, buf) {
		if want := []string{"map[b:2 p:map[q:map[x:map[c:3]]]]", "map[b:2 p:map[q:map[y:map[c:3]]]]"}[i]; fmt.Sprint(m["g"]) != want {
			t.Errorf("got %v, want %v", m["g"], want)
		}
	}
	deep, deeper := base.WithGroup("x"), base.WithGroup("y")
	for _, log := range []*slog.Logger{left, right, deep, deeper, base} {
		log.Info("m", "c", 3)
	}
	want := []string{
		`map[b:2 c:3 side:left]`, `map[b:2 c:3 side:right]`, `map[b:2 x:map[c:3]]`, `map[b:2 y:map[c:3]]`, `map[b:2 c:3]`,
	}
	for i, m := range lines(t, buf) {
		if got := fmt.Sprint(m["g"]); got != want[i] || m["a"] != 1.0 {
			t.Errorf("got %v, want %v", got, want[i])
		}
	}
}

// Two Loggers never disturb each other.
func TestTwoLoggers(t *testing.T) {
	a, bufA := newTest(t, Config{Name: "a"})
	b, bufB := newTest(t, Config{Name: "b", Level: slog.LevelError})
	a.SetLevel(slog.LevelDebug)
	a.Slog().Debug("x")
	b.Slog().Info("x")
	if line(t, bufA)["logger"] != "a" || bufB.Len() != 0 {
		t.Error("they do")
	}
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
