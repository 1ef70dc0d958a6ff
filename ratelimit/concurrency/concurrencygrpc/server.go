package concurrencygrpc

import (
	"context"
	"fmt"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// ServerConfig configures the server's interceptors. The zero value is useful.
type ServerConfig struct {
	// MetadataKey is the metadata that holds a call's class, as
	// [concurrency.ParseCriticality] reads it; what it does not know counts as
	// none. "" means "criticality". A call without it has the class of its
	// context. Handlers find the class in theirs.
	MetadataKey string

	// Trusted reports whether the peer that sent a call may raise its class
	// above its context's. Anybody may lower it. nil trusts nobody; see
	// [FromPrefixes].
	Trusted func(ctx context.Context) bool

	// Bytes is how much memory a call holds, for [concurrency.Config] MaxBytes:
	// proto.Size of its request, say, or more. req is nil for a stream. Below 0
	// counts as 0; nil counts nothing.
	Bytes func(ctx context.Context, fullMethod string, req any) int64

	// Skip reports whether a call needs no permit. nil skips
	// grpc.health.v1.Health: a busy server that fails its probes is restarted,
	// and a Watch would hold a permit for ever. A function of your own decides
	// that, too.
	Skip func(ctx context.Context, fullMethod string) bool

	// WriteTimeout is how long a stream's client may take to make room for the
	// next message. After that the permit is free, the handler's context ends,
	// and the stream fails with DeadlineExceeded; but the hanging SendMsg
	// returns only when the client reads on, or the connection ends: gRPC has
	// no way to end it before, so bound those with keepalive.ServerParameters
	// MaxConnectionAge and MaxConnectionAgeGrace. 0 means for ever.
	WriteTimeout time.Duration

	// Deny is told of each call that gets no permit, why, and with the error
	// that says so only in here. What it returns is the call's error in place
	// of Status(ctx, err)'s; nil, or a status of OK, leaves it at that.
	Deny func(ctx context.Context, fullMethod string, err error) error

	_ struct{}
}

// UnaryServerInterceptor gives each call a permit of l's, or turns it away. The
// permit is released when the handler is left, by return, panic or
// runtime.Goexit, which go on.
//
// A call's latency, for an adaptive limit, is the handler's. Unavailable and
// DeadlineExceeded, and calls whose deadline has passed, count as overload;
// other errors, panics, calls that the client canceled and those that another
// limiter's interceptor further in turned away do not count at all.
//
// It panics if l is nil or cfg has a negative number. Streams need
// [StreamServerInterceptor].
func UnaryServerInterceptor(l *concurrency.Limiter, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", l, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if s.cfg.Skip(ctx, info.FullMethod) {
			return handler(ctx, req)
		}
		ctx = s.classify(ctx)
		p, err := s.admit(ctx, info.FullMethod, req)
		if err != nil {
			return nil, s.deny(ctx, info.FullMethod, err)
		}
		returned := false
		defer func() {
			if !returned { // but left by panic or Goexit
				p.Ignore()
			}
			p.Release()
		}()
		resp, err := handler(ctx, req)
		returned = true
		judge(p, ctx.Err(), err)
		return resp, err
	}
}

// StreamServerInterceptor is [UnaryServerInterceptor] for streams. A permit is
// held for as long as the handler runs. With WriteTimeout a client that stops
// reading cannot keep it.
//
// The latency is the time until the first message of the answer is sent. The
// streams of methods whose clients stream, too, do not count, except as
// overload: how long they take is up to the client.
func StreamServerInterceptor(l *concurrency.Limiter, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", l, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if s.cfg.Skip(stream.Context(), info.FullMethod) {
			return handler(srv, stream)
		}
		ctx := s.classify(stream.Context())
		p, err := s.admit(ctx, info.FullMethod, nil)
		if err != nil {
			return s.deny(ctx, info.FullMethod, err)
		}
		return s.serveStream(srv, &serverStream{ServerStream: stream, ctx: ctx, permit: p}, info.IsClientStream, handler)
	}
}

// server is what both interceptors are made of.
type server struct {
	limiter *concurrency.Limiter
	cfg     ServerConfig
}

func newServer(of string, l *concurrency.Limiter, cfg ServerConfig) *server {
	if l == nil {
		panic("concurrencygrpc: " + of + " of a nil *Limiter")
	}
	if cfg.WriteTimeout < 0 {
		panic(fmt.Sprintf("concurrencygrpc: %s with a negative WriteTimeout, %v", of, cfg.WriteTimeout))
	}
	if cfg.MetadataKey == "" {
		cfg.MetadataKey = defaultKey
	}
	cfg.MetadataKey = strings.ToLower(cfg.MetadataKey) // as gRPC spells what it receives
	if cfg.Skip == nil {
		cfg.Skip = isHealth
	}
	return &server{l, cfg}
}

func isHealth(_ context.Context, fullMethod string) bool {
	return strings.HasPrefix(fullMethod, "/grpc.health.v1.Health/")
}

// admit gets a call its permit.
func (s *server) admit(ctx context.Context, fullMethod string, req any) (*concurrency.Permit, error) {
	if s.cfg.Bytes == nil {
		return s.limiter.Acquire(ctx)
	}
	return s.limiter.AcquireBytes(ctx, max(0, s.cfg.Bytes(ctx, fullMethod, req)))
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

// A refusal is the error of a call that was turned away, to everybody like the
// one inside, but to [judge].
type refusal struct{ error }

func (r *refusal) Unwrap() error { return r.error }

func (r *refusal) GRPCStatus() *status.Status {
	if st, ok := status.FromError(r.error); ok {
		return st
	}
	return status.FromContextError(r.error)
}
