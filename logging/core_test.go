package logging

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// keeper is a core that keeps what it gets, as zap's observer does.
type keeper struct {
	zapcore.LevelEnabler
	mu      sync.Mutex
	entries []string
	times   []time.Time
}

func (k *keeper) With([]zapcore.Field) zapcore.Core { return k }
func (k *keeper) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if k.Enabled(e.Level) {
		return ce.AddCore(e, k)
	}
	return ce
}
func (k *keeper) Write(e zapcore.Entry, fields []zapcore.Field) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	m := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(m)
	}
	k.entries = append(k.entries, fmt.Sprint(e.Level, " ", e.LoggerName, " ", e.Message, " ", m.Fields))
	k.times = append(k.times, e.Time)
	return nil
}
func (*keeper) Sync() error { return nil }

// A user's own core gets each record once, redacted and with its names, and what
// it does not admit is not counted against it.
func TestCore(t *testing.T) {
	for _, schema := range schemas {
		k := &keeper{LevelEnabler: zapcore.WarnLevel}
		l, err := New(Config{Core: k, Name: "n", Level: slog.LevelDebug, Schema: schema, OmitSource: true, Format: Console})
		if err != nil {
			t.Fatal(err)
		}
		log := l.Slog().With("token", canary)
		if log.Enabled(t.Context(), slog.LevelInfo) {
			t.Error("enabled below the core's level")
		}
		log.Info("left out")
		log.Warn("a\nb", "n", 1, "u", uint64(1<<63), "f", 1.5, "b", true, "z", nil, slog.Group("g", "x", []int{1}))
		log.Log(t.Context(), slog.LevelError+3, "odd")
		l.Audit(t.Context(), "audited", slog.String("k", "v"))
		for i, want := range []string{
			"warn n a\nb map[b:true f:1.5 g:map[x:[1]] n:1 token:[redacted] u:9223372036854775808 z:<nil>]",
			"error n odd map[slog_level:ERROR+3 token:[redacted]]",
			"info audit audited map[k:v]",
		} {
			if schema == ECS {
				want = want[:len(want)-1] + " ecs.version:8.11.0]"
			}
			if i == 1 && schema == GCP {
				want = "error n odd map[level:ERROR+3 slog_level:ERROR+3 token:[redacted]]"
			}
			if len(k.entries) != 3 || sorted(k.entries[i]) != sorted(want) || time.Since(k.times[i]) > time.Hour {
				t.Errorf("%v: got %q, want %s", schema, k.entries, want)
			}
		}
		if l.Stats() != (Stats{Written: 2, AuditWritten: 1}) {
			t.Errorf("%+v", l.Stats())
		}
	}
}

// In OTel's schema attributes have an object of their own, and any name, and what
// stands behind it is not lost.
func TestCoreGetsAllOfTheRecord(t *testing.T) {
	k := &keeper{LevelEnabler: zapcore.DebugLevel}
	l, err := New(Config{Core: k, Schema: OTel, OmitSource: true})
	if err != nil {
		t.Fatal(err)
	}
	attrs := []any{"body", "b", "timestamp", "t", "severity_text", "s", "scope_name", "n", "attributes", "a"}
	l.Slog().Info("message", attrs...)
	if want := "info  message map[attributes:a body:b scope_name:n severity_text:s timestamp:t]"; k.entries[0] != want {
		t.Errorf("got %s, want %s", k.entries[0], want)
	}
	for range maxAttrs {
		attrs = append(attrs, "k", 1)
	}
	l.Slog().Info("message", attrs...)
	if want := "dropped_attributes_count:5"; !strings.Contains(k.entries[1], want) {
		t.Errorf("no %s in %s", want, k.entries[1])
	}
}

// sorted lets the order of map members be that of any fmt.
func sorted(s string) string {
	counts := make(map[rune]int)
	for _, r := range s {
		counts[r]++
	}
	return fmt.Sprint(counts)
}

// With an audit stream of its own, the core gets none of it.
func TestCoreAndAudit(t *testing.T) {
	k, buf := &keeper{LevelEnabler: zapcore.DebugLevel}, new(bytes.Buffer)
	l, err := New(Config{Core: k, Audit: buf})
	if err != nil {
		t.Fatal(err)
	}
	l.Slog().Info("x")
	l.Audit(t.Context(), "audited")
	if m := line(t, buf); len(k.entries) != 1 || m["message"] != "audited" {
		t.Errorf("%v %v", k.entries, m)
	}
}

