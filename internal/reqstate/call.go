package reqstate

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// NewCall returns the State of a gRPC call that begins now. It has no
// ResponseWriter; package rpcstate sees to its end.
func NewCall(ctx context.Context, fullMethod, remote, userAgent string) *State {
	s := &State{Context: ctx, length: -1}
	s.rec.Start = time.Now()
	s.rec.RPC, s.rec.Route = fullMethod, fullMethod
	s.rec.Remote, s.rec.UserAgent = remote, userAgent
	return s
}

// IsCall reports whether s is a gRPC call's that is not over.
func (s *State) IsCall() bool { return s != nil && s.rec.RPC != "" && !s.sealed.Load() }

// FullMethod is the call's, like "/package.Service/Method"; "" of an HTTP request.
func (s *State) FullMethod() string { return s.rec.RPC } // never changes

// JoinCall registers o, calls begin and reports true. It reports false, and does
// nothing, if the record is final; mounted twice, o joins once.
func (s *State) JoinCall(o Finisher, begin func(*State)) bool {
	i, joined := s.register(o)
	if i < 0 {
		return joined
	}
	begin(s)
	s.joined(i, o)
	return true
}

// Received notes that the call's handler got a message.
func (s *State) Received() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.rec.MessagesIn++
	}
}

// Sent notes that a stream's handler sent a message.
func (s *State) Sent() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done {
		s.chunk(-1)
	}
}

// Panicked notes that a handler panicked with v, unless v is nil.
func (s *State) Panicked(v any) { s.panicked(v) }

// A CallEnd is how a call's handler was left.
type CallEnd struct {
	Returned bool   // neither by a panic nor by runtime.Goexit
	Code     uint32 // the gRPC status code of what it returned
	Panic    any    // what it panicked with; nil if it did not
}

// The codes that verdicts need, of google.rpc.Code.
const (
	codeOK               = 0
	codeCanceled         = 1
	codeDeadlineExceeded = 4
	codeInternal         = 13
	codeUnauthenticated  = 16
)

// EndCall settles the record and tells the observers. Its owner calls it once.
func (s *State) EndCall(end CallEnd) {
	s.settleCall(end)
	s.finish(int(s.nhooks) - 1)
}

func (s *State) settleCall(end CallEnd) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rec := &s.rec
	rec.Duration = time.Since(rec.Start)
	if end.Panic != nil && rec.Panic == nil {
		rec.Panic = end.Panic
	}
	rec.Code = end.Code
	err := s.Err()
	left := err == context.Canceled && context.Cause(s) == context.Canceled
	late := errors.Is(err, context.DeadlineExceeded) || left && s.isLate()
	switch {
	case rec.Panic != nil:
		rec.Outcome, rec.Code = Panicked, codeInternal
	case left && !late:
		rec.Outcome, rec.Code = ClientGone, codeCanceled
	case s.expired || expiredBy(s):
		rec.Outcome = Expired
		if end.Code == codeOK || end.Code == codeCanceled {
			rec.Code = codeUnauthenticated
		}
	case !end.Returned:
		rec.Outcome, rec.Code = Aborted, codeInternal
	case late && (end.Code == codeOK || end.Code == codeCanceled):
		// Its client has given up and was told nothing of the success.
		rec.Outcome, rec.Code = TimedOut, codeDeadlineExceeded
	case end.Code == codeOK:
		rec.Outcome = Complete
		rec.Reason = "" // of an attempt that was not the last
	case end.Code == codeDeadlineExceeded:
		rec.Outcome = TimedOut
	case rec.Stream.Chunks > 0:
		rec.Outcome = ErrorEvent
	}
	rec.Status = StatusOfCode(rec.Code)
	s.done = true
	s.sealed.Store(true)
}

// slack is how much earlier than the server a client may find that a call's deadline
// has passed. It resets the stream then, which is as if it had canceled, and the two
// race: the server's time began when the call arrived.
const slack = 10 * time.Millisecond

// isLate reports whether a call whose record has its duration was canceled for its
// deadline.
func (s *State) isLate() bool {
	deadline, ok := s.Deadline()
	return ok && deadline.Sub(s.rec.Start) < s.rec.Duration+slack
}

// StatusOfCode returns the HTTP status that stands for a gRPC code, by
// google/rpc/code.proto.
func StatusOfCode(code uint32) int {
	switch code {
	case codeOK:
		return http.StatusOK
	case codeCanceled:
		return StatusClientGone
	case 3, 9, 11: // InvalidArgument, FailedPrecondition, OutOfRange
		return http.StatusBadRequest
	case codeDeadlineExceeded:
		return http.StatusGatewayTimeout
	case 5: // NotFound
		return http.StatusNotFound
	case 6, 10: // AlreadyExists, Aborted
		return http.StatusConflict
	case 7: // PermissionDenied
		return http.StatusForbidden
	case codeUnauthenticated:
		return http.StatusUnauthorized
	case 8: // ResourceExhausted
		return http.StatusTooManyRequests
	case 12: // Unimplemented
		return http.StatusNotImplemented
	case 14: // Unavailable
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError // Unknown, Internal, DataLoss, and what there is not
}
