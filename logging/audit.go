package logging

import (
	"context"
	"log/slog"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// auditName is the field "logger" of audit records, by which they are told apart
// and shipped to where they are kept.
const auditName = "audit"

// Audit writes down an event, such as a decision of package auth, whose Auditor l
// is. The record is of level INFO, but no level that is set leaves it out. It has
// the ids of the request that ctx belongs to; an attribute of one of their names
// is left out then.
func (l *Logger) Audit(ctx context.Context, event string, attrs ...slog.Attr) {
	// A failed write is counted by the output; there is nobody to tell.
	_ = l.emit(l.core, auditName, slog.LevelInfo, time.Now(), l.line(event), func(fields []zapcore.Field) []zapcore.Field {
		if s := reqstate.FromContext(ctx); s != nil {
			fields = appendIDs(fields, s)
		}
		ids := len(fields)
		for _, a := range attrs {
			if !hasField(fields[:ids], a.Key) {
				fields = appendAttr(fields, a)
			}
		}
		return fields
	})
}

func hasField(fields []zapcore.Field, key string) bool {
	for _, f := range fields {
		if f.Key == key {
			return true
		}
	}
	return false
}
