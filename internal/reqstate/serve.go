package reqstate

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"time"
)

// Serve runs next as part of the request's State, which it makes if there is
// none, and sees to it that o.Finish is called exactly once however next ends.
func Serve(w http.ResponseWriter, r *http.Request, next http.Handler, o Observer) {
	s := find(w, r)
	if s == nil || !s.join(o, w, r) {
		// No State, or a final one: r is a late request of a handler that outlived it.
		own(w, r, next, o)
		return
	}
	defer s.left(r)
	next.ServeHTTP(w, r)
}

// Handler returns a handler that does what Serve does, for middlewares whose
// observer is the same for all requests. A chain of them takes a third of the
// stack that closures around Serve take, which is what an idle stream holds.
func Handler(next http.Handler, o Observer) http.Handler { return &layer{next, o} }

type layer struct {
	next http.Handler
	o    Observer
}

func (l *layer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s := find(w, r)
	if s == nil || !s.join(l.o, w, r) {
		own(w, r, l.next, l.o)
		return
	}
	defer s.left(r)
	l.next.ServeHTTP(w, r)
}

// left is deferred by those that have joined.
func (s *State) left(r *http.Request) {
	v := recover()
	s.panicked(v) // a foreign middleware between here and the owner may swallow it
	s.leave(r)
	if v != nil {
		panic(v) // its stack is still there: this runs on top of it
	}
}

// own is Serve where there is no State to join.
func own(w http.ResponseWriter, r *http.Request, next http.Handler, o Observer) {
	s := newState(w, r)
	outer, returned := r, false
	w, r = s.take(r)
	defer func() {
		v := recover()
		s.end(outer, r, returned, v)
		if v != nil {
			panic(v)
		}
	}()
	s.join(o, w, r)
	next.ServeHTTP(w, r)
	returned = true
}

// Guard runs next and turns a panic of its into one call of handle and an
// answer or an abort; http.ErrAbortHandler and runtime.Goexit pass.
//
// handle gets the panic's value, and whether the header went out already. If
// it did not, handle is to answer through w. If it did, Guard aborts the
// connection with http.ErrAbortHandler after handle.
//
// If Guard owns the State, handle gets an observer's panic too, with sent: the
// answer stands.
func Guard(w http.ResponseWriter, r *http.Request, next http.Handler, handle func(w http.ResponseWriter, r *http.Request, v any, sent bool)) {
	(&guard{next, handle}).ServeHTTP(w, r)
}

// Guarded returns a handler that does what Guard does.
func Guarded(next http.Handler, handle func(w http.ResponseWriter, r *http.Request, v any, sent bool)) http.Handler {
	return &guard{next, handle}
}

type guard struct {
	next   http.Handler
	handle func(w http.ResponseWriter, r *http.Request, v any, sent bool)
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	next, handle := g.next, g.handle
	s := find(w, r)
	owner := s == nil || s.isDone()
	outer, returned := r, false
	tracker := s
	switch {
	case owner:
		s = newState(w, r)
		tracker = s
		w, r = s.take(r)
	case !s.owns(w):
		// A foreign writer stands between, and may hold back what the handler
		// wrote (http.TimeoutHandler does): only a look at it itself tells.
		tracker = newState(w, r)
		w = tracker.writer()
	}
	defer func() {
		v := recover()
		s.panicked(v)
		if owner {
			defer func() {
				defer func() {
					if v := recover(); v != nil {
						handle(w, r, v, true)
					}
				}()
				s.end(outer, r, returned, v)
			}()
		} else {
			defer s.leave(r)
		}
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler {
			panic(v)
		}
		sent := tracker.begun()
		handle(w, r, v, sent)
		if sent {
			panic(http.ErrAbortHandler)
		}
	}()
	next.ServeHTTP(w, r)
	returned = true
}

// panicked records what a handler panicked with, if it did.
func (s *State) panicked(v any) {
	if v != nil && v != http.ErrAbortHandler {
		s.SetPanic(v)
	}
}

func (s *State) owns(w http.ResponseWriter) bool {
	sw, ok := w.(interface{ state() *State })
	return ok && sw.state() == s
}

func (s *State) isDone() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.done
}

// begun reports whether the final header went out, or the connection is taken.
func (s *State) begun() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec.Sent != 0 || s.hijacked
}

// end settles the record and tells the observers. outer is the request that
// the owner was given, inner the copy that it passed on.
func (s *State) end(outer, inner *http.Request, returned bool, v any) {
	// As if there were no copy: middlewares outside look for the pattern, and
	// the server removes the temporary files of the form it finds here.
	// What changes nothing is not written: handlers may share a sub-request.
	if inner.Pattern != "" && inner.Pattern != outer.Pattern {
		outer.Pattern = inner.Pattern
	}
	if outer.MultipartForm == nil && inner.MultipartForm != nil {
		outer.MultipartForm = inner.MultipartForm
	}
	s.askTimeout()
	s.arm()
	s.settle(inner, returned, v)
	s.finish(int(s.nhooks) - 1)
}

