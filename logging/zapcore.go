package logging

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"time"

	"go.uber.org/zap/zapcore"
)

// zapCore is a Logger for code that logs through zap.
type zapCore struct{ h *handler }

// ZapCore returns the Logger as a zap core, for code that logs through zap:
// zap.New(l.ZapCore()). Its records are like any of Slog's, without the ids of a
// request, for zap knows no context. Its Sync, and each record beyond ERROR, waits
// for an AsyncWriter that is Config.Output, a second at most.
func (l *Logger) ZapCore() zapcore.Core { return zapCore{&handler{logger: l, left: maxAttrs}} }

// slogLevel makes zap's DPanic, Panic and Fatal levels beyond ERROR.
func slogLevel(level zapcore.Level) slog.Level { return slog.Level(4 * int(level)) }

func (c zapCore) Enabled(level zapcore.Level) bool {
	return c.h.Enabled(context.Background(), slogLevel(level))
}

func (c zapCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c zapCore) With(fields []zapcore.Field) zapcore.Core { return zapCore{c.h.withFields(fields)} }

// withFields is WithAttrs for zap's fields, of which one may open a group.
func (h *handler) withFields(fields []zapcore.Field) *handler {
	attrs := make([]slog.Attr, 0, len(fields))
	for _, f := range fields {
		if f.Type == zapcore.NamespaceType {
			h = h.WithAttrs(attrs).(*handler).WithGroup(f.Key).(*handler)
			attrs = attrs[:0]
			continue
		}
		attrs = append(attrs, zapAttr(f))
	}
	return h.WithAttrs(attrs).(*handler)
}

func (c zapCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	h := c.h
	if len(fields) > 0 {
		h = h.withFields(fields)
	}
	l := h.logger
	name := e.LoggerName
	if name == "" {
		name = l.name
	}
	r := l.begin(name, slogLevel(e.Level), e.Time, e.Message, ids{})
	if e.Caller.Defined && !l.omitSource {
		r.appendSource(l.encodeSource(runtime.Frame{Function: e.Caller.Function, File: e.Caller.File, Line: e.Caller.Line}))
	}
	if e.Stack != "" && h.given&ofException == 0 {
		r.long(r.keys.exception, e.Stack, maxStack)
	}
	h.resume(r)
	r.exit(h.open)
	err := l.end(r)
	if e.Level > zapcore.ErrorLevel { // zap may end the process next
		err = errors.Join(err, c.Sync())
	}
	return err
}

// Sync has an AsyncWriter write what it holds, for a second at most.
func (c zapCore) Sync() error {
	a, ok := c.h.logger.out.to.w.(*AsyncWriter)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), maxSync)
	defer cancel()
	return a.Flush(ctx)
}

const maxSync = time.Second

// zapAttr is f, whose value zap keeps in one of three places. A broken Stringer or
// marshaler becomes text, as anywhere.
func zapAttr(f zapcore.Field) (a slog.Attr) {
	defer func() {
		if p := recover(); p != nil {
			a = slog.String(f.Key, fmt.Sprintf("!PANIC: %v", p))
		}
	}()
	switch f.Type {
	case zapcore.StringType:
		return slog.String(f.Key, f.String)
	case zapcore.Int64Type, zapcore.Int32Type, zapcore.Int16Type, zapcore.Int8Type:
		return slog.Int64(f.Key, f.Integer)
	case zapcore.BoolType:
		return slog.Bool(f.Key, f.Integer == 1)
	case zapcore.Float64Type:
		return slog.Float64(f.Key, math.Float64frombits(uint64(f.Integer)))
	case zapcore.ErrorType, zapcore.ReflectType:
		return slog.Any(f.Key, f.Interface)
	}
	m := zapcore.NewMapObjectEncoder()
	f.AddTo(m)
	var attrs []any // one, or an inlined object, or nothing
	for name, v := range m.Fields {
		attrs = append(attrs, slog.Any(name, v))
	}
	return slog.Group("", attrs...)
}
