package retry

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// The header fields in which a request tells of its caller. They are Envoy's, so
// that a mesh's proxies and what is called understand each other.
const (
	// AttemptHeader is which attempt of its call a request is: 1 for the first.
	// It is sent with later ones only, and by what serves a later one.
	AttemptHeader = "X-Envoy-Attempt-Count"

	// TimeoutHeader is how long the caller waits for the answer, in milliseconds:
	// up to nine digits.
	TimeoutHeader = "X-Envoy-Expected-Rq-Timeout-Ms"
)

// announce returns a request like r, for ctx, that tells of its attempt and its
// deadline; r itself if there is nothing to change. A wait that the caller has put
// into TimeoutHeader stays if it is shorter: one that a proxy has copied from the
// request that it serves is out of date.
func announce(r *http.Request, ctx context.Context) *http.Request {
	n := Attempt(ctx)
	deadline, limited := ctx.Deadline()
	var left int64
	if limited {
		left = max(1, time.Until(deadline).Milliseconds())
		ms, ok := told(r.Header, TimeoutHeader)
		limited = !ok || int64(ms) > left
	}
	tells := n > 1 || limited
	if tells || ctx != r.Context() {
		r = r.WithContext(ctx) // a copy
	}
	if !tells {
		return r
	}
	h := r.Header.Clone()
	if h == nil {
		h = make(http.Header, 2)
	}
	if n > 1 {
		h[AttemptHeader] = []string{strconv.Itoa(n)}
	}
	if limited {
		h[TimeoutHeader] = []string{strconv.FormatInt(left, 10)}
	}
	r.Header = h
	return r
}

// maxDigits is nine: 11 days in milliseconds, and no number overflows.
const maxDigits = 9

// told reads a number that a caller has sent: digits, not too many, once.
func told(h http.Header, field string) (n int, ok bool) {
	v := h[field]
	if len(v) != 1 || v[0] == "" || len(v[0]) > maxDigits {
		return 0, false
	}
	for i := range len(v[0]) {
		c := v[0][i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