type brokenCore struct{ *keeper }

func (b brokenCore) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	return ce.AddCore(e, b)
}
func (brokenCore) Write(zapcore.Entry, []zapcore.Field) error { panic("broken core") }

func TestBrokenCore(t *testing.T) {
	l, err := New(Config{Core: brokenCore{&keeper{LevelEnabler: zapcore.DebugLevel}}})
	if err != nil {
		t.Fatal(err)
	}
	l.Slog().Info("x")
	l.Audit(t.Context(), "x")
	if l.Stats() != (Stats{Failed: 1, AuditFailed: 1}) {
		t.Errorf("%+v", l.Stats())
	}
}

// A real zap core behind a request: what a user who has one wires up.
func TestZapsOwnCore(t *testing.T) {
	var buf bytes.Buffer
	core := zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(&buf), zapcore.InfoLevel)
	l, err := New(Config{Core: core, Name: "serving"})
	if err != nil {
		t.Fatal(err)
	}
	h := Recover(l)(Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { panic("boom") })))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	all := lines(t, &buf)
	if len(all) != 2 {
		t.Fatalf("%v", all)
	}
	for _, m := range all {
		if m["level"] != "error" || m["logger"] != "serving" || m["request_id"] == nil || m["method"] != "GET" {
			t.Errorf("%v", m)
		}
	}
}

type stringer struct{}

func (*stringer) String() string { panic("in String") }

// Code that logs through zap gets the same records.
func TestZapCore(t *testing.T) {
	l, buf := newTest(t, Config{Name: "n", Level: slog.LevelWarn})
	log := zap.New(l.ZapCore(), zap.AddCaller())
	log.Info("left out")
	log.With(zap.String("password", canary), zap.Namespace("ns"), zap.Int("i", 1)).Named("part").Warn("x\n",
		zap.Bool("b", true), zap.Duration("d", 1500*time.Millisecond), zap.Error(errors.New("bad")), zap.Float64("f", 0.5),
		zap.Any("list", []string{"a"}), zap.Stringer("broken", &stringer{}), zap.Inline(zapcore.ObjectMarshalerFunc(func(e zapcore.ObjectEncoder) error {
			e.AddString("inline", "v")
			return nil
		})), zap.Skip(), zap.Namespace("empty"))
	m := line(t, buf)
	want := "map[b:true brokenError:PANIC=in String d:1.5 error:bad f:0.5 i:1 inline:v list:[a]]"
	if fmt.Sprint(m["ns"]) != want || m["password"] != redacted || m["level"] != "WARN" || m["logger"] != "part" || m["message"] != "x\n" || m["function"] != "TestZapCore" {
		t.Errorf("%v", m)
	}
	for level, want := range map[zapcore.Level]string{zapcore.ErrorLevel: "ERROR", zapcore.DPanicLevel: "ERROR+4"} {
		log.WithOptions(zap.AddStacktrace(zapcore.DPanicLevel)).Log(level, "x")
		m := line(t, buf)
		if m["level"] != want || (m["exception"] != nil) != (level > zapcore.ErrorLevel) {
			t.Errorf("%v: %v", level, m)
		}
	}
	if err := log.Sync(); err != nil || l.ZapCore().Enabled(zapcore.InfoLevel) {
		t.Error(err)
	}
}

// What zap logs before it ends the process is not left in a buffer, nor does a writer
// that hangs keep the process.
func TestZapCoreSyncs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{Delay: time.Hour})
		l, err := New(Config{Output: a})
		if err != nil {
			t.Fatal(err)
		}
		z := zap.New(l.ZapCore(), zap.WithFatalHook(zapcore.WriteThenPanic), zap.ErrorOutput(zapcore.AddSync(io.Discard)))
		fatal := func() {
			defer func() { _ = recover() }()
			z.Fatal("the last word")
		}
		start := time.Now()
		if fatal(); time.Since(start) != maxSync {
			t.Errorf("waited for %v", time.Since(start))
		}
		close(g.open)
		z.Error("no need to wait")
		if err := z.Sync(); err != nil || strings.Count(g.String(), "\n") != 2 {
			t.Errorf("%v %s", err, g)
		}
		if fatal(); strings.Count(g.String(), "the last word") != 2 {
			t.Error(g)
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
