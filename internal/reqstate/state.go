package reqstate

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/internal/reason"
	"github.com/ballast-go/ballast/internal/sse"
)

// An Observer is a telemetry middleware's part in a request. It is one
// long-lived value per middleware, so that joining allocates nothing.
type Observer interface {
	// Begin is called before the next handler. w is what that handler gets.
	Begin(s *State, w http.ResponseWriter, r *http.Request)
	Finisher
}

// A Finisher is told of the end of a request.
type Finisher interface {
	// Finish is called once, when the outcome is final. rec must not be
	// changed; it may be kept.
	Finish(rec *Record)
}

// State is one request's shared state. It is that request's context.Context.
//
// Its fields are in an order that leaves no gaps: TestSize knows what it may take.
type State struct {
	context.Context // the request's own

	w       http.ResponseWriter // what the owner was given
	request *http.Request       // what the owner passed on

	head       bool        // HEAD: the body is eaten by the server
	sealed     atomic.Bool // set with done; read without the lock by the writer
	identified atomic.Bool // principal is set, and never changes from now on
	valued     atomic.Bool // values is set, and never changes from now on
	routed     atomic.Bool // rec.Route is set, and never changes from now on
	principal  any
	values     context.Context

	patience atomic.Int64 // ns for each write; 0 is for ever

	bytesIn atomic.Int64  // of the request's body, as read
	body    io.ReadCloser // the request's own, which the next handler reads as a body

	mu        sync.Mutex // guards all below
	rec       Record
	length    int64         // Content-Length of the answer; -1 if not declared
	pending   int           // body bytes that may still sit in the server's buffer
	last      time.Duration // of the last chunk, since rec.Start
	hooks     [6]Finisher   // the first observers that have joined
	ready     [6]bool       // which of hooks are, see isReady
	nhooks    uint16        // of both kinds
	moreHooks *[]hook       // and the others: few chains are that long
	done      bool          // rec is final
	hijacked  bool
	timedOut  bool // http.TimeoutHandler has answered instead
	expired   bool // the caller's credential has ended, and the context with it
	broken    bool // a write failed on the client's connection
	slowBody  bool // a read of the request's body ran into the server's deadline
	clean     bool // all that was written is on the wire
	stream    bool // the answer is a text/event-stream
	events    sse.Scanner
}

// A hook is an observer that has joined.
type hook struct {
	Finisher
	ready bool
}

type (
	contextKey struct{} // its value is the *State, or a nil one after WithoutState
	optOut     struct{ context.Context }
)

// Value returns the State for this package's key and, once it is set, the
// principal for PrincipalKey, else the value of what SetValues was given, or of the
// parent.
func (s *State) Value(key any) any {
	if key == (contextKey{}) || key == (reason.Key{}) {
		return s
	}
	if key == (PrincipalKey{}) && s.identified.Load() {
		return s.principal
	}
	if s.valued.Load() {
		return s.values.Value(key)
	}
	return s.Context.Value(key)
}

func (c optOut) Value(key any) any {
	switch key {
	case contextKey{}:
		return (*State)(nil)
	case reason.Key{}:
		return nil
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

// String keeps fmt, which prints contexts, from reading the fields.
func (s *State) String() string { return "ballast request" }

// find returns the State that the call belongs to, or nil: w's if w is ours,
// else the context's, for a foreign middleware may have wrapped w, else, if
// one has replaced the context too, that of a writer inside w. Opting out
// beats them all.
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
	for direct == nil {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return nil
		}
		w = u.Unwrap()
		if sw, ok := w.(interface{ state() *State }); ok {
			return sw.state()
		}
	}
	return direct
}

func newState(w http.ResponseWriter, r *http.Request) *State {
	s := &State{Context: r.Context(), w: w, head: r.Method == http.MethodHead, length: -1}
	s.rec.Start = time.Now()
	s.rec.Method = r.Method
	s.rec.Remote = r.RemoteAddr
	s.rec.TLS = r.TLS != nil
	s.rec.Protocol = [2]uint8{uint8(r.ProtoMajor), uint8(r.ProtoMinor)}
	if ua := r.Header["User-Agent"]; len(ua) > 0 {
		s.rec.UserAgent = ua[0]
	}
	return s
}

