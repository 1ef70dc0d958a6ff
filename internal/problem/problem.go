// Package problem writes the one error body that every Ballast package sends:
// RFC 9457 application/problem+json, never cached, with an optional
// machine-readable reason and Retry-After.
package problem

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"

	"github.com/ballast-go/ballast/internal/reason"
)

// body is RFC 9457 §3.1 with one extension member, reason. The type
// about:blank says that the status tells it all, and asks for the status
// phrase as title (§4.2.1).
type body struct {
	Type   string `json:"type"`
	Title  string `json:"title,omitempty"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// stale are the header fields that describe the representation a handler had
// begun to prepare. Kept, they would make a client decode, store, offer for
// download or cut the problem as if it were that representation.
var stale = [...]string{
	"Content-Disposition", "Content-Encoding", "Content-Length", "Content-Range",
	"Etag", "Last-Modified",
}

// Write answers with status and a problem document. The title is the status
// phrase; detail is text for the client and must hold nothing internal;
// reason is a stable token such as "queue-full". Empty ones are left out.
//
// A retryAfter above zero sets Retry-After to it, rounded up to seconds and
// jittered upward by [Seconds]; zero or less leaves the field as it is.
// A status that is no error (below 400 or above 599) is sent as 500.
//
// Write must be the first to write to w. The answer to a HEAD request has the
// same header; net/http drops its body.
func Write(w http.ResponseWriter, r *http.Request, status int, detail, reason string, retryAfter time.Duration) {
	if status < 400 || status > 599 {
		status = http.StatusInternalServerError
	}
	note(w, r, reason)
	h := w.Header()
	for _, name := range stale {
		h.Del(name)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.FormatInt(Seconds(retryAfter), 10))
	}
	w.WriteHeader(status)
	// Strings and an int always encode, and a client that has gone away is
	// nobody to report a write error to.
	doc, _ := json.Marshal(body{"about:blank", http.StatusText(status), status, detail, reason})
	_, _ = w.Write(append(doc, '\n'))
}

// note tells the request's state of the reason: that of its context or, where that
// is not passed on, the one behind w.
func note(w http.ResponseWriter, r *http.Request, why string) {
	if why == "" {
		return
	}
	if s, ok := r.Context().Value(reason.Key{}).(interface{ SetReason(string) }); ok {
		s.SetReason(why)
		return
	}
	for {
		if s, ok := w.(interface{ SetReason(string) }); ok {
			s.SetReason(why)
			return
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

// Seconds is d as delta-seconds (RFC 9110 §10.2.3): rounded up, then raised
// by a random zero to a quarter of itself plus one second, so that clients
// that were turned away together do not come back together, and none comes
// back early. Zero or less gives 0.
func Seconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s + rand.Int64N(s/4+2)
}
