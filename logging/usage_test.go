package logging

import (
	"io"
	"log/slog"
	"math"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/internal/reqstate"
)

func TestUsage(t *testing.T) {
	l, buf := newTest(t, Config{Name: "model-serving", Level: slog.LevelError})
	h := Middleware(l, MiddlewareConfig{Sample: &Sample{}})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reqstate.FromContext(r.Context()).SetSubject("alice")
		l.Usage(r.Context(), Usage{
			Tenant: "acme", Model: "digits", Adapter: "acme-v2", InputTokens: 12, OutputTokens: 345, DeviceSeconds: 0.25,
			Cost: 0.0125, Currency: "EUR",
			Attrs: []slog.Attr{slog.String("region", "eu"), slog.String("tenant", "forged"), slog.String("request_id", "forged"), slog.String("token", "hunter2")},
		})
		l.Usage(r.Context(), Usage{ID: "key-1", Tenant: strings.Repeat("t", 1<<20)})
	}))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	id := w.Header().Get("X-Request-ID")
	if text := buf.String(); strings.Contains(text, "forged") || strings.Count(text, `"tenant"`) != 2 {
		t.Error(text)
	}
	all := lines(t, buf)
	want(t, all[0], map[string]any{
		"logger": "audit", "level": "INFO", "message": "usage", "request_id": id, "usage_id": id + "-" + l.pipe.instance + "-1", "subject": "alice",
		"tenant": "acme", "model_id": "digits", "adapter": "acme-v2", "input_tokens": 12.0, "output_tokens": 345.0, "device_seconds": 0.25,
		"cost": 0.0125, "currency": "EUR", "region": "eu", "token": "[redacted]",
	})
	want(t, all[1], map[string]any{"usage_id": "key-1", "tenant": strings.Repeat("t", maxField), "input_tokens": 0.0, "cost": nil, "currency": nil, "adapter": nil})
	l.Usage(t.Context(), Usage{Cost: math.NaN()})
	want(t, line(t, buf), map[string]any{"usage_id": l.pipe.instance + "-2", "request_id": nil, "cost": "NaN"})
	if s := l.Stats(); s != (Stats{AuditWritten: 3}) {
		t.Errorf("%+v", s)
	}
}

// Default ids are never given twice, by one Logger or by two.
func TestUsageIDs(t *testing.T) {
	var mu sync.Mutex
	seen := make(map[string]bool)
	var wg sync.WaitGroup
	for range 4 {
		l, err := New(Config{Output: io.Discard})
		if err != nil {
			t.Fatal(err)
		}
		for range 4 {
			wg.Go(func() {
				for range 100 {
					id := l.usageID("the-same")
					mu.Lock()
					if seen[id] {
						t.Errorf("%s twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
}
