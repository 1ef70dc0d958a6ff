// Package rpctest lets tests of gRPC interceptors see what a call's State knows of it.
package rpctest

import (
	"context"
	"testing"
	"time"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
)

// An Observer keeps the records of calls. Make it with [NewObserver].
type Observer struct{ ended chan reqstate.Record }

// NewObserver returns an Observer of up to 64 calls that nobody has asked for.
func NewObserver() *Observer { return &Observer{make(chan reqstate.Record, 64)} }

// BeginCall does nothing.
func (*Observer) BeginCall(*reqstate.State) {}

// Finish keeps the record.
func (o *Observer) Finish(rec *reqstate.Record) { o.ended <- *rec }

// Server returns interceptors that observe what comes after them in both chains.
func (o *Observer) Server() []grpc.ServerOption {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(o.Unary), grpc.ChainStreamInterceptor(o.Stream)}
}

// Unary is a grpc.UnaryServerInterceptor.
func (o *Observer) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return rpcstate.Unary(ctx, req, info.FullMethod, handler, o)
}

// Stream is a grpc.StreamServerInterceptor.
func (o *Observer) Stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	return rpcstate.Stream(srv, stream, info.FullMethod, handler, o)
}

// Record returns the record of the call that ended first of those not yet asked for,
// and waits for it: a client may know of the end before.
func (o *Observer) Record(tb testing.TB) (rec reqstate.Record) {
	tb.Helper()
	select {
	case rec = <-o.ended:
	case <-time.After(10 * time.Second):
		tb.Fatal("no call has ended")
	}
	return rec
}

// Nothing observes calls and keeps nothing of them.
type Nothing struct{}

// BeginCall does nothing.
func (Nothing) BeginCall(*reqstate.State) {}

// Finish does nothing.
func (Nothing) Finish(*reqstate.Record) {}

// Unary is a grpc.UnaryServerInterceptor.
func (n Nothing) Unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	return rpcstate.Unary(ctx, req, info.FullMethod, handler, n)
}
