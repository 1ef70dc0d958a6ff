package logging

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// auditor is package auth's, which this one does not import.
type auditor interface {
	Audit(ctx context.Context, event string, attrs ...slog.Attr)
}

var _ auditor = (*Logger)(nil)

// An audit record is written at every level, under a name of its own, and has the
// request's ids once.
func TestAudit(t *testing.T) {
	l, buf := newTest(t, Config{Name: "model-serving", Level: slog.LevelError})
	l.SetLevel(maxLevel)
	h := Middleware(l, MiddlewareConfig{TrustRequestID: func(*http.Request) bool { return true }})(
		http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			l.Audit(r.Context(), "auth.authorize", slog.String("subject", "alice"), slog.String("request_id", "forged"),
				slog.Group("", slog.Int("n", 1)))
		}))
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Request-Id", "req-1")
	h.ServeHTTP(httptest.NewRecorder(), r)
	if n := bytes.Count(buf.Bytes(), []byte("request_id")); n != 1 {
		t.Errorf("request_id is there %d times in %s", n, buf)
	}
	m := line(t, buf)
	for key, want := range map[string]any{
		"logger": "audit", "level": "INFO", "message": "auth.authorize", "subject": "alice", "request_id": "req-1", "n": 1.0,
	} {
		if m[key] != want {
			t.Errorf("%s is %v, want %v", key, m[key], want)
		}
	}
	if m["module"] != nil || m["timestamp"] == nil {
		t.Errorf("%v", m)
	}

	l.Audit(t.Context(), "auth.authenticate", slog.String("request_id", "of another logger"))
	if m := line(t, buf); m["request_id"] != "of another logger" {
		t.Errorf("%v", m)
	}
}

func TestAuditConsole(t *testing.T) {
	l, buf := newTest(t, Config{Format: Console})
	l.Audit(t.Context(), "a\nb", slog.String("subject", "c\nd"))
	if got := buf.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "audit") {
		t.Errorf("%q", got)
	}
}

// A broken value or output costs the caller nothing.
func TestAuditSurvives(t *testing.T) {
	l, err := New(Config{Output: panicking{}})
	if err != nil {
		t.Fatal(err)
	}
	l.Audit(t.Context(), "event", slog.Any("v", panicking{}))
	if s := l.Stats(); s.Failed != 0 || s.AuditFailed != 1 {
		t.Errorf("%+v", s)
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error)    { panic("broken") }
func (panicking) MarshalJSON() ([]byte, error) { panic("broken") }

// The audit stream has a writer of its own, and counts of its own.
func TestAuditWriter(t *testing.T) {
	var ledger bytes.Buffer
	l, buf := newTest(t, Config{Audit: &ledger})
	l.Slog().Info("ordinary")
	l.Audit(t.Context(), "event")
	if m := line(t, buf); m["message"] != "ordinary" {
		t.Errorf("%v", m)
	}
	if m := line(t, &ledger); m["message"] != "event" {
		t.Errorf("%v", m)
	}
	if s := l.Stats(); s != (Stats{Written: 1, AuditWritten: 1}) {
		t.Errorf("%+v", s)
	}
}

// A failure is counted apart and told, and neither a panic of the writer nor of who
// is told costs the caller anything.
func TestAuditFails(t *testing.T) {
	for _, w := range []io.Writer{panicking{}, failing{}} {
		var told []error
		l, buf := newTest(t, Config{Audit: w, OnAuditError: func(err error) {
			told = append(told, err)
			panic("broken, too")
		}})
		l.Audit(t.Context(), "event")
		l.Usage(t.Context(), Usage{})
		if s := l.Stats(); s != (Stats{AuditFailed: 2}) || len(told) != 2 || told[0] == nil || buf.Len() != 0 {
			t.Errorf("%T: %+v, told %v", w, s, told)
		}
	}
}

// A full buffer drops records, but no audit: those wait for the writer.
func TestAuditPassesTheBuffer(t *testing.T) {
	for _, separate := range []bool{false, true} {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{MaxBytes: 1024, Delay: time.Nanosecond})
		cfg := Config{Output: a}
		if separate {
			cfg = Config{Output: io.Discard, Audit: a}
		}
		l, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(a, "first\n")
		<-g.entered // it hangs
		for a.Stats().Dropped == 0 {
			io.WriteString(a, "another\n")
		}
		var begun, wg sync.WaitGroup
		for range 10 {
			begun.Add(1)
			wg.Go(func() {
				begun.Done()
				l.Audit(t.Context(), "event")
			})
		}
		begun.Wait()
		if s := l.Stats(); s.AuditWritten != 0 {
			t.Errorf("written past a writer that hangs: %+v", s)
		}
		close(g.open)
		wg.Wait()
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		l.Audit(t.Context(), "after the end")
		if s := l.Stats(); s.AuditWritten != 11 || s.AuditFailed != 0 || strings.Count(g.String(), `"message":"event"`) != 10 {
			t.Errorf("%+v\n%s", s, g)
		}
	}
}

// An audit writer that is the Output, too, is never called by two at once.
func TestAuditSharesTheWriter(t *testing.T) {
	var w exclusive
	l, err := New(Config{Output: &w, Audit: &w})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				l.Audit(t.Context(), "event")
				l.Slog().Info("message")
			}
		})
	}
	wg.Wait()
	if s := l.Stats(); w.met.Load() || s != (Stats{Written: 2000, AuditWritten: 2000}) {
		t.Errorf("met: %v, %+v", w.met.Load(), s)
	}
	if same(uncomparable{}, uncomparable{}) || !same(&w, &w) {
		t.Error("same is wrong")
	}
}

type uncomparable struct {
	io.Writer
	_ []int
}

type exclusive struct{ busy, met atomic.Bool }

func (e *exclusive) Write(p []byte) (int, error) {
	if e.busy.Swap(true) {
		e.met.Store(true)
	}
	runtime.Gosched()
	e.busy.Store(false)
	return len(p), nil
}

// A canceled request is audited all the same.
func TestAuditOfACanceledRequest(t *testing.T) {
	l, buf := newTest(t, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	l.Audit(ctx, "event")
	if m := line(t, buf); m["message"] != "event" {
		t.Errorf("%v", m)
	}
}
