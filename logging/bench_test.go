package logging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

func BenchmarkAccess(b *testing.B) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })
	l, err := New(Config{Output: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	for name, h := range map[string]http.Handler{
		"bare": inner, "recover": Recover(l)(inner), "recover+access": Recover(l)(Middleware(l, MiddlewareConfig{})(inner)),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

// A record of ten attributes, beside slog's own handler doing the same.
func BenchmarkRecord(b *testing.B) {
	for _, source := range []bool{true, false} {
		l, err := New(Config{Output: discard{}, OmitSource: !source})
		if err != nil {
			b.Fatal(err)
		}
		for name, h := range map[string]slog.Handler{
			"ballast": l.Slog().Handler(), "JSONHandler": slog.NewJSONHandler(discard{}, &slog.HandlerOptions{AddSource: source}),
		} {
			b.Run(fmt.Sprintf("source=%v/%s", source, name), func(b *testing.B) {
				log, ctx, bad := slog.New(h), context.Background(), errors.New("bad")
				b.ReportAllocs()
				for b.Loop() {
					log.LogAttrs(ctx, slog.LevelInfo, "message",
						slog.String("a", "value"), slog.String("b", "value"), slog.String("c", "value"), slog.Int("d", 1), slog.Int("e", 2),
						slog.Bool("f", true), slog.Float64("g", 1.5), slog.Duration("h", time.Second), slog.Any("i", bad), slog.Uint64("j", 7))
				}
			})
		}
	}
}

// The same in a request, with attributes that its logger has from With.
func BenchmarkWith(b *testing.B) {
	l, err := New(Config{Output: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]slog.Handler{
		"ballast": l.Slog().Handler(), "JSONHandler": slog.NewJSONHandler(discard{}, &slog.HandlerOptions{AddSource: true}),
	} {
		b.Run(name, func(b *testing.B) {
			log, ctx := slog.New(h).With("model_id", "digits-large", "replica", 3).WithGroup("g").With("a", 1), context.Background()
			b.ReportAllocs()
			for b.Loop() {
				log.LogAttrs(ctx, slog.LevelInfo, "message", slog.String("b", "value"), slog.Int("c", 1))
			}
		})
	}
}

// The access record by itself.
func BenchmarkWriteAccess(b *testing.B) {
	rec := &reqstate.Record{
		Start: time.Now(), Duration: 1234567, Method: "POST", Route: "/v1/models/{model}/predict", Remote: "203.0.113.7:54321",
		UserAgent: "python-requests/2.32", RequestID: "0123456789abcdef0123456789abcdef", Subject: "alice", Status: 200, Sent: 200,
		Bytes: 512, BytesIn: 2048, TraceID: [16]byte{1}, SpanID: [8]byte{2},
	}
	for _, schema := range []Schema{Guide, ECS, OTel, GCP} {
		b.Run(schema.String(), func(b *testing.B) {
			l, err := New(Config{Output: discard{}, Name: "serving", Schema: schema})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				l.WriteAccess(rec, nil, nil)
			}
		})
	}
}

// What a record costs its caller, with a buffer between and without.
func BenchmarkAsyncWriter(b *testing.B) {
	a, err := NewAsyncWriter(io.Discard, AsyncConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer a.Close(context.Background())
	record := []byte(strings.Repeat("x", 400) + "\n")
	b.ReportAllocs()
	for b.Loop() {
		_, _ = a.Write(record)
	}
	b.ReportMetric(float64(a.Stats().Dropped)/float64(b.N), "dropped/op")
}
