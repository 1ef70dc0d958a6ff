package logging

import (
	"context"
	"encoding/hex"
	"log/slog"
	"slices"

	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// handler is a slog.Handler over a zap core. What stands outside of groups is
// encoded when it is added (zapcore.Core.With); from the first group on,
// attributes wait in frames, because a group without any must not appear and
// the request's ids belong outside of it.
type handler struct {
	logger *Logger
	core   zapcore.Core
	frames []frame // from outermost to innermost
}

// A frame is an open group and the attributes added to it so far.
type frame struct {
	group string
	attrs []slog.Attr
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= h.logger.level.Level()
}

func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	fill := func(fields []zapcore.Field) []zapcore.Field {
		fields = appendSource(fields, h.logger.sources.of(r.PC))
		if s := reqstate.FromContext(ctx); s != nil {
			fields = appendIDs(fields, s)
		}
		if len(h.frames) > 0 {
			return appendAttr(fields, h.nest(r))
		}
		r.Attrs(func(a slog.Attr) bool {
			fields = appendAttr(fields, a)
			return true
		})
		return fields
	}
	return h.logger.emit(h.core, h.logger.name, r.Level, r.Time, h.logger.line(r.Message), fill)
}

// nest returns the open groups, with the record's own attributes in the
// innermost.
func (h *handler) nest(r slog.Record) slog.Attr {
	inner := make([]slog.Attr, 0, r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		inner = append(inner, a)
		return true
	})
	for i, f := range slices.Backward(h.frames) {
		group := slog.Attr{Key: f.group, Value: slog.GroupValue(slices.Concat(f.attrs, inner)...)}
		if i == 0 {
			return group
		}
		inner = []slog.Attr{group}
	}
	panic("unreachable: nest needs a frame")
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	h2 := *h
	if len(h.frames) == 0 {
		var fields []zapcore.Field
		for _, a := range attrs {
			fields = appendAttr(fields, a)
		}
		h2.core = h.core.With(fields)
		return &h2
	}
	h2.frames = slices.Clone(h.frames)
	last := &h2.frames[len(h2.frames)-1]
	last.attrs = slices.Concat(last.attrs, attrs)
	return &h2
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	h2 := *h
	h2.frames = append(slices.Clone(h.frames), frame{group: name})
	return &h2
}

// A request is a State, or the Record that it became.
type request interface {
	IDs() (request string, trace [16]byte, span [8]byte)
}

func appendIDs(fields []zapcore.Field, r request) []zapcore.Field {
	id, trace, span := r.IDs()
	if id != "" {
		fields = append(fields, stringField("request_id", id))
	}
	if trace != [16]byte{} {
		fields = append(fields, stringField("trace_id", hex.EncodeToString(trace[:])))
	}
	if span != [8]byte{} {
		fields = append(fields, stringField("span_id", hex.EncodeToString(span[:])))
	}
	return fields
}
