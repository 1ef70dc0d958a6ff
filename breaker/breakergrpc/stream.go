package breakergrpc

import (
	"sync/atomic"
	"time"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/breaker"
)

// An answer is what a breaker is told of a stream: that it begins, and how it
// ends.
type answer struct {
	breaker  *breaker.Breaker
	permit   *breaker.Permit
	dialogue bool         // the client streams, too
	opened   time.Time    // of a dialogue
	waited   atomic.Int64 // nanoseconds from opened to the client's last message
	begun    atomic.Bool
}

// allow gets the stream its permit.
func (a *answer) allow(b *breaker.Breaker, dialogue bool) (err error) {
	a.breaker = b
	if dialogue {
		a.dialogue, a.opened = true, time.Now()
		a.permit, err = b.AllowAt(a.opened)
	} else {
		a.permit, err = b.Allow()
	}
	return err
}

// asked notes a message of the client's, sent or received. How long it took the
// client is not the service's time.
func (a *answer) asked() {
	if a.dialogue && !a.begun.Load() {
		a.waited.Store(int64(time.Since(a.opened)))
	}
}

// begin notes a message of the service's. Only the first matters.
func (a *answer) begin() {
	if a.begun.Load() || !a.begun.CompareAndSwap(false, true) {
		return
	}
	waited := time.Duration(a.waited.Load())
	// A breaker that tries whether things are better has its steps by the times
	// that it is told: they must not go back.
	if waited < time.Millisecond || a.breaker.State() != breaker.Closed {
		a.permit.FirstByte()
		return
	}
	a.permit.FirstByteAt(time.Now().Add(-waited))
}

// end reports the outcome. Calls after the first do nothing.
func (a *answer) end(o breaker.Outcome) {
	if o == breaker.Success {
		a.begin() // the end is all the answer there was
	}
	a.permit.Done(o)
}

// serverStream knows when the answer begins.
type serverStream struct {
	grpc.ServerStream
	answer
}

func (s *serverStream) RecvMsg(m any) error {
	err := s.ServerStream.RecvMsg(m)
	s.asked() // io.EOF is the client's word, too
	return err
}

func (s *serverStream) SendMsg(m any) error {
	s.begin() // not after: a client that reads slowly would make the service slow
	return s.ServerStream.SendMsg(m)
}
