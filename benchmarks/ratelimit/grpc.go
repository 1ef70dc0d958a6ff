package limitbench

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

const (
	tableGRPC       = "grpc"
	grpcHeaders     = "ballast, with headers"
	noInterceptor   = "no interceptor"
	grpcFullMethod  = "/models.v1.Models/Complete"
	grpcMetadataKey = "x-api-key"
)

func grpcTable() Table {
	return Table{
		Name: tableGRPC, Title: "gRPC: unary server interceptor, one API key", Workers: 1, Batch: 64,
		Contenders: []Contender{
			{Name: noInterceptor, Note: "part of every line", Open: func() (Op, func(), error) {
				return callUnary(func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
					return next(ctx, req)
				})
			}},
			{Name: Ours, Open: func() (Op, func(), error) { return openGRPC(false) }},
			{Name: grpcHeaders, Open: func() (Op, func(), error) { return openGRPC(true) }},
		},
	}
}

func openGRPC(headers bool) (Op, func(), error) {
	l, err := newBallast(1)
	if err != nil {
		return nil, nil, err
	}
	return callUnary(ratelimitgrpc.UnaryServerInterceptor(l, ratelimitgrpc.ServerConfig{
		Headers: headers,
		Key: func(ctx context.Context, _ string) string {
			values := metadata.ValueFromIncomingContext(ctx, grpcMetadataKey)
			if len(values) == 0 {
				return ""
			}
			return values[0]
		},
	}))
}

// transport is the stream of a call, which takes its headers.
type transport struct{ header metadata.MD }

func (t *transport) Method() string                  { return grpcFullMethod }
func (t *transport) SetHeader(md metadata.MD) error  { t.header = md; return nil }
func (t *transport) SendHeader(md metadata.MD) error { t.header = md; return nil }
func (t *transport) SetTrailer(metadata.MD) error    { return nil }

// callUnary makes a call again and again, as a server does that has read it.
func callUnary(interceptor grpc.UnaryServerInterceptor) (Op, func(), error) {
	ctx := metadata.NewIncomingContext(context.Background(), metadata.Pairs(grpcMetadataKey, "tenant-0000001"))
	ctx = grpc.NewContextWithServerTransportStream(ctx, &transport{})
	info := &grpc.UnaryServerInfo{FullMethod: grpcFullMethod}
	served := 0
	handler := func(context.Context, any) (any, error) { served++; return nil, nil }
	return func(_, n int) error {
		before := served
		for range n {
			if _, err := interceptor(ctx, nil, info, handler); err != nil {
				return err
			}
		}
		if served != before+n {
			return errDenied
		}
		return nil
	}, nil, nil
}
