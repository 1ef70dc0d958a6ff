package reqstate

import (
	"log/slog"
	"net/http"
	"slices"
	"time"
)

// An Outcome is how a request ended. The zero value is Complete.
type Outcome uint8

const (
	// Complete: the handler returned and the answer is whole.
	Complete Outcome = iota
	// ClientGone: the client left before it had the whole answer.
	ClientGone
	// UpstreamCut: the answer was cut after it had begun, by
	// http.ErrAbortHandler (as httputil.ReverseProxy does when its upstream
	// breaks off), by runtime.Goexit, or by fewer bytes than Content-Length
	// promised.
	UpstreamCut
	// ErrorEvent: a text/event-stream carried an error event.
	ErrorEvent
	// Aborted: http.ErrAbortHandler or runtime.Goexit before anything was
	// sent: the client saw its connection close.
	Aborted
	// Panicked: the handler panicked with anything but http.ErrAbortHandler.
	Panicked
	// TimedOut: an http.TimeoutHandler around the State answered 503 instead
	// of the handler.
	TimedOut
	// Hijacked: the handler took the connection over.
	Hijacked
	// Expired: the service took the caller's credential for over while it was
	// answering, and the answer failed after that, or was cut. Neither the
	// service nor what is behind it is to blame.
	Expired
)

// String returns the name that logs use.
func (o Outcome) String() string {
	switch o {
	case Complete:
		return "complete"
	case ClientGone:
		return "client-gone"
	case UpstreamCut:
		return "upstream-cut"
	case ErrorEvent:
		return "error-event"
	case Aborted:
		return "aborted"
	case Panicked:
		return "panic"
	case TimedOut:
		return "timeout"
	case Hijacked:
		return "hijacked"
	case Expired:
		return "expired"
	}
	return "unknown"
}

// StatusClientGone is the status recorded for a client that went away; it is
// never sent. nginx made it a convention.
const StatusClientGone = 499

// A Record is what is known of a request. Observers get it, final, in Finish.
type Record struct {
	Start     time.Time     // when the owner was entered
	Duration  time.Duration // from Start until the owner's next handler was left
	Method    string        // as sent by the client: unbounded, never a label
	Route     string        // the http.ServeMux pattern without its method; "" before the mux ran, at last "unmatched"
	Remote    string        // the peer's address and port, as the server saw it
	UserAgent string        // as sent by the client: unbounded, never a label
	RequestID string
	Subject   string // who is calling, as authenticated; "" if unknown
	TraceID   [16]byte
	SpanID    [8]byte
	Sampled   bool     // the span is recorded
	TLS       bool     // the client's connection is encrypted
	Protocol  [2]uint8 // major and minor version of HTTP; zero for a call

	// Status is the verdict that logs, metrics and traces agree on: the status
	// sent, except where that would be a lie: 499 for ClientGone, 500 for
	// UpstreamCut, ErrorEvent, Aborted and Panicked, 503 for TimedOut, 101 for
	// Hijacked, and 401 for Expired unless a failure was sent.
	Status int
	// Sent is the final status that the handler wrote, explicitly or by
	// writing a body; 0 if none went out. 1xx never counts but for 101.
	Sent    int
	Bytes   int64 // of the body, as written to the ResponseWriter
	BytesIn int64 // of the request's body, as read
	Stream  Stream
	Outcome Outcome
	Panic   any         // the panic's value; nil but for Panicked
	Refused bool        // a limit of concurrency or a breaker turned the request away, which says nothing of the service
	Reason  string      // why it was turned away: a token such as "queue-full", of no client's choosing; "" if it was not
	Attrs   []slog.Attr // by others, for the log; at most 32

	// RPC is the full method of a gRPC call, "" for an HTTP request. Then Route is
	// the same, Method is "", Status is the HTTP status that Code stands for,
	// Sent is 0 and Stream counts messages.
	RPC        string
	Code       uint32 // the gRPC status code, as the server sent it or, to a client that left, would have
	MessagesIn int64  // messages that a stream received
}

// Stream is when the body's bytes left. A chunk is what one Flush, or one
// overflow of the server's buffer, sends: an answer that fits the buffer and
// is not flushed has none.
type Stream struct {
	Chunks          int64
	TimeToFirstByte time.Duration // from Start to the first chunk; 0 without one
	LongestGap      time.Duration // between two chunks; 0 with fewer than two
}

// IDs returns the request's id and those of its server span; zero if unknown.
func (r *Record) IDs() (request string, trace [16]byte, span [8]byte) {
	return r.RequestID, r.TraceID, r.SpanID
}

// refused is the reason of a rejection that gives none.
const refused = "refused"

// protections are the reasons of rejections that are a service's protection at work:
// they must wake nobody. "auth-unavailable" and "unavailable" are not among them: what
// is behind those is down.
var protections = [...]string{"breaker-open", "draining", "queue-full", "queue-timeout", refused, "shed"}

// Protections returns the reasons of the rejections that Protected is about.
func Protections() []string { return slices.Clone(protections[:]) }

// IsProtection reports whether reason is one of Protections.
func IsProtection(reason string) bool { return slices.Contains(protections[:], reason) }

// Rejection returns why the request was turned away, "refused" if nobody said, or ""
// if it was not. A panic after that, or an answer in its place, is what it is.
func (r *Record) Rejection() string {
	switch {
	case r.Status < 400:
		return ""
	case r.Outcome == Complete, r.Outcome == Expired:
	case r.Outcome == ErrorEvent && r.RPC != "": // its status says why, after some messages
	default:
		return ""
	}
	if r.Reason == "" && r.Refused {
		return refused
	}
	return r.Reason
}

// Protected reports whether the request was turned away to protect the service, which
// is no failure to logs, metrics and traces.
func (r *Record) Protected() bool {
	return r.Status == http.StatusServiceUnavailable && IsProtection(r.Rejection())
}

// Unmatched is the route of a request that no pattern matched.
const Unmatched = "unmatched"

// routeOf returns r's pattern without the method, or "". Two cases are not
// routes: a request that no mux has seen, and CONNECT, for which ServeMux puts
// the client's path into Pattern when it redirects to a trailing slash
// (net/http, ServeMux.findHandler), so only a pattern that names the method
// can be believed.
func routeOf(r *http.Request) string {
	p := r.Pattern
	for i := 0; i < len(p); i++ {
		switch p[i] {
		case ' ', '\t':
			for i < len(p) && (p[i] == ' ' || p[i] == '\t') {
				i++
			}
			return p[i:]
		case '/':
			if r.Method == http.MethodConnect {
				return ""
			}
			return p
		}
	}
	return p
}
