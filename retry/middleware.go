package retry

import (
	"context"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/problem"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// MiddlewareConfig configures [Middleware]. The zero value is useful.
type MiddlewareConfig struct {
	// MaxTimeout is how long any request may take, whatever its caller says or if
	// it says nothing. 0 means as long as the caller waits, and for ever where that
	// is not known.
	MaxTimeout time.Duration

	_ struct{}
}

// Middleware takes over what a request says of its caller:
//
//   - The request's context ends when the caller waits no longer ([TimeoutHeader]):
//     work that nobody wants is not begun, nor is it passed on. One that waits 0 ms
//     is answered with 504. That of a request which switches protocols is only the
//     handshake's, and not taken over.
//   - [Attempt] of the context is the caller's ([AttemptHeader]), and a call that
//     the handler makes with it is not retried if that is above 1: see [ErrNested].
//
// What is missing, malformed, longer than nine digits or sent twice is ignored. No
// deadline is ever made later. The fields are the client's to choose, who gains by
// them an earlier end of its own request and fewer attempts: a proxy that faces the
// world should remove them all the same, as Envoy does.
//
// Mount it outside of what makes calls. Inside of package breaker's Middleware a
// deadline that the client has set makes the answer a failure, and inside of an
// http.TimeoutHandler both apply. It panics if MaxTimeout is negative, when the
// chain is built.
func Middleware(cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if cfg.MaxTimeout < 0 {
		panic("retry: MiddlewareConfig.MaxTimeout is negative")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(w, r, next, cfg.MaxTimeout) })
	}
}

func serve(w http.ResponseWriter, r *http.Request, next http.Handler, timeout time.Duration) {
	ctx := r.Context()
	if n, ok := told(r.Header, AttemptHeader); ok {
		ctx = ContextWithAttempt(ctx, n)
	}
	if ms, ok := told(r.Header, TimeoutHeader); ok && !isUpgrade(r) { // or it would end the connection
		if ms == 0 {
			if s := reqstate.FromContext(r.Context()); s != nil {
				s.SetRefused() // a client must not be able to trip a breaker with it
			}
			problem.Write(w, r, http.StatusGatewayTimeout, "The answer was not ready in time.", "", 0)
			return
		}
		if d := time.Duration(ms) * time.Millisecond; timeout == 0 || d < timeout {
			timeout = d
		}
	}
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	if ctx == r.Context() {
		next.ServeHTTP(w, r)
		return
	}
	inner := r.WithContext(ctx)
	defer carry(inner, r)
	next.ServeHTTP(w, inner)
}

// carry makes what the mux and the handler left in a copy of the request known
// to the request itself: middlewares outside look for the pattern, and the
// server removes the temporary files of the form it finds here.
func carry(from, to *http.Request) {
	if from.Pattern != "" {
		to.Pattern = from.Pattern
	}
	if to.MultipartForm == nil {
		to.MultipartForm = from.MultipartForm
	}
}
