// Package reqstate is the one per-request state that Ballast's HTTP
// middlewares share.
//
// The first observer in the chain makes it: one [State], which is at once the
// request's context and what stands behind its http.ResponseWriter, and one
// copy of the request. Every later middleware joins it, so that a chain of
// them wraps the response once, copies the request once, reads the start time
// once and agrees on one status.
//
//	func Middleware(x *T, …) func(http.Handler) http.Handler {
//		return func(next http.Handler) http.Handler {
//			return reqstate.Handler(next, x) // x.Begin, next, later x.Finish
//		}
//	}
//
// It accounts for every way out of the handler: return, panic,
// http.ErrAbortHandler and runtime.Goexit. A panic is never swallowed here but
// by [Guard], which logging.Recover is built on.
//
// A middleware that must not be kept by a client that stops reading gives each
// write a deadline with [State.SetWriteTimeout]; one that wants to know at once
// that an answer has begun is a [Starter].
//
// # Life of a State
//
// The middleware that made the State owns it. When the owner's next handler is
// left, the owner settles the [Record], seals the State and runs each
// observer's Finish once, the last to join first. From then on the Record
// never changes, and every method of the State, its writer included, is a
// no-op: a handler that outlives its request (under http.TimeoutHandler, or in
// a goroutine of its own) can neither change an account nor race with it. A
// State is never recycled, because contexts escape to goroutines.
//
// # Concurrency
//
// All methods may be called from any goroutine. The package starts none.
package reqstate
