package logging

import (
	"context"
	"log/slog"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// AddAttrs adds attributes to the access record of the request, or gRPC call, that
// ctx belongs to. They are redacted and capped as those of any record, their values
// when the request is over: what they point to must not change from now on. A request has room for 32, the marks of Keep and of
// MiddlewareConfig's Query and Header among them; others are dropped, as are those
// of a context that is no request's or of a request that is over.
//
// What is added here is logged: never a prompt, a completion or a credential.
func AddAttrs(ctx context.Context, attrs ...slog.Attr) {
	if s := reqstate.FromContext(ctx); s != nil {
		s.AddAttrs(attrs...)
	}
}

// Keep is for AddAttrs: it has the request's access record written whatever
// MiddlewareConfig.Sample says, and appears nowhere.
func Keep() slog.Attr { return slog.Any("", keepMark{}) }

type keepMark struct{}

// LogValue is an empty group, which handlers leave out.
func (keepMark) LogValue() slog.Value { return slog.GroupValue() }

func hasKeep(attrs []slog.Attr) bool {
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindLogValuer {
			continue
		}
		if _, ok := a.Value.Any().(keepMark); ok {
			return true
		}
	}
	return false
}
