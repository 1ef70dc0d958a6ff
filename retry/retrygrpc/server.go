package retrygrpc

import (
	"context"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/ballast-go/ballast/retry"
)

// previousAttempts is the metadata of gRFC A6: how many attempts there were
// before.
const previousAttempts = "grpc-previous-rpc-attempts"

// maxPrevious is the most that is believed, and added up.
const maxPrevious = 1000

// ServerConfig configures the server's interceptors. There is nothing to
// configure yet.
type ServerConfig struct{ _ struct{} }

// UnaryServerInterceptor tells handlers, through [retry.Attempt], which attempt
// of its caller a call is, and so the Retriers that they use not to multiply it.
// Whoever lies about it loses retries, and nothing else.
func UnaryServerInterceptor(ServerConfig) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return handler(incoming(ctx), req)
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streams.
func StreamServerInterceptor(ServerConfig) grpc.StreamServerInterceptor {
	return func(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx := stream.Context()
		if with := incoming(ctx); with != ctx {
			stream = &attemptStream{stream, with}
		}
		return handler(srv, stream)
	}
}

// attemptStream has the attempt in its context.
type attemptStream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s *attemptStream) Context() context.Context { return s.ctx }

// incoming is ctx with the attempt of its metadata, if it is not the first.
func incoming(ctx context.Context) context.Context {
	previous := 0
	// Twice if gRPC itself repeated one of our attempts: then both count.
	for _, value := range metadata.ValueFromIncomingContext(ctx, previousAttempts) {
		previous = min(maxPrevious, previous+parsePrevious(value))
	}
	if previous == 0 {
		return ctx
	}
	return retry.ContextWithAttempt(ctx, 1+previous)
}

// parsePrevious is 0 for what is no number above it.
func parsePrevious(value string) int {
	n, err := strconv.ParseUint(value, 10, 31)
	if err != nil {
		return 0
	}
	return int(min(n, maxPrevious))
}

// formatAttempt words the n-th attempt, from 1 on.
func formatAttempt(n int) string { return strconv.Itoa(n - 1) }