// finish calls Finish of hook i and of those before it, even if one panics.
func (s *State) finish(i int) {
	if i < 0 {
		return
	}
	defer s.finish(i - 1)
	if s.isReady(i) {
		s.hook(i).Finish(&s.rec)
	}
}

// askTimeout finds out whether an http.TimeoutHandler around the owner has
// answered instead of it. Only its writer knows, and tells who writes. That
// is safe for this writer alone: it holds everything back, so that an empty
// write changes nothing of what is sent, where another one might send a 200.
func (s *State) askTimeout() {
	if s.Err() != context.DeadlineExceeded {
		return
	}
	for w := s.w; ; {
		if reflect.TypeOf(w).String() == "*http.timeoutWriter" {
			_, err := w.Write(nil)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.timedOut = s.timedOut || err == http.ErrHandlerTimeout
			return
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

// settle makes the record final.
func (s *State) settle(r *http.Request, returned bool, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := &s.rec
	rec.Duration = time.Since(rec.Start)
	rec.BytesIn = s.bytesIn.Load()
	if rec.Route == "" {
		rec.Route = routeOf(r)
	}
	if rec.Route == "" {
		rec.Route = Unmatched
	}
	if v != nil && v != http.ErrAbortHandler && rec.Panic == nil {
		rec.Panic = v
	}
	if s.timedOut {
		// What the handler wrote was thrown away.
		rec.Sent, rec.Bytes, rec.Stream = http.StatusServiceUnavailable, 0, Stream{}
		s.pending = 0
	}
	if returned && !s.hijacked && !s.timedOut {
		s.began(http.StatusOK)
	}
	if s.pending > 0 && rec.Stream.Chunks > 0 {
		s.chunk(rec.Duration)
	}
	if s.stream {
		s.events.Finish()
	}
	s.verdict(returned)
	if rec.Status < 400 {
		rec.Reason = "" // of an answer that another took the place of
	}
	s.done = true
	s.sealed.Store(true)
}

func (s *State) verdict(returned bool) {
	rec := &s.rec
	switch {
	case rec.Panic != nil:
		rec.Outcome, rec.Status = Panicked, http.StatusInternalServerError
	case s.hijacked:
		rec.Outcome, rec.Status = Hijacked, http.StatusSwitchingProtocols
	case s.timedOut:
		rec.Outcome, rec.Status = TimedOut, http.StatusServiceUnavailable
	case s.clientGone():
		rec.Outcome, rec.Status = ClientGone, StatusClientGone
	case (s.expired || expiredBy(s)) && s.failedAnswer(returned):
		rec.Outcome, rec.Status = Expired, http.StatusUnauthorized
		if rec.Sent >= 400 {
			rec.Status = rec.Sent
		}
	case !returned && rec.Sent == 0:
		rec.Outcome, rec.Status = Aborted, http.StatusInternalServerError
	case !returned, s.truncated():
		rec.Outcome, rec.Status = UpstreamCut, http.StatusInternalServerError
	case s.events.Found() && rec.Sent < 400:
		rec.Outcome, rec.Status = ErrorEvent, http.StatusInternalServerError
	default:
		rec.Status = rec.Sent
	}
}

// failedAnswer reports whether the answer is none, a part, or a failure.
func (s *State) failedAnswer(returned bool) bool {
	return !returned || s.rec.Sent >= 500 || s.truncated() || s.events.Found()
}

// clientGone reports whether the client's connection failed, or the request
// was cancelled, before the answer was whole. A cause of its own means that the
// service cancelled, not the client.
func (s *State) clientGone() bool {
	if s.broken {
		return true
	}
	return errors.Is(s.Err(), context.Canceled) && context.Cause(s) == context.Canceled && !s.slowBody && !s.delivered()
}

// delivered reports whether all of the answer is known to be on the wire
// before the handler returned: a chunked body never is, its end comes later.
func (s *State) delivered() bool {
	if s.head || !bodyAllowed(s.rec.Sent) {
		return s.clean
	}
	return s.clean && s.length >= 0 && s.rec.Bytes >= s.length
}

// truncated reports whether the handler wrote less than it promised; net/http
// then closes the connection.
func (s *State) truncated() bool {
	return !s.head && bodyAllowed(s.rec.Sent) && s.rec.Bytes < s.length
}

// bodyAllowed follows RFC 9110 §6.4.1.
func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}
