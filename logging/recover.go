package logging

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// Bounds of what a panic record takes from the panic.
const (
	maxPanicText = 4 << 10
	maxStack     = 64 << 10
)

// Recover returns a middleware that turns a panic into an answer. Mount it
// outermost.
//
// It logs the panic with its stack at level ERROR (message "panic", field
// exception). If nothing was sent yet it answers 500 with a problem document
// (RFC 9457) that tells the client nothing of the cause. If the header was
// sent, it aborts the connection with http.ErrAbortHandler, so that the client
// cannot take the part it has for the whole. http.ErrAbortHandler itself is
// passed on unlogged, as net/http has it.
//
// Recover panics if l is nil.
func Recover(l *Logger) func(http.Handler) http.Handler {
	if l == nil {
		panic("logging: Recover: the Logger is nil")
	}
	handle := func(w http.ResponseWriter, r *http.Request, v any, sent bool) {
		l.WritePanic(r.Context(), r.Method, v, debug.Stack())
		if !sent {
			problem.Write(w, r, http.StatusInternalServerError, "", "", 0)
		}
	}
	return func(next http.Handler) http.Handler { return reqstate.Guarded(next, handle) }
}

// WritePanic writes the record that Recover does, of a panic with v in the request
// or call that ctx belongs to; method is empty for a call. It is what package
// logginggrpc does, and for those who recover by themselves.
func (l *Logger) WritePanic(ctx context.Context, method string, v any, stack []byte) {
	if l.level.Level() > slog.LevelError {
		return
	}
	text := limit(l.panicText(v), maxPanicText)
	r := l.begin(l.name, slog.LevelError, time.Now(), "panic", l.ids(ctx))
	if method != "" {
		at := r.openHTTP()
		r.str(r.keys.method, limit(method, maxMethod))
		r.closeHTTP(at)
	}
	if r.keys.errorMessage.name != "" {
		r.str(r.keys.errorMessage, text)
	}
	r.long(r.keys.exception, "panic: "+text+"\n\n"+string(stack), maxStack)
	// A failed write is counted by the output; there is nobody to tell.
	_ = l.end(r)
}

// panicText survives an Error method that panics in turn, as fmt does.
func (l *Logger) panicText(v any) (text string) {
	defer func() {
		if recover() != nil {
			text = fmt.Sprint(v)
		}
	}()
	if err, ok := v.(error); ok {
		return l.redact.errorText(err)
	}
	return fmt.Sprint(v)
}
