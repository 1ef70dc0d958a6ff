package rpctest

import (
	"context"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

type stream struct{ grpc.ServerStream }

func (stream) Context() context.Context { return context.Background() }

func TestObserver(t *testing.T) {
	o := NewObserver()
	if len(o.Server()) != 2 {
		t.Error("both kinds of calls are to be observed")
	}
	_, _ = o.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a/B"}, func(context.Context, any) (any, error) {
		return nil, status.Error(codes.NotFound, "")
	})
	_ = o.Stream(nil, stream{}, &grpc.StreamServerInfo{FullMethod: "/a/C"}, func(any, grpc.ServerStream) error { return nil })
	if rec := o.Record(t); rec.RPC != "/a/B" || rec.Code != uint32(codes.NotFound) {
		t.Errorf("%+v", rec)
	}
	if rec := o.Record(t); rec.RPC != "/a/C" || rec.Code != 0 {
		t.Errorf("%+v", rec)
	}
	called := false
	_, _ = Nothing{}.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/a/B"}, func(context.Context, any) (any, error) {
		called = true
		return nil, nil
	})
	if !called {
		t.Error("the handler was not called")
	}
}
