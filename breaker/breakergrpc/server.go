package breakergrpc

import (
	"context"
	"strings"

	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// ServerConfig configures the server's interceptors. The zero value is useful.
type ServerConfig struct {
	// Pick returns the breaker of a call, in place of the interceptor's: one of
	// a [breaker.Group] by method or model, say. nil lets the call through
	// unjudged. fullMethod is like "/package.Service/Method". A nil Pick gives
	// every call the interceptor's, but grpc.health.v1.Health none: probes that
	// are shed have a server restarted, and their success says little.
	Pick func(ctx context.Context, fullMethod string) *breaker.Breaker

	// Judge says what the error of a call says of the handlers' health, in place
	// of its code. It is not asked for calls without an error, for those whose
	// client left, nor for those that were turned away further in. One that
	// panics counts as Failure, and the panic goes on.
	Judge func(ctx context.Context, fullMethod string, err error) breaker.Outcome

	// Deny is told of each call that is not let through, why, and with the error
	// that says so only in here. What it returns is the call's error in place of
	// Status(ctx, err)'s; nil, or a status of OK, leaves it at that.
	Deny func(ctx context.Context, fullMethod string, err error) error

	_ struct{}
}

// UnaryServerInterceptor turns calls away while b is open, and tells it how the
// others end. The package comment says what counts as what.
//
// It panics if both b and cfg.Pick are nil. Streams need
// [StreamServerInterceptor].
func UnaryServerInterceptor(b *breaker.Breaker, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", b, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		b := s.cfg.Pick(ctx, info.FullMethod)
		if b == nil {
			return handler(ctx, req)
		}
		p, err := b.Allow()
		if err != nil {
			return nil, s.deny(ctx, info.FullMethod, err)
		}
		outcome := breaker.Failure // of a panic, here or in Judge, or Goexit
		defer func() { p.Done(outcome) }()
		resp, err := handler(ctx, req)
		outcome = s.judge.onServer(ctx, info.FullMethod, err)
		return resp, err
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streams. A permit
// lasts for as long as the handler runs, and the answer begins when its first
// message is sent.
//
// It panics if both b and cfg.Pick are nil.
func StreamServerInterceptor(b *breaker.Breaker, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", b, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx := stream.Context()
		b := s.cfg.Pick(ctx, info.FullMethod)
		if b == nil {
			return handler(srv, stream)
		}
		judged := &serverStream{ServerStream: stream}
		if err := judged.allow(b, info.IsClientStream); err != nil {
			return s.deny(ctx, info.FullMethod, err)
		}
		outcome := breaker.Failure
		defer func() { judged.end(outcome) }()
		err := handler(srv, judged)
		outcome = s.judge.onServer(ctx, info.FullMethod, err)
		return err
	}
}

// server is what both interceptors are made of.
type server struct {
	cfg   ServerConfig
	judge judge
}

func newServer(of string, b *breaker.Breaker, cfg ServerConfig) *server {
	if cfg.Pick == nil {
		if b == nil {
			panic("breakergrpc: " + of + " of a nil *Breaker, without ServerConfig.Pick")
		}
		cfg.Pick = func(_ context.Context, fullMethod string) *breaker.Breaker {
			if isHealth(fullMethod) {
				return nil
			}
			return b
		}
	}
	if cfg.Judge == nil {
		cfg.Judge = byCode
	}
	return &server{cfg, cfg.Judge}
}

func isHealth(fullMethod string) bool {
	return strings.HasPrefix(fullMethod, "/grpc.health.v1.Health/")
}

// deny is what the client gets.
func (s *server) deny(ctx context.Context, fullMethod string, err error) error {
	if state := reqstate.FromContext(ctx); state.IsCall() {
		state.SetRefused()
	}
	if s.cfg.Deny != nil {
		if own := s.cfg.Deny(ctx, fullMethod, err); grpcstatus.IsFailure(own) {
			return &refusal{own}
		}
	}
	return &refusal{Status(ctx, err)}
}
