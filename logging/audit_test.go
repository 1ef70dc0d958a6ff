package logging

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
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
	if s := l.Stats(); s.Failed != 1 {
		t.Errorf("%+v", s)
	}
}

type panicking struct{}

func (panicking) Write([]byte) (int, error)    { panic("broken") }
func (panicking) MarshalJSON() ([]byte, error) { panic("broken") }
