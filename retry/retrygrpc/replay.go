package retrygrpc

import (
	"io"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/protoadapt"
)

// A replay is what a caller has sent so far.
type replay struct {
	msgs   []any
	size   int // in bytes
	closed bool
}

// send sends it on another attempt. That it fails is seen where the answer is
// received.
func (r *replay) send(a grpc.ClientStream) {
	for _, m := range r.msgs {
		if a.SendMsg(m) != nil {
			return
		}
	}
	if r.closed {
		_ = a.CloseSend()
	}
}

// frameHeader is what gRPC puts before each message.
const frameHeader = 5

// sizeOf is how many bytes a message is, if it is a protocol buffer.
func sizeOf(m any) (n int, ok bool) {
	switch m := m.(type) {
	case proto.Message:
		return proto.Size(m), true
	case protoadapt.MessageV1:
		return proto.Size(protoadapt.MessageV2Of(m)), true
	}
	return 0, false
}

// keep keeps m for later attempts, if there may be any and it is not too much. It
// returns the attempt that m is to be sent on, or nil if there is none now.
func (s *stream) keep(m any) (a *attempt, kept bool) {
	if s.committed.Load() {
		return s.latest(), false
	}
	size, measured := sizeOf(m)
	size += frameHeader // so that many empty ones are something, too
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.committed.Load():
		return s.attempt, false
	case s.desc.ClientStreams && (!measured || size > s.client.cfg.MaxBuffer-s.kept.size):
		s.committed.Store(true)
		s.kept = replay{}
		return s.attempt, false
	}
	s.kept.msgs = append(s.kept.msgs, m)
	s.kept.size += size
	return s.attempt, true
}

func (s *stream) SendMsg(m any) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	a, kept := s.keep(m)
	err := io.EOF
	if a != nil {
		err = a.SendMsg(m)
	}
	switch {
	case err != io.EOF:
		if err != nil { // the message's own fault
			s.commit()
			s.over(a, err)
		}
		return err
	case kept || !s.desc.ClientStreams: // whose callers expect none, as gRPC knows
		return nil
	}
	return io.EOF
}

func (s *stream) CloseSend() error {
	s.sending.Lock()
	defer s.sending.Unlock()
	s.mu.Lock()
	s.kept.closed = true
	a := s.attempt
	s.mu.Unlock()
	if a == nil {
		return nil
	}
	return a.CloseSend()
}
