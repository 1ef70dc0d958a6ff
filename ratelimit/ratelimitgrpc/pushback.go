package ratelimitgrpc

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
)

// A destination is what a server's word is about. A limit may be of a method,
// or of all of them; by method, what is not limited is not kept back, and what
// is learns it from one call more.
type destination struct{ target, fullMethod string }

func newDestination(cc *grpc.ClientConn, fullMethod string) destination {
	if cc == nil { // a user's test of the interceptor
		return destination{"", fullMethod}
	}
	return destination{cc.Target(), fullMethod}
}

// maxHolds bounds how many destinations are kept back at a time: a proxy calls
// whatever methods its own clients name. Past that, those are forgotten first
// that can be called again soonest.
const maxHolds = 1024

// holds are the destinations that are not to be called yet. There are none in
// normal times, and then asking is one atomic load.
type holds struct {
	most  time.Duration // that a hold lasts; below 0, there are none
	count atomic.Int64  // of until
	mu    sync.Mutex
	until map[destination]time.Time
}

// remaining is how long to is not to be called yet, or 0.
func (h *holds) remaining(to destination) time.Duration {
	if h.count.Load() == 0 {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	until, ok := h.until[to]
	if !ok {
		return 0
	}
	d := time.Until(until)
	if d <= 0 {
		delete(h.until, to)
		h.count.Store(int64(len(h.until)))
	}
	return max(0, d)
}

// note takes down what a server said at the end of a call.
func (h *holds) note(to destination, err error, trailer metadata.MD) {
	if err == nil || h.most < 0 {
		return
	}
	d := min(pushback(err, trailer), h.most)
	if d <= 0 {
		return
	}
	until := time.Now().Add(d)
	h.mu.Lock()
	defer h.mu.Unlock()
	if until.Before(h.until[to]) { // an answer to an earlier call, late
		return
	}
	if h.until == nil {
		h.until = make(map[destination]time.Time)
	}
	if _, known := h.until[to]; !known && len(h.until) >= maxHolds {
		h.forget()
	}
	h.until[to] = until
	h.count.Store(int64(len(h.until)))
}

// forget makes room by what can be called again soonest. h.mu is held.
func (h *holds) forget() {
	var soonest destination
	var when time.Time
	for to, until := range h.until {
		if when.IsZero() || until.Before(when) {
			soonest, when = to, until
		}
	}
	delete(h.until, soonest)
}

// pushback is how long a server wants not to be called, or 0 if it does not say.
// A trailer below 0 is about the one call: that one is never to be repeated.
func pushback(err error, trailer metadata.MD) (d time.Duration) {
	st, ok := status.FromError(err)
	if !ok || st.Code() != codes.ResourceExhausted && st.Code() != codes.Unavailable {
		return 0
	}
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			d = max(d, info.GetRetryDelay().AsDuration())
		}
	}
	if values := trailer.Get(grpcstatus.Pushback); len(values) == 1 { // as gRFC A6 has it
		if ms, err := strconv.ParseInt(values[0], 10, 64); err == nil {
			const most = math.MaxInt64 / int64(time.Millisecond)
			d = max(d, time.Duration(min(max(ms, 0), most))*time.Millisecond)
		}
	}
	return d
}
