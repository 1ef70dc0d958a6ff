package logging

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"go.uber.org/zap/zapcore"

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
		l.logPanic(r.Context(), r.Method, v, debug.Stack())
		if !sent {
			problem.Write(w, http.StatusInternalServerError, "", "", 0)
		}
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reqstate.Guard(w, r, next, handle)
		})
	}
}

func (l *Logger) logPanic(ctx context.Context, method string, v any, stack []byte) {
	text := limit(fmt.Sprint(v), maxPanicText) // fmt survives a panicking Error method
	l.write(slog.LevelError, time.Now(), "panic", func(fields []zapcore.Field) []zapcore.Field {
		if s := reqstate.FromContext(ctx); s != nil {
			fields = appendIDs(fields, s)
		}
		return append(fields,
			stringField("method", limit(method, maxMethod)),
			stringField("exception", limit("panic: "+text+"\n\n"+string(stack), maxStack)))
	})
}

// write is for the package's own records, which have no source.
func (l *Logger) write(level slog.Level, at time.Time, message string, fill func([]zapcore.Field) []zapcore.Field) {
	if level >= l.level.Level() {
		// A failed write is counted by the output; there is nobody to tell.
		_ = l.emit(l.core, l.name, level, at, message, fill)
	}
}
