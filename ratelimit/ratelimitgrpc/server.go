package ratelimitgrpc

import (
	"context"
	"net/http"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/ratelimit"
)

// ServerConfig configures the server's interceptors.
type ServerConfig struct {
	// Key says whose limit a call counts against, such as the subject that
	// authentication put into ctx, or [ByPeerIP]. fullMethod is like
	// "/package.Service/Method". Required.
	Key func(ctx context.Context, fullMethod string) string

	// Cost is how much of the limit a call takes. req is its request; at the
	// start of a stream it is nil, and the message when messages are charged. 0
	// exempts it from the limit, which health checks should be; below 0 it is
	// refused as Internal. nil counts 1 each.
	Cost func(ctx context.Context, fullMethod string, req any) int

	// PerReceived charges each message that a stream receives, and PerSent
	// each that it sends, instead of the stream once at its start. A message
	// is charged when it has arrived, or before it is sent. The first that is
	// denied ends the stream: it does not get through, whatever the handler
	// receives or sends from then on fails the same, and so does the call,
	// whatever the handler returns. Streams that cost nothing to open want a
	// limit of their number: package concurrencygrpc, or MaxConcurrentStreams.
	PerReceived, PerSent bool

	// Headers adds the metadata ratelimit and ratelimit-policy, the fields of
	// the same name over HTTP, to each response that is charged before it
	// starts. It costs some allocations a call, because of how gRPC keeps
	// metadata.
	Headers bool

	// Deny is told of each call that is not let through, why, and with the
	// error that says so only in here. What it returns is the call's error in
	// place of Status(ctx, err)'s; nil, or a status of OK, leaves it at that.
	Deny func(ctx context.Context, fullMethod string, err error) error

	_ struct{}
}

// UnaryServerInterceptor charges each call to l before its handler is called,
// and turns it away with [Status] if that is denied. A limiter that fails says
// by its Decision whether the call is served all the same.
//
// It panics if l or cfg.Key is nil. Streams need [StreamServerInterceptor].
func UnaryServerInterceptor(l ratelimit.Limiter, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", l, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		d, err := s.ask(ctx, info.FullMethod, req, reqstate.FromContext(ctx).Start())
		if s.cfg.Headers {
			// Without a stream in ctx nobody waits for a header.
			_ = grpc.SetHeader(ctx, header(d))
		}
		if err != nil {
			return nil, s.deny(ctx, info.FullMethod, err)
		}
		return handler(ctx, req)
	}
}

// StreamServerInterceptor charges each stream to l before its handler is
// called, or each message of it if cfg says so, and ends it with [Status] if
// that is denied. With the same l and Key as [UnaryServerInterceptor], calls of
// both kinds count against one limit.
//
// It panics if l or cfg.Key is nil.
func StreamServerInterceptor(l ratelimit.Limiter, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", l, cfg)
	if cfg.PerReceived || cfg.PerSent {
		return s.perMessage
	}
	return s.perStream
}

// server is what both interceptors are made of.
type server struct {
	limiter ratelimit.Limiter
	keyed   *ratelimit.Keyed // limiter, if it is one
	cfg     ServerConfig
}

func newServer(of string, l ratelimit.Limiter, cfg ServerConfig) *server {
	if l == nil {
		panic("ratelimitgrpc: " + of + " of a nil Limiter")
	}
	if cfg.Key == nil {
		panic("ratelimitgrpc: " + of + " without ServerConfig.Key")
	}
	keyed, _ := l.(*ratelimit.Keyed)
	return &server{l, keyed, cfg}
}

// ask returns why a call or message is not to be let through, or nil. at is when the
// call began, if that is known and is about now: a Keyed is spared the clock then.
func (s *server) ask(ctx context.Context, fullMethod string, req any, at time.Time) (d ratelimit.Decision, err error) {
	n := 1
	if s.cfg.Cost != nil {
		n = s.cfg.Cost(ctx, fullMethod, req)
	}
	key := s.cfg.Key(ctx, fullMethod)
	if s.keyed != nil && n >= 0 && !at.IsZero() {
		d = s.keyed.AllowAt(at, key, n)
	} else {
		d, err = s.limiter.AllowN(ctx, key, n)
	}
	switch {
	case d.OK: // also when the limiter failed, and its policy is to fail open
		return d, nil
	case err == nil:
		err = &ratelimit.LimitedError{Decision: d}
	}
	return d, err
}

// deny is what the client gets.
func (s *server) deny(ctx context.Context, fullMethod string, err error) error {
	if s.cfg.Deny != nil {
		if own := s.cfg.Deny(ctx, fullMethod, err); grpcstatus.IsFailure(own) {
			return own
		}
	}
	return Status(ctx, err)
}

func (s *server) perStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	ctx := stream.Context()
	d, err := s.ask(ctx, info.FullMethod, nil, reqstate.FromContext(ctx).Start())
	if s.cfg.Headers {
		_ = stream.SetHeader(header(d)) // it has none yet, unless somebody outside sent it already
	}
	if err != nil {
		return s.deny(ctx, info.FullMethod, err)
	}
	return handler(srv, stream)
}

// header is d as HTTP says it, in gRPC's lower case.
func header(d ratelimit.Decision) metadata.MD {
	fields := make(http.Header, 2)
	d.SetHeaders(fields)
	md := make(metadata.MD, len(fields))
	for name, values := range fields {
		md[strings.ToLower(name)] = values
	}
	return md
}
