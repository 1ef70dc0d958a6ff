package logging

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
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

func BenchmarkRecord(b *testing.B) {
	l, err := New(Config{Output: discard{}})
	if err != nil {
		b.Fatal(err)
	}
	for name, h := range map[string]slog.Handler{
		"ballast": l.Slog().Handler(), "slog.JSONHandler": slog.NewJSONHandler(discard{}, &slog.HandlerOptions{AddSource: true}),
	} {
		b.Run(name, func(b *testing.B) {
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
