package rpcstate

import (
	"context"
	"errors"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// broken is a stream whose header never comes.
type broken struct{ grpc.ClientStream }

var errBroken = errors.New("broken")

func (broken) Header() (metadata.MD, error) { return nil, errBroken }
func (broken) SendMsg(any) error            { return errBroken }

// A stream that is known to have failed is over once, though nobody receives.
func TestWatchEndsWithoutReceiving(t *testing.T) {
	for _, fail := range []func(grpc.ClientStream) error{
		func(s grpc.ClientStream) error { _, err := s.Header(); return err },
		func(s grpc.ClientStream) error { return s.SendMsg(nil) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		ended := 0
		s := Watch(ctx, broken{}, &grpc.StreamDesc{ServerStreams: true}, func(err error, sent, received int64) {
			if ended++; err != errBroken || sent+received != 0 {
				t.Errorf("%v %d %d", err, sent, received)
			}
		})
		if err := fail(s); err != errBroken {
			t.Error(err)
		}
		if s.(*watched).stop() {
			t.Error("its hook stays with the context")
		}
		_ = fail(s)
		cancel()
		if ended != 1 {
			t.Errorf("%d ends", ended)
		}
	}
}