// take returns what the owner passes on instead of w and r.
func (s *State) take(r *http.Request) (http.ResponseWriter, *http.Request) {
	r = r.WithContext(s)
	s.request = r
	if r.Body != nil && r.Body != http.NoBody {
		s.body = r.Body
		r.Body = (*body)(s)
	}
	return s.writer(), r
}

// join registers o and has it begin. It reports false, and does nothing, if
// the record is final. A middleware mounted twice joins once.
func (s *State) join(o Observer, w http.ResponseWriter, r *http.Request) bool {
	i, joined := s.register(o)
	if i < 0 {
		return joined
	}
	o.Begin(s, w, r)
	s.joined(i, o)
	return true
}

// joined has hook i finish with the others or, if they have, at once.
func (s *State) joined(i int, o Finisher) {
	s.mu.Lock()
	late := s.done
	if !late { // else the owner is reading it, without the lock
		s.setReady(i)
	}
	s.mu.Unlock()
	if late {
		o.Finish(&s.rec)
	}
}

// register returns o's place among the hooks, or -1 and whether it has one.
func (s *State) register(o Finisher) (place int, joined bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return -1, false
	}
	n := int(s.nhooks)
	for i := range n {
		if s.hook(i) == o {
			return -1, true
		}
	}
	switch {
	case n < len(s.hooks):
		s.hooks[n] = o
	case n == len(s.hooks):
		s.moreHooks = &[]hook{{Finisher: o}}
	default:
		*s.moreHooks = append(*s.moreHooks, hook{Finisher: o})
	}
	s.nhooks++
	return n, true
}

// hook returns the i-th to have joined. s.mu is held, or the record is final.
func (s *State) hook(i int) Finisher {
	if i < len(s.hooks) {
		return s.hooks[i]
	}
	return (*s.moreHooks)[i-len(s.hooks)].Finisher
}

// isReady reports whether the i-th's Begin has returned. If the record is final by
// then, the owner has passed the hook over and it finishes by itself.
func (s *State) isReady(i int) bool {
	if i < len(s.hooks) {
		return s.ready[i]
	}
	return (*s.moreHooks)[i-len(s.hooks)].ready
}

func (s *State) setReady(i int) {
	if i < len(s.hooks) {
		s.ready[i] = true
	} else {
		(*s.moreHooks)[i-len(s.hooks)].ready = true
	}
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

// NameRequest names the request unless it has a name, and returns the one that it
// has then.
func (s *State) NameRequest(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rec.RequestID != "" {
		return s.rec.RequestID
	}
	if !s.done {
		s.rec.RequestID = id
	}
	return id
}

// SetSubject names the caller. The first one stays: others are those of a part of
// the request, or of one behind a proxy that is the first.
func (s *State) SetSubject(subject string) {
	s.set(func(rec *Record) {
		if rec.Subject == "" {
			rec.Subject = subject
		}
	})
}

// SetTrace sets the ids of the request's server span, and whether it is recorded.
func (s *State) SetTrace(trace [16]byte, span [8]byte, sampled bool) {
	s.set(func(rec *Record) { rec.TraceID, rec.SpanID, rec.Sampled = trace, span, sampled })
}

// Parent returns the context that the State was made in.
func (s *State) Parent() context.Context { return s.Context }

// SetValues has Value ask ctx, which must be Parent or made of it, and lives no
// longer and no shorter: so a span needs neither another context nor another copy
// of the request. It reports false, and does nothing, if it was called before or
// the State is sealed.
func (s *State) SetValues(ctx context.Context) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.valued.Load() {
		return false
	}
	s.values = ctx
	s.valued.Store(true)
	return true
}

// SetRefused notes that a limit of concurrency or a breaker turns the request away.
func (s *State) SetRefused() { s.set(func(rec *Record) { rec.Refused = true }) }

// SetReason says why the request is turned away, in a stable token such as
// "queue-full". It counts if nothing was sent yet; the last one stays.
func (s *State) SetReason(reason string) {
	s.set(func(rec *Record) {
		if rec.Sent == 0 {
			rec.Reason = reason
		}
	})
}

