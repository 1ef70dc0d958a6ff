package rpcstate

import (
	"context"
	"io"
	"sync/atomic"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

// Watch returns a client's stream that calls end once, when it is over: when RecvMsg
// has returned an error, of which io.EOF is nil here, or the only message of a stream
// whose server sends one, when SendMsg, but for io.EOF, or Header has failed, or when
// ctx, which the stream was made with, is done. sent and received are messages.
func Watch(ctx context.Context, stream grpc.ClientStream, desc *grpc.StreamDesc, end func(err error, sent, received int64)) grpc.ClientStream {
	w := &watched{ClientStream: stream, one: !desc.ServerStreams, end: end}
	// Not stream.Context(), which ends with the stream, before RecvMsg says how.
	w.stop = context.AfterFunc(ctx, func() { w.tell(ctx.Err()) })
	return w
}

type watched struct {
	grpc.ClientStream
	one            bool
	end            func(err error, sent, received int64)
	sent, received atomic.Int64
	done           atomic.Bool
	stop           func() bool
}

func (w *watched) SendMsg(m any) error {
	err := w.ClientStream.SendMsg(m)
	switch err {
	case nil:
		w.sent.Add(1)
	case io.EOF: // RecvMsg tells why
	default: // a message that is none ends the stream, and nobody need look at it again
		w.over(err)
	}
	return err
}

func (w *watched) Header() (metadata.MD, error) {
	md, err := w.ClientStream.Header()
	if err != nil {
		w.over(err)
	}
	return md, err
}

func (w *watched) RecvMsg(m any) error {
	err := w.ClientStream.RecvMsg(m)
	if err == nil {
		w.received.Add(1)
	}
	if err != nil || w.one {
		w.over(err)
	}
	return err
}

func (w *watched) over(err error) {
	w.stop()
	w.tell(err)
}

func (w *watched) tell(err error) {
	if w.done.Swap(true) {
		return
	}
	if err == io.EOF {
		err = nil
	}
	w.end(err, w.sent.Load(), w.received.Load())
}
