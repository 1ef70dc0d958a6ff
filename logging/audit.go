package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"sync/atomic"
	"time"
)

// auditName is the field "logger" of audit records, by which they are told apart
// and shipped to where they are kept.
const auditName = "audit"

// A pipe is what a Logger has beside its ordinary records.
type pipe struct {
	audit      *output
	onError    func(error)
	sampledOut atomic.Uint64

	usage     usageKeys
	instance  string // of default usage ids
	usageNext atomic.Uint64
	call      callKeys
}

func (p *pipe) init(l *Logger, cfg *Config) {
	p.audit, p.onError = &output{}, cfg.OnAuditError // to the core, if there is one
	if cfg.Core == nil || cfg.Audit != nil {
		p.audit.to.w = auditWriter(cfg, l.out)
	}
	p.usage, p.call = newUsageKeys(l), newCallKeys(l)
	p.instance = fmt.Sprintf("%016x", rand.Uint64())
}

// auditWriter is where audit records go, past what would drop them.
func auditWriter(cfg *Config, out *output) io.Writer {
	to := cfg.Audit
	if to == nil || same(to, cfg.Output) {
		to = cfg.Output
		if _, ok := to.(*AsyncWriter); !ok {
			return shared{out}
		}
	}
	if a, ok := to.(*AsyncWriter); ok {
		return direct{a}
	}
	return to
}

// same reports whether a and b are one writer, which must not be called by two at
// once.
func same(a, b io.Writer) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}

// direct writes past an AsyncWriter's buffer, which may drop.
type direct struct{ to *AsyncWriter }

func (d direct) Write(p []byte) (int, error) { return d.to.direct(p) }

// shared writes to another output's writer, one at a time with it.
type shared struct{ with *output }

func (s shared) Write(p []byte) (int, error) {
	return s.with.put(p)
}

// Audit writes down an event, such as a decision of package auth, whose Auditor l
// is, to Config.Audit. The record is of level INFO, but no level that is set leaves
// it out, nor does any sampling, and no buffer drops it: Audit returns when the
// writer has it, and waits for as long as that takes, whatever becomes of ctx. It
// has the ids of the request that ctx belongs to; an attribute of one of their names
// is left out then.
//
// A record that the writer refuses, or panics on, is counted in Stats.AuditFailed
// and told to Config.OnAuditError.
func (l *Logger) Audit(ctx context.Context, event string, attrs ...slog.Attr) {
	r := l.begin(auditName, slog.LevelInfo, time.Now(), event, l.ids(ctx))
	for _, a := range attrs {
		if !r.reserved(a.Key) {
			r.attr(a)
		}
	}
	l.endAudit(r)
}

func (l *Logger) endAudit(r *record) {
	err := l.endTo(r, l.pipe.audit)
	if err == nil || l.pipe.onError == nil {
		return
	}
	defer func() { _ = recover() }() // it must not cost the request its answer
	l.pipe.onError(err)
}
