// Package rpcstate is for Ballast's gRPC interceptors what reqstate.Serve is for
// its HTTP middlewares: the first in a chain makes a call's [reqstate.State], which
// is the call's context, and the others join it. Package reqstate says what becomes
// of it. It is what the cores, which know no transport, look for in a context.
//
// The outcome of a call is that of its status: Complete for OK, TimedOut for
// DeadlineExceeded, ClientGone, whatever was returned, if the client canceled
// first, Panicked, Aborted for runtime.Goexit, and ErrorEvent for a stream that
// fails after its first message.
package rpcstate

import (
	"context"
	"net"
	"net/netip"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// An Observer is a telemetry interceptor's part in a call: one long-lived value
// for all its calls.
type Observer interface {
	// BeginCall is called before the next handler, with the State as the call's
	// context.
	BeginCall(s *reqstate.State)
	reqstate.Finisher
}

// Unary runs handler as part of the call's State, which it makes if there is none.
// o.Finish is called once however handler ends. A panic goes on.
func Unary(ctx context.Context, req any, fullMethod string, handler grpc.UnaryHandler, o Observer) (resp any, err error) {
	if s := stateOf(ctx, fullMethod); s != nil && s.JoinCall(o, o.BeginCall) {
		defer observe(s)
		return handler(ctx, req)
	}
	s := begin(ctx, fullMethod)
	returned := false
	defer func() {
		v := recover()
		end(s, returned, err, v)
	}()
	s.JoinCall(o, o.BeginCall)
	resp, err = handler(s, req)
	returned = true
	return resp, err
}

// Stream does for streams what Unary does for other calls.
func Stream(srv any, stream grpc.ServerStream, fullMethod string, handler grpc.StreamHandler, o Observer) (err error) {
	ctx := stream.Context()
	if s := stateOf(ctx, fullMethod); s != nil && s.JoinCall(o, o.BeginCall) {
		defer observe(s)
		return handler(srv, stream)
	}
	s := begin(ctx, fullMethod)
	returned := false
	defer func() {
		v := recover()
		end(s, returned, err, v)
	}()
	s.JoinCall(o, o.BeginCall)
	err = handler(srv, &counted{stream, s})
	returned = true
	return err
}

// GuardUnary is Unary without an Observer that turns a panic into the error that
// handle returns. runtime.Goexit passes. handle gets an observer's panic, too; then
// the answer stands.
func GuardUnary(ctx context.Context, req any, fullMethod string, handler grpc.UnaryHandler, handle Handle) (resp any, err error) {
	g := guard{handle: handle}
	ctx = g.enter(ctx, fullMethod)
	defer func() {
		if v := recover(); v != nil {
			resp, err = nil, g.panicked(v)
		}
		g.leave(err)
	}()
	resp, err = handler(ctx, req)
	g.returned = true
	return resp, err
}

// GuardStream does for streams what GuardUnary does for other calls.
func GuardStream(srv any, stream grpc.ServerStream, fullMethod string, handler grpc.StreamHandler, handle Handle) (err error) {
	g := guard{handle: handle}
	if g.enter(stream.Context(), fullMethod); g.owner {
		stream = &counted{stream, g.s}
	}
	defer func() {
		if v := recover(); v != nil {
			err = g.panicked(v)
		}
		g.leave(err)
	}()
	err = handler(srv, stream)
	g.returned = true
	return err
}

// A Handle makes an error of what a call's handler panicked with. It is called while
// the panic is still on the stack.
type Handle func(ctx context.Context, v any) error

type guard struct {
	handle          Handle
	s               *reqstate.State
	owner, returned bool
}

// enter returns the context to go on with.
func (g *guard) enter(ctx context.Context, fullMethod string) context.Context {
	if g.s = stateOf(ctx, fullMethod); g.s != nil {
		return ctx
	}
	g.s, g.owner = begin(ctx, fullMethod), true
	return g.s
}

func (g *guard) panicked(v any) error {
	g.s.Panicked(v)
	g.returned = true
	return g.handle(g.s, v)
}

func (g *guard) leave(err error) {
	if !g.owner {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			_ = g.handle(g.s, v)
		}
	}()
	g.s.EndCall(reqstate.CallEnd{Returned: g.returned, Code: Code(err)})
}

// observe tells s of a panic that passes: one further out may swallow it.
func observe(s *reqstate.State) {
	if v := recover(); v != nil {
		s.Panicked(v)
		panic(v) // its stack is still there: this runs on top of it
	}
}

func end(s *reqstate.State, returned bool, err error, v any) {
	s.EndCall(reqstate.CallEnd{Returned: returned, Code: Code(err), Panic: v})
	if v != nil {
		panic(v)
	}
}

// stateOf returns the State of the call, or nil. That of another method is of a call
// whose handler makes this one in the same process.
func stateOf(ctx context.Context, fullMethod string) *reqstate.State {
	if s := reqstate.FromContext(ctx); s.IsCall() && s.FullMethod() == fullMethod {
		return s
	}
	return nil
}

func begin(ctx context.Context, fullMethod string) *reqstate.State {
	remote, agent := "", ""
	if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
		remote = textOf(p.Addr)
	}
	if v := metadata.ValueFromIncomingContext(ctx, "user-agent"); len(v) > 0 {
		agent = v[0]
	}
	return reqstate.NewCall(ctx, fullMethod, remote, agent)
}

// textOf is addr.String(), in one allocation instead of three where it is TCP's.
func textOf(addr net.Addr) string {
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp != nil {
		if ap := tcp.AddrPort(); ap.IsValid() {
			return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port()).String()
		}
	}
	return addr.String()
}

// Code is what grpc-go sends for a handler's error.
func Code(err error) (code uint32) {
	if err == nil {
		return 0
	}
	if st, ok := status.FromError(err); ok {
		return uint32(st.Code())
	}
	return uint32(status.FromContextError(err).Code())
}

// counted is a stream whose messages are counted.
type counted struct {
	grpc.ServerStream
	s *reqstate.State
}

func (c *counted) Context() context.Context { return c.s }

func (c *counted) RecvMsg(m any) error {
	err := c.ServerStream.RecvMsg(m)
	if err == nil {
		c.s.Received()
	}
	return err
}

func (c *counted) SendMsg(m any) error {
	err := c.ServerStream.SendMsg(m)
	if err == nil {
		c.s.Sent()
	}
	return err
}
