package retrygrpc

import (
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
)

// finishers are what a caller wants to be called at the end of a call.
type finishers []func(error)

// splitOnFinish takes grpc.OnFinish out of opts: gRPC would call it at the end of
// each attempt.
func splitOnFinish(opts []grpc.CallOption) (others []grpc.CallOption, f finishers) {
	for i, o := range opts {
		if o, ok := o.(grpc.OnFinishCallOption); ok {
			if f == nil {
				others = append(others, opts[:i]...)
			}
			f = append(f, o.OnFinish)
		} else if f != nil {
			others = append(others, opts[i])
		}
	}
	if f == nil {
		return opts, nil
	}
	return others, f
}

func (f finishers) call(err error) {
	for _, finish := range f {
		finish(err)
	}
}

// forget clears what an attempt has told the caller, for the next: gRPC leaves it
// alone if that one does not get as far.
func forget(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = nil
		case grpc.TrailerCallOption:
			*o.TrailerAddr = nil
		case grpc.PeerCallOption:
			*o.PeerAddr = peer.Peer{}
		}
	}
}

// told is what one of several calls at the same time tells.
type told struct {
	header, trailer metadata.MD
	peer            peer.Peer
}

// divert returns opts with what tells the caller something told to t instead, and
// room for one more.
func (t *told) divert(opts []grpc.CallOption) []grpc.CallOption {
	own := make([]grpc.CallOption, len(opts), len(opts)+1)
	for i, o := range opts {
		switch o.(type) {
		case grpc.HeaderCallOption:
			o = grpc.Header(&t.header)
		case grpc.TrailerCallOption:
			o = grpc.Trailer(&t.trailer)
		case grpc.PeerCallOption:
			o = grpc.Peer(&t.peer)
		}
		own[i] = o
	}
	return own
}

// deliver tells the caller what t was told.
func (t *told) deliver(opts []grpc.CallOption) {
	for _, o := range opts {
		switch o := o.(type) {
		case grpc.HeaderCallOption:
			*o.HeaderAddr = t.header
		case grpc.TrailerCallOption:
			*o.TrailerAddr = t.trailer
		case grpc.PeerCallOption:
			*o.PeerAddr = t.peer
		}
	}
}