// maxAttrs is how many attributes others may add to a record.
const maxAttrs = 32

// AddAttrs adds attributes for the log's record of the request. What is beyond
// 32 is dropped.
func (s *State) AddAttrs(attrs ...slog.Attr) {
	s.set(func(rec *Record) {
		n := min(len(attrs), maxAttrs-len(rec.Attrs))
		rec.Attrs = append(rec.Attrs, attrs[:n]...)
	})
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

// Start returns when the request began, at no cost. It is the zero Time of a
// nil State and of a sealed one: what runs after the request is no part of it.
func (s *State) Start() time.Time {
	if s == nil || s.sealed.Load() {
		return time.Time{}
	}
	return s.rec.Start // never changes
}

// Head returns how the client sent the request, at no cost: by which method, which is
// unbounded, and whether over TLS.
func (s *State) Head() (method string, tls bool) { return s.rec.Method, s.rec.TLS } // never change

// Record returns a copy of what is known so far.
func (s *State) Record() Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.rec
}

// leave records the route, now that the mux has run. The innermost middleware
// leaves first, and its request is the one that the mux has seen.
func (s *State) leave(r *http.Request) {
	if s.routed.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done && s.rec.Route == "" {
		s.rec.Route = routeOf(r)
		s.routed.Store(s.rec.Route != "")
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
	s.stream = sse.IsStream(h)
}

// serverBuffer is from where on net/http passes body bytes to the connection
// without a Flush (its connection's buffer is 4 KiB).
const serverBuffer = 4 << 10

// wrote accounts for n body bytes that the underlying writer took before err.
// at is when it got them, or negative, for now.
func (s *State) wrote(n int, err error, body string, at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.hijacked {
		return
	}
	if err != nil && s.failed(err) {
		return
	}
	s.began(http.StatusOK)
	s.pending += max(n, 0)
	full := s.pending >= serverBuffer
	if s.head {
		// What counts is the header. A full buffer sends it, and then HTTP/2
		// ends the stream, refuses the rest and cancels the context.
		s.clean = s.clean || full || err != nil
		return
	}
	if n <= 0 {
		return
	}
	s.rec.Bytes += int64(n)
	s.clean = false
	if full {
		s.chunk(at)
	}
	if s.stream {
		s.events.Scan(body[:min(n, len(body))])
	}
}

// failed looks at what a write returned, and reports whether it is
// http.TimeoutHandler's refusal.
func (s *State) failed(err error) bool {
	if err == http.ErrHandlerTimeout {
		s.timedOut = true
		return true
	}
	// net/http cancels the request's context when a write fails, but not when
	// sendfile does.
	if _, ok := errors.AsType[*net.OpError](err); ok {
		s.broken = true
	}
	return false
}

// chunk notes that the pending bytes left at the time at, or now if negative.
func (s *State) chunk(at time.Duration) {
	if at < 0 {
		at = time.Since(s.rec.Start)
	}
	if s.rec.Stream.Chunks == 0 {
		s.rec.Stream.TimeToFirstByte = at
		s.started()
	} else {
		s.rec.Stream.LongestGap = max(s.rec.Stream.LongestGap, at-s.last)
	}
	s.rec.Stream.Chunks++
	s.last = at
	s.pending = 0
}

// flush notes that the server sent all it had.
func (s *State) flush() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.hijacked {
		return
	}
	s.began(http.StatusOK)
	s.clean = true
	if s.pending > 0 {
		s.chunk(-1)
	}
}

// onWire notes that the server holds nothing back.
func (s *State) onWire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clean = true
}

// watch looks for error events in a stream that the server copies by itself.
func (s *State) watch(p []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.events.ScanBytes(p)
	}
}

// body is the request's body, watched for the server's read deadline: net/http
// cancels the context then, as if the client had gone, which may well be
// there and be told 408.
type body State

func (b *body) Close() error { return b.body.Close() }

func (b *body) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if n > 0 {
		b.bytesIn.Add(int64(n))
	}
	if err != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.slowBody = true
	}
	return n, err
}
