package health_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/health"
)

func ready(b *testing.B) *health.Health {
	h := start(b, health.Config{Readiness: []health.Check{{Name: "a", Func: pass}, {Name: "b", Func: pass}}})
	if err := h.WaitReady(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	return h
}

func BenchmarkLive(b *testing.B) {
	h := ready(b)
	for b.Loop() {
		if h.Live() != nil {
			b.Fatal("not live")
		}
	}
}

func BenchmarkReady(b *testing.B) {
	h := ready(b)
	for b.Loop() {
		if err := h.Ready(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkReadyParallel(b *testing.B) {
	h := ready(b)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if h.Ready() != nil {
				b.Error("not ready")
				return
			}
		}
	})
}

func BenchmarkHandler(b *testing.B) {
	handler := ready(b).ReadyHandler()
	w := &discard{header: make(http.Header)}
	r := httptest.NewRequest(http.MethodGet, "/readyz", nil)
	for b.Loop() {
		clear(w.header)
		handler.ServeHTTP(w, r)
	}
	if w.code != http.StatusOK {
		b.Fatal(w.code)
	}
}

func BenchmarkStats(b *testing.B) {
	h := ready(b)
	for b.Loop() {
		if !h.Stats().Ready {
			b.Fatal("not ready")
		}
	}
}
