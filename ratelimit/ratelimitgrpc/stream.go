package ratelimitgrpc

import (
	"sync"
	"time"

	"google.golang.org/grpc"
)

func (s *server) perMessage(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	charged := &chargedStream{ServerStream: stream, server: s, fullMethod: info.FullMethod}
	err := handler(srv, charged)
	// A handler may take a failed receive for the end of the stream, and its
	// nil would tell the client that all had been read.
	if denied := charged.ended(); denied != nil {
		return denied
	}
	return err
}

// chargedStream asks for each message. gRPC allows one goroutine to receive
// while another one sends, and so does it.
type chargedStream struct {
	grpc.ServerStream
	server     *server
	fullMethod string

	mu     sync.Mutex
	denied error // what ended the stream
}

func (s *chargedStream) RecvMsg(m any) error {
	if err := s.ended(); err != nil {
		return err
	}
	if err := s.ServerStream.RecvMsg(m); err != nil || !s.server.cfg.PerReceived {
		return err
	}
	return s.charge(m)
}

func (s *chargedStream) SendMsg(m any) error {
	if err := s.ended(); err != nil {
		return err
	}
	if s.server.cfg.PerSent {
		if err := s.charge(m); err != nil {
			return err
		}
	}
	return s.ServerStream.SendMsg(m)
}

func (s *chargedStream) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.denied
}

// charge asks without holding the lock: an answer that takes its time must not
// hold up the other direction.
func (s *chargedStream) charge(m any) error {
	ctx := s.Context()
	_, err := s.server.ask(ctx, s.fullMethod, m, time.Time{})
	if err == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.denied == nil { // once, because of the trailer
		s.denied = s.server.deny(ctx, s.fullMethod, err)
	}
	return s.denied
}
