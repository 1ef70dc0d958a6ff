package healthgrpc

import (
	"context"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/ballast-go/ballast/internal/grpcstatus"
)

const serviceName = "grpc.health.v1.Health"

// desc is the service's description. The generated one has List only in newer
// versions of grpc, so this one is by hand.
func (s *service) desc(list *listMessages) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*any)(nil),
		Methods: []grpc.MethodDesc{
			unary("Check", func() *healthpb.HealthCheckRequest { return new(healthpb.HealthCheckRequest) },
				func(in *healthpb.HealthCheckRequest) (any, error) { return s.check(in) }),
			unary("List", list.request, func(proto.Message) (any, error) { return list.response(s), nil }),
		},
		Streams: []grpc.StreamDesc{{
			StreamName:    "Watch",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				in := new(healthpb.HealthCheckRequest)
				if err := stream.RecvMsg(in); err != nil {
					return err
				}
				return s.watch(in, stream)
			},
		}},
		Metadata: healthpb.File_grpc_health_v1_health_proto.Path(),
	}
}

// unary describes a method as generated code does.
func unary[In any](name string, request func() In, answer func(In) (any, error)) grpc.MethodDesc {
	info := grpc.UnaryServerInfo{FullMethod: "/" + serviceName + "/" + name}
	return grpc.MethodDesc{
		MethodName: name,
		Handler: func(srv any, ctx context.Context, dec func(any) error, intercept grpc.UnaryServerInterceptor) (any, error) {
			in := request()
			if err := dec(in); err != nil {
				return nil, err
			}
			if intercept == nil {
				return answer(in)
			}
			info := info // an interceptor may keep or change its own
			info.Server = srv
			return intercept(ctx, in, &info, func(_ context.Context, in any) (any, error) { return answer(in.(In)) })
		},
	}
}

func (s *service) check(in *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	ask, known := s.known[in.GetService()]
	if !known {
		return nil, status.Error(codes.NotFound, "unknown service")
	}
	return &healthpb.HealthCheckResponse{Status: s.status(ask)}, nil
}

// watch sends the status whenever it has changed, until the client leaves or the
// process drains.
func (s *service) watch(in *healthpb.HealthCheckRequest, stream grpc.ServerStream) error {
	if s.watchers.Add(1) > s.most {
		s.watchers.Add(-1)
		return status.Error(codes.ResourceExhausted, "too many watchers")
	}
	defer s.watchers.Add(-1)
	ask, known := s.known[in.GetService()]
	sent := healthpb.HealthCheckResponse_UNKNOWN
	for range s.health.Changes(stream.Context()) {
		ended := s.draining() // asked before the status, which is the last one then
		is := healthpb.HealthCheckResponse_SERVICE_UNKNOWN
		if known {
			is = s.status(ask)
		}
		if is != sent {
			if err := stream.SendMsg(&healthpb.HealthCheckResponse{Status: is}); err != nil {
				return err
			}
			sent = is
		}
		if ended {
			return draining(stream.Context())
		}
	}
	if err := stream.Context().Err(); err != nil {
		return status.FromContextError(err).Err()
	}
	return draining(stream.Context())
}

func (s *service) draining() bool {
	select {
	case <-s.health.Draining():
		return true
	default:
		return false
	}
}

// draining is what a client is told that has to go elsewhere.
func draining(ctx context.Context) error {
	return grpcstatus.Later(ctx, codes.Unavailable, "The service is shutting down.",
		&errdetails.ErrorInfo{Reason: "DRAINING"}, time.Second)
}
