package reqstate

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// Serve runs next as part of the request's State, which it makes if there is
// none, and sees to it that o.Finish is called exactly once however next ends.
func Serve(w http.ResponseWriter, r *http.Request, next http.Handler, o Observer) {
	if s := find(w, r); s != nil {
		if joined, before := s.join(o); joined {
			if !before {
				o.Begin(s, w, r)
			}
			defer s.leave(r)
			next.ServeHTTP(w, r)
			return
		}
		// The State is final: r is a late request of a handler that outlived it.
	}
	s := newState(w, r)
	s.join(o)
	outer, returned := r, false
	w, r = s.writer(), r.WithContext(s)
	defer func() {
		v := recover()
		s.end(outer, r, returned, v)
		if v != nil {
			panic(v) // its stack is still there: this runs on top of it
		}
	}()
	o.Begin(s, w, r)
	next.ServeHTTP(w, r)
	returned = true
}

// Guard runs next and turns a panic of its into one call of handle and an
// answer or an abort; http.ErrAbortHandler and runtime.Goexit pass.
//
// handle gets the panic's value, and whether the header went out already. If
// it did not, handle is to answer through w. If it did, Guard aborts the
// connection with http.ErrAbortHandler after handle.
func Guard(w http.ResponseWriter, r *http.Request, next http.Handler, handle func(w http.ResponseWriter, r *http.Request, v any, sent bool)) {
	s := find(w, r)
	owner := s == nil || s.isDone()
	outer, returned := r, false
	tracker := s
	switch {
	case owner:
		s = newState(w, r)
		tracker = s
		w, r = s.writer(), r.WithContext(s)
	case !s.owns(w):
		// A foreign writer stands between, and may hold back what the handler
		// wrote (http.TimeoutHandler does): only a look at it itself tells.
		tracker = newState(w, r)
		w = tracker.writer()
	}
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler {
			s.SetPanic(v)
		}
		if owner {
			defer func() { s.end(outer, r, returned, v) }()
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
	if inner.Pattern != "" {
		outer.Pattern = inner.Pattern
	}
	if outer.MultipartForm == nil {
		outer.MultipartForm = inner.MultipartForm
	}
	s.askTimeout(returned)
	s.settle(inner, returned, v)
	s.finish(s.nhooks - 1)
}

// finish calls Finish of hook i and of those before it, even if one panics.
func (s *State) finish(i int) {
	if i < 0 {
		return
	}
	defer s.finish(i - 1)
	s.hook(i).Finish(&s.rec)
}

// askTimeout finds out whether an http.TimeoutHandler around the owner has
// answered instead of it. Only its writer knows, and tells who writes. The
// handler is done, so that an empty write changes nothing; and writers that
// can flush are not asked, for that one cannot.
func (s *State) askTimeout(returned bool) {
	if s.Err() != context.DeadlineExceeded || !returned && !s.begun() {
		return
	}
	if _, ok := s.w.(http.Flusher); ok {
		return
	}
	_, err := s.w.Write(nil)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.timedOut = s.timedOut || err == http.ErrHandlerTimeout
}

// settle makes the record final.
func (s *State) settle(r *http.Request, returned bool, v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := &s.rec
	rec.Duration = time.Since(rec.Start)
	if rec.Route == "" {
		rec.Route = routeOf(r)
	}
	if rec.Route == "" {
		rec.Route = Unmatched
	}
	if v != nil && v != http.ErrAbortHandler && rec.Panic == nil {
		rec.Panic = v
	}
	if returned && !s.hijacked && !s.timedOut {
		s.began(http.StatusOK)
	}
	if s.pending > 0 && rec.Stream.Chunks > 0 {
		s.chunk(rec.Duration)
	}
	s.events.finish()
	s.verdict(returned)
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
	case !returned && rec.Sent == 0:
		rec.Outcome, rec.Status = Aborted, http.StatusInternalServerError
	case !returned, s.truncated():
		rec.Outcome, rec.Status = UpstreamCut, http.StatusInternalServerError
	case s.events.found:
		rec.Outcome, rec.Status = ErrorEvent, http.StatusInternalServerError
	default:
		rec.Status = rec.Sent
	}
}

// clientGone reports whether the request was cancelled before the answer was
// whole. A cause of its own means that the service cancelled, not the client.
func (s *State) clientGone() bool {
	return errors.Is(s.Err(), context.Canceled) && context.Cause(s) == context.Canceled && !s.delivered()
}

// delivered reports whether all of the answer is known to be on the wire
// before the handler returned: a chunked body never is, its end comes later.
func (s *State) delivered() bool {
	if s.head || !bodyAllowed(s.rec.Sent) {
		return s.flushed
	}
	return s.flushed && s.pending == 0 && s.length >= 0 && s.rec.Bytes >= s.length
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
