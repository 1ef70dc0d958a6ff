package reqstate

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// An Observer is a telemetry middleware's part in a request. It is one
// long-lived value per middleware, so that joining allocates nothing.
type Observer interface {
	// Begin is called before the next handler. w is what that handler gets.
	Begin(s *State, w http.ResponseWriter, r *http.Request)
	// Finish is called once, when the outcome is final. rec must not be
	// changed; it may be kept.
	Finish(rec *Record)
}

// State is one request's shared state. It is that request's context.Context.
type State struct {
	context.Context // the request's own

	w      http.ResponseWriter // what the owner was given
	head   bool                // HEAD: the body is eaten by the server
	sealed atomic.Bool         // set with done; read without the lock by the writer

	mu        sync.Mutex // guards all below
	done      bool       // rec is final
	rec       Record
	hijacked  bool
	timedOut  bool // a write was refused with http.ErrHandlerTimeout
	flushed   bool // the header is on the wire
	length    int64
	pending   int           // body bytes that may still sit in the server's buffer
	last      time.Duration // of the last chunk, since rec.Start
	events    eventScanner
	nhooks    int
	hooks     [6]Observer
	moreHooks []Observer
}

type (
	contextKey struct{} // its value is the *State, or a nil one after WithoutState
	optOut     struct{ context.Context }
)

// Value returns the State for this package's key, else the parent's value.
func (s *State) Value(key any) any {
	if key == (contextKey{}) {
		return s
	}
	return s.Context.Value(key)
}

func (c optOut) Value(key any) any {
	if key == (contextKey{}) {
		return (*State)(nil)
	}
	return c.Context.Value(key)
}

// WithoutState returns a context whose requests are accounted on their own: an
// in-process sub-request made with it gets a State of its own instead of
// joining ctx's.
func WithoutState(ctx context.Context) context.Context { return optOut{ctx} }

// FromContext returns the State that ctx belongs to, or nil.
func FromContext(ctx context.Context) *State {
	s, _ := ctx.Value(contextKey{}).(*State)
	return s
}

// find returns the State that the call belongs to, or nil: w's if w is ours,
// else the context's, for a foreign middleware may have wrapped w. Opting out
// beats both.
func find(w http.ResponseWriter, r *http.Request) *State {
	var direct *State
	if sw, ok := w.(interface{ state() *State }); ok {
		direct = sw.state()
	}
	ctx := r.Context()
	if s, ok := ctx.(*State); ok && s == direct {
		return s
	}
	if s, ok := ctx.Value(contextKey{}).(*State); ok {
		return s
	}
	return direct
}

func newState(w http.ResponseWriter, r *http.Request) *State {
	s := &State{Context: r.Context(), w: w, head: r.Method == http.MethodHead, length: -1}
	s.rec.Start = time.Now()
	s.rec.Method = r.Method
	s.rec.Remote = r.RemoteAddr
	if ua := r.Header["User-Agent"]; len(ua) > 0 {
		s.rec.UserAgent = ua[0]
	}
	return s
}

// join registers o. It reports whether o takes part now, and whether it did
// before: a middleware mounted twice accounts once.
func (s *State) join(o Observer) (joined, before bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return false, false
	}
	for i := range s.nhooks {
		if s.hook(i) == o {
			return true, true
		}
	}
	if s.nhooks < len(s.hooks) {
		s.hooks[s.nhooks] = o
	} else {
		s.moreHooks = append(s.moreHooks, o)
	}
	s.nhooks++
	return true, false
}

func (s *State) hook(i int) Observer {
	if i < len(s.hooks) {
		return s.hooks[i]
	}
	return s.moreHooks[i-len(s.hooks)]
}

// set runs f on the record unless it is final.
func (s *State) set(f func(*Record)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		f(&s.rec)
	}
}

// SetRequestID names the request.
func (s *State) SetRequestID(id string) { s.set(func(rec *Record) { rec.RequestID = id }) }

// SetSubject names the caller.
func (s *State) SetSubject(subject string) { s.set(func(rec *Record) { rec.Subject = subject }) }

// SetTrace sets the ids of the request's server span.
func (s *State) SetTrace(trace [16]byte, span [8]byte) {
	s.set(func(rec *Record) { rec.TraceID, rec.SpanID = trace, span })
}

// SetPanic records a panic that a middleware inside the owner turned into an
// answer or an abort. The first one stays.
func (s *State) SetPanic(v any) {
	s.set(func(rec *Record) {
		if rec.Panic == nil {
			rec.Panic = v
		}
	})
}

// IDs returns the request's id and those of its server span; zero if unknown.
func (s *State) IDs() (request string, trace [16]byte, span [8]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec.RequestID, s.rec.TraceID, s.rec.SpanID
}

// Record returns a copy of what is known so far.
func (s *State) Record() Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}

// leave records the route, now that the mux has run. The innermost middleware
// leaves first, and its request is the one that the mux has seen.
func (s *State) leave(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done && s.rec.Route == "" {
		s.rec.Route = routeOf(r)
	}
}

// began notes the final header, once.
func (s *State) began(status int) {
	if s.rec.Sent != 0 {
		return
	}
	s.rec.Sent = status
	h := s.w.Header()
	if v := h["Content-Length"]; len(v) > 0 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			s.length = n
		}
	}
	s.events.on = isEventStream(h)
}

func isEventStream(h http.Header) bool {
	v := h["Content-Type"]
	return len(v) > 0 && strings.HasPrefix(v[0], "text/event-stream")
}

// serverBuffer is from where on net/http passes body bytes to the connection
// without a Flush (its connection's buffer is 4 KiB).
const serverBuffer = 4 << 10

// wrote accounts for body bytes that the underlying writer took.
func (s *State) wrote(n int, err error, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.hijacked {
		return
	}
	if err == http.ErrHandlerTimeout {
		s.timedOut = true
		return
	}
	s.began(http.StatusOK)
	if s.head || n <= 0 {
		return
	}
	s.rec.Bytes += int64(n)
	s.pending += n
	if s.pending >= serverBuffer {
		s.chunk(time.Since(s.rec.Start))
	}
	if s.events.on {
		s.events.scan(body[:min(n, len(body))])
	}
}

// chunk notes that the pending bytes left at the time at.
func (s *State) chunk(at time.Duration) {
	if s.rec.Stream.Chunks == 0 {
		s.rec.Stream.TimeToFirstByte = at
	} else {
		s.rec.Stream.LongestGap = max(s.rec.Stream.LongestGap, at-s.last)
	}
	s.rec.Stream.Chunks++
	s.last = at
	s.pending = 0
	s.flushed = true
}

// flush notes that the server sent all it had.
func (s *State) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.hijacked {
		return
	}
	s.began(http.StatusOK)
	s.flushed = true
	if s.pending > 0 {
		s.chunk(time.Since(s.rec.Start))
	}
}

// copied accounts for n bytes that the server took from a descriptor by
// itself, from the time at on.
func (s *State) copied(n int64, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.hijacked || n <= 0 {
		return
	}
	s.began(http.StatusOK)
	s.rec.Bytes += n
	s.chunk(at)
}

// watch looks for error events in a stream that the server copies by itself.
func (s *State) watch(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.events.scan(unsafe.String(unsafe.SliceData(p), len(p)))
	}
}
