//go:build !race

package logging

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"go.uber.org/zap/zapcore"
)

// The race detector makes sync.Pool forget at random, so that these count only
// without it.

func TestAllocations(t *testing.T) {
	l, _ := newTest(t, Config{Level: slog.LevelInfo})
	l.out.w = discard{}
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
	l.out.w = discard{}
	h := Recover(l)(Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) })))
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	// Two for the state, one for the id, one for its header field.
	if n := testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) }); n > 4 {
		t.Errorf("%v allocations", n)
	}
}

// The pool keeps no value of a record alive.
func TestPooledFieldsAreCleared(t *testing.T) {
	l, _ := newTest(t, Config{})
	l.Slog().Info("x", "secret", "value", "any", []int{1})
	fields := l.pool.Get().(*[]zapcore.Field)
	if cap(*fields) == 0 {
		t.Fatal("nothing was pooled")
	}
	for _, f := range (*fields)[:cap(*fields)] {
		if f != (zapcore.Field{}) {
			t.Errorf("kept %+v", f)
		}
	}
}
