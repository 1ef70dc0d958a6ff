package reqstate

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
)

type silent struct{}

func (*silent) Begin(*State, http.ResponseWriter, *http.Request) {}
func (*silent) Finish(*Record)                                   {}

func TestAllocations(t *testing.T) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	w, r := &discard{h: http.Header{}}, httptest.NewRequest("GET", "/", nil)
	measure := func(h http.Handler) float64 {
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	first := observed(new(silent), inner)
	if n := measure(first); n > 2 {
		t.Errorf("the first middleware allocates %v times", n)
	}
	h := http.Handler(inner)
	type distinct struct {
		silent
		_ byte
	}
	for range 4 {
		h = observed(new(distinct), h)
	}
	if n := measure(h); n > 2 {
		t.Errorf("four middlewares allocate %v times", n)
	}
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		Guard(w, r, h, func(http.ResponseWriter, *http.Request, any, bool) {})
	})
	if n := measure(guarded); n > 2 {
		t.Errorf("with Guard outside, %v", n)
	}
	h = observed(new(silent), wrapsNothing(h))
	if n := measure(h); n > 2 {
		t.Errorf("behind a foreign middleware, %v", n)
	}
}

func wrapsNothing(next http.Handler) http.Handler {
	f := &discardFor{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.ResponseWriter = w
		next.ServeHTTP(f, r)
	})
}

type discardFor struct{ http.ResponseWriter }

type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(int)             {}
func (d *discard) Flush()                      {}

func BenchmarkServe(b *testing.B) {
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) })
	w, r := &discard{h: http.Header{}}, httptest.NewRequest("GET", "/", nil)
	for _, n := range []int{0, 1, 2, 4} {
		h := http.Handler(inner)
		type distinct struct {
			silent
			_ byte
		}
		for range n {
			h = observed(new(distinct), h)
		}
		b.Run(fmt.Sprintf("middlewares=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				h.ServeHTTP(w, r)
			}
		})
	}
}

func BenchmarkChunk(b *testing.B) {
	chunk := []byte("data: {\"choices\":[{\"delta\":{\"content\":\" token\"},\"index\":0,\"finish_reason\":null}]}\n\n")
	w := &discard{h: http.Header{"Content-Type": {"text/event-stream"}}}
	run := func(b *testing.B, w http.ResponseWriter) {
		b.ReportAllocs()
		f := w.(http.Flusher)
		for b.Loop() {
			w.Write(chunk)
			f.Flush()
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, w) })
	b.Run("observed", func(b *testing.B) {
		observedFunc(new(silent), func(w http.ResponseWriter, _ *http.Request) { run(b, w) }).
			ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	})
}
