package breaker

import (
	"context"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// MiddlewareConfig configures [Middleware]. The zero value is useful.
type MiddlewareConfig struct {
	// Pick chooses the breaker of a request, such as one of a [Group]'s, instead
	// of the one that Middleware was given, which may be nil then. A request for
	// which it returns nil passes, and is judged by nobody. It must not read the
	// body.
	Pick func(*http.Request) *Breaker

	// Judge says what the status of a whole answer says of the service; 101 is an
	// answer, too, and so is a hijack. What was not answered as a whole, and who
	// left or was refused, it is not asked about, and a failure to serve what could
	// not be read is ignored. nil means: 500 and above are
	// failures, 429 and 499 are ignored, and all others are successes.
	Judge func(r *http.Request, status int) Outcome

	// Deny answers a request that is not let through. nil means [WriteError].
	Deny func(w http.ResponseWriter, r *http.Request, err error)

	_ struct{}
}

// Middleware asks b about each request, before its body is read, and turns away
// those that b does not let through.
//
// What b learns of the others is what logs and metrics say of them when they are
// over: that they were answered whole, and with which status, see
// MiddlewareConfig.Judge; that the client left, or its credential ended and the
// answer with it (package auth's EndAtExpiry), or something further in refused
// them, or they were answered with a failure, or aborted, after their bodies could
// not be read, all of which b ignores; or that they failed: by a panic,
// http.ErrAbortHandler or runtime.Goexit, all of which go on, by an answer that was
// cut short, by an error event in a stream, by an http.TimeoutHandler.
//
// A request's service time, for Config.SlowAfter and for the recovery, is that
// from here until the first bytes of its answer leave, the connection is taken
// over or, without a flush or 4 KiB of them, the handlers return, less what the
// handlers waited for the client to send its body. A stream or a WebSocket that has
// begun to answer does not hold up the recovery.
//
// It belongs outside of an http.TimeoutHandler: inside, it hears of the timeout no
// sooner than the handler returns.
//
// It panics if b and cfg.Pick are nil, when the chain is built.
func Middleware(b *Breaker, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if b == nil && cfg.Pick == nil {
		panic("breaker: Middleware of a nil *Breaker")
	}
	if cfg.Deny == nil {
		cfg.Deny = WriteError
	}
	m := &middleware{b, cfg}
	return func(next http.Handler) http.Handler { return &handler{m, next} }
}

// WithoutState returns a context whose requests are judged on their own: a
// request that a handler makes inside the process, straight to another handler
// and with a context derived from its own, would otherwise be taken for a part
// of the one being handled.
func WithoutState(ctx context.Context) context.Context { return reqstate.WithoutState(ctx) }

type middleware struct {
	b   *Breaker
	cfg MiddlewareConfig
}

// A handler is no closure, which would take more stack, for as long as a stream is
// open.
type handler struct {
	*middleware
	next http.Handler
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	m, b := h.middleware, h.b
	if m.cfg.Pick != nil {
		if b = m.cfg.Pick(r); b == nil {
			h.next.ServeHTTP(w, r)
			return
		}
	}
	// Not as of the request's start: what waits in a queue in between is no time
	// of the service, and times that are not in order would undo the pace of a
	// recovery. While b is closed and times no calls, this reads no clock.
	permit, err := b.Allow()
	if err != nil {
		refuse(r)
		m.cfg.Deny(w, r, err)
		return
	}
	s := &served{permit: permit, m: m, r: r}
	if r.Body != nil && r.Body != http.NoBody {
		s.upload = upload{ReadCloser: r.Body, timed: permit.awaited() != nil}
		r.Body = &s.upload // as with http.MaxBytesReader
	}
	returned := false
	defer func() {
		if !returned {
			s.leave()
		}
	}()
	reqstate.Serve(w, r, h.next, s)
	returned = true
}

// served is a request that was let through. It observes the shared state, whose
// owner sees to it that Finish is called, with what became of the answer further
// out: behind a foreign writer that holds it back, nobody knows before.
type served struct {
	permit *Permit
	m      *middleware
	r      *http.Request
	upload upload
	state  *reqstate.State
}

func (s *served) Begin(state *reqstate.State, _ http.ResponseWriter, _ *http.Request) {
	s.state = state
}

// FirstChunk ends the service time, and the permit if the status settles it. A
// custom Judge may look into the state, which is locked here: it is asked later.
func (s *served) FirstChunk(rec *reqstate.Record) {
	o := judgeStatus(rec.Sent)
	switch {
	case rec.Refused, rec.Sent == http.StatusServiceUnavailable && reqstate.IsProtection(rec.Reason):
		s.permit.Done(Ignore)
	case o != Success && (s.m.cfg.Judge != nil || s.r.Context().Err() != nil || s.upload.failed.Load()):
		// It may be no failure, in the end.
	case o != Success:
		s.permit.Done(o)
	case rec.Stream.TimeToFirstByte > 0:
		s.permit.FirstByteAt(s.served(rec, rec.Stream.TimeToFirstByte))
	default: // a hijack
		s.permit.FirstByte()
	}
}

// Finish reports how the request ended.
func (s *served) Finish(rec *reqstate.Record) {
	outcome := Failure // if Judge panics
	defer func() {
		if outcome == Success && s.upload.waited.Load() > 0 {
			s.permit.FirstByteAt(s.served(rec, rec.Duration))
		}
		s.permit.DoneAt(rec.Start.Add(rec.Duration), outcome)
	}()
	outcome = s.judge(rec)
}

// served is when the request, which took d, would have been served had its client
// sent it at once.
func (s *served) served(rec *reqstate.Record, d time.Duration) time.Time {
	return rec.Start.Add(d - time.Duration(s.upload.waited.Load()))
}

func (s *served) judge(rec *reqstate.Record) Outcome {
	switch rec.Outcome {
	case reqstate.Complete, reqstate.Hijacked:
		if rec.Refused || rec.Protected() {
			return Ignore
		}
		judge := s.m.cfg.Judge
		if judge == nil {
			judge = func(_ *http.Request, status int) Outcome { return judgeStatus(status) }
		}
		if o := judge(s.r, rec.Status); o != Failure || !s.upload.failed.Load() {
			return o
		}
		return Ignore // it cannot serve what it did not get
	case reqstate.ClientGone, reqstate.Expired:
		return Ignore
	case reqstate.Aborted, reqstate.UpstreamCut:
		if s.upload.failed.Load() {
			return Ignore
		}
	}
	return Failure
}

// leave reports what left without returning. The owner has done so if it is this
// middleware; one further out does not learn of it where a foreign middleware
// swallows an http.ErrAbortHandler.
func (s *served) leave() {
	ctx := s.r.Context()
	gone := ctx.Err() == context.Canceled && context.Cause(ctx) == context.Canceled || // and the handler noticed
		reqstate.HasExpired(ctx)
	if (gone || s.upload.failed.Load()) && s.state.Record().Panic == nil {
		s.permit.Done(Ignore)
		return
	}
	s.permit.Done(Failure)
}
