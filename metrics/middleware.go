package metrics

import (
	"context"
	"net/http"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// MiddlewareConfig has no options yet.
type MiddlewareConfig struct {
	_ struct{}
}

// Middleware counts each request once, when it is over, however it ends; a
// panic, http.ErrAbortHandler and runtime.Goexit go on. Mounted twice, it
// still counts once. It panics if m is nil, when the chain is built.
//
// The endpoint is known if the mux gets the very request that the innermost
// Ballast middleware passes on. A middleware between the two that copies the
// request, with (*http.Request).WithContext or Clone, hides it, and the
// endpoint is "unmatched": mount that one further out.
func Middleware(m *Metrics, _ MiddlewareConfig) func(http.Handler) http.Handler {
	if m == nil {
		panic("metrics: Middleware of a nil *Metrics")
	}
	return func(next http.Handler) http.Handler { return reqstate.Handler(next, m.series.requests) }
}

// WithoutState returns a context whose requests are counted on their own: a
// request that a handler makes inside the process, straight to another
// handler and with a context derived from its own, would otherwise be taken
// for a part of the one being handled.
func WithoutState(ctx context.Context) context.Context { return reqstate.WithoutState(ctx) }
