//go:build !race

package logging

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// The race detector makes sync.Pool forget at random, so that these count only
// without it.

func TestAllocations(t *testing.T) {
	l, _ := newTest(t, Config{Level: slog.LevelInfo})
	l.out.to.w = discard{}
	ctx := context.Background()
	log := l.Slog()
	if n := testing.AllocsPerRun(200, func() { log.LogAttrs(ctx, slog.LevelDebug, "x", slog.Int("a", 1)) }); n != 0 {
		t.Errorf("a disabled record allocates %v times", n)
	}
	if n := testing.AllocsPerRun(200, func() { log.LogAttrs(ctx, slog.LevelInfo, "x", slog.Int("a", 1), slog.String("b", "c")) }); n > 0 {
		t.Errorf("a record allocates %v times", n)
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	l, _ := newTest(t, Config{})
	l.out.to.w = discard{}
	h := Recover(l)(Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	// Two for the state, one for the id and its header field.
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) }); n > 3 {
		t.Errorf("%v allocations", n)
	}
}

// No schema allocates, nor does a request's context, a cut text or a redaction.
func TestSchemasDoNotAllocate(t *testing.T) {
	for _, schema := range schemas {
		for _, format := range []Format{JSON, Console} {
			l, _ := newTest(t, Config{Schema: schema, Format: format, GCPProject: "p", MaxFieldBytes: 256, TraceContext: spanOf})
			l.out.to.w = discard{}
			reqstate.Serve(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				s := reqstate.FromContext(r.Context())
				s.SetTrace(traced.trace, traced.span, true)
				s.SetRequestID("r-1")
				log, ctx, long := l.Slog().With("a", 1).WithGroup("g"), r.Context(), strings.Repeat("ü", 200)
				if n := testing.AllocsPerRun(200, func() {
					log.LogAttrs(ctx, slog.LevelWarn, "x", slog.Int("a", 1), slog.String("b", long), slog.String("token", "c"), slog.Float64("f", 1.5), slog.Duration("d", 1))
				}); n > 0 {
					t.Errorf("%v %v: %v", schema, format, n)
				}
			}), silent{})
		}
	}
}
