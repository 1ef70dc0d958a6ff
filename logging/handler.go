package logging

import (
	"context"
	"log/slog"
	"slices"
)

// handler is a slog.Handler that appends to records. What is added with With is
// encoded then.
type handler struct {
	logger *Logger
	pre    []byte   // attributes so far, each after a comma, with open groups
	open   int      // those groups
	wait   []string // groups without an attribute so far: one that stays so must not appear
	left   int      // attributes that a record may still have
	drops  int
	given  class // what pre has of names that a record may have once
}

func (h *handler) Enabled(_ context.Context, level slog.Level) bool {
	l := h.logger
	return level >= l.level.Level() && (l.core == nil || l.core.Enabled(zapLevel(level)))
}

func (h *handler) Handle(ctx context.Context, rec slog.Record) error {
	l := h.logger
	r := l.begin(l.name, rec.Level, rec.Time, rec.Message, l.ids(ctx).without(h.given))
	r.source(rec.PC)
	h.resume(r)
	start, first := h.enter(r)
	rec.Attrs(func(a slog.Attr) bool {
		r.attr(a)
		return true
	})
	if len(r.buf) == first {
		r.buf = r.buf[:start]
	} else {
		r.exit(len(h.wait))
	}
	r.exit(h.open)
	return l.end(r)
}

// resume has r go on where With left off.
func (h *handler) resume(r *record) {
	pre := h.pre
	if len(pre) > 0 && r.buf[len(r.buf)-1] == '{' {
		pre = pre[h.logger.comma:]
	}
	r.buf = append(r.buf, pre...)
	r.nested = h.open
	r.depth, r.left, r.dropped, r.given = h.open, h.left, h.drops, h.given
}

// enter opens the groups that wait. Where nothing follows first, they are to be
// cut off at start.
func (h *handler) enter(r *record) (start, first int) {
	start = len(r.buf)
	for _, name := range h.wait {
		r.groupName(name)
		r.buf = append(r.buf, '{')
		r.depth++
		r.nested++
	}
	return start, len(r.buf)
}

func (r *record) exit(groups int) {
	for range groups {
		r.buf = append(r.buf, '}')
	}
	r.depth -= groups
	r.nested -= groups
}

func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	r := &record{l: h.logger, keys: h.logger.keys, taken: h.logger.taken, buf: []byte{0}}
	h.resume(r)
	_, first := h.enter(r)
	for _, a := range attrs {
		r.attr(a)
	}
	h2 := *h
	h2.left, h2.drops = r.left, r.dropped
	if len(r.buf) == first {
		return &h2
	}
	h2.pre, h2.open, h2.wait, h2.given = r.buf[1:], h.open+len(h.wait), nil, r.given
	return &h2
}

func (h *handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	h2 := *h
	if h.open+len(h.wait) >= maxDepth {
		h2.drops++
		return &h2
	}
	h2.wait = append(slices.Clip(h.wait), name)
	return &h2
}
