package logginggrpc

import (
	"context"
	"log/slog"
	"maps"
	"runtime/debug"
	"strings"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/logging"
)

// ServerConfig configures UnaryServerInterceptor and StreamServerInterceptor. The
// zero value is useful.
type ServerConfig struct {
	// RequestIDMetadata is the key of the metadata in which a call may bring its
	// request's id; "" means x-request-id.
	RequestIDMetadata string
	// TrustRequestID reports whether the id that a call brings may be used: return
	// true for your own proxies only, for who names the id can forge your logs. It is
	// used if it has 1 to 64 letters, digits, dots, hyphens and underscores, else
	// replaced. nil trusts nobody.
	TrustRequestID func(ctx context.Context, fullMethod string) bool
	// AnswerRequestID sends the id in the header of the answer, too, which costs
	// some six allocations a call.
	AnswerRequestID bool

	// Levels are those of the records of methods, by their full name, such as
	// "/grpc.health.v1.Health/Check": slog.LevelDebug. Other methods have
	// slog.LevelInfo. A call that failed has WARN or ERROR at least.
	Levels map[string]slog.Level
	// Sample says which records of calls that went well are written; nil means all.
	Sample *logging.Sample

	_ struct{}
}

// UnaryServerInterceptor gives each call an id and writes one record when it is
// over, however it ends. It changes neither the answer nor a panic. It panics if l
// is nil or cfg is wrong.
func UnaryServerInterceptor(l *logging.Logger, cfg ServerConfig) grpc.UnaryServerInterceptor {
	o := newObserver("UnaryServerInterceptor", l, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		return rpcstate.Unary(ctx, req, info.FullMethod, handler, o)
	}
}

// StreamServerInterceptor does for streams what UnaryServerInterceptor does for
// other calls: one record when the stream is over.
func StreamServerInterceptor(l *logging.Logger, cfg ServerConfig) grpc.StreamServerInterceptor {
	o := newObserver("StreamServerInterceptor", l, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		return rpcstate.Stream(srv, stream, info.FullMethod, handler, o)
	}
}

// An observer is one interceptor's part in its calls.
type observer struct {
	logger *logging.Logger
	cfg    ServerConfig
}

func newObserver(of string, l *logging.Logger, cfg ServerConfig) *observer {
	if l == nil {
		panic("logginggrpc: " + of + ": the Logger is nil")
	}
	if cfg.RequestIDMetadata == "" {
		cfg.RequestIDMetadata = "x-request-id"
	}
	key := strings.ToLower(cfg.RequestIDMetadata)
	if !logging.IsRequestID(key) || strings.HasPrefix(key, "grpc-") || strings.HasSuffix(key, "-bin") {
		panic("logginggrpc: " + of + ": ServerConfig.RequestIDMetadata is no key of text metadata")
	}
	if err := cfg.Sample.Validate(); err != nil {
		panic("logginggrpc: " + of + ": " + err.Error())
	}
	cfg.RequestIDMetadata, cfg.Levels = key, maps.Clone(cfg.Levels)
	if cfg.Sample != nil {
		sample := *cfg.Sample
		cfg.Sample = &sample
	}
	return &observer{l, cfg}
}

// BeginCall implements rpcstate.Observer.
func (o *observer) BeginCall(s *reqstate.State) {
	id, _, _ := s.IDs()
	if id == "" { // else another Logger outside named it
		id = o.requestID(s)
		s.SetRequestID(id)
	}
	if o.cfg.AnswerRequestID {
		// It fails if the header is on its way, or where no transport is.
		_ = grpc.SetHeader(s, metadata.Pairs(o.cfg.RequestIDMetadata, id))
	}
}

func (o *observer) requestID(s *reqstate.State) string {
	if o.cfg.TrustRequestID != nil {
		got := metadata.ValueFromIncomingContext(s, o.cfg.RequestIDMetadata)
		if len(got) == 1 && logging.IsRequestID(got[0]) && o.cfg.TrustRequestID(s, s.FullMethod()) {
			return got[0]
		}
	}
	return logging.NewRequestID()
}

// Finish implements rpcstate.Observer.
func (o *observer) Finish(rec *reqstate.Record) {
	o.logger.WriteAccess(rec, o.cfg.Levels, o.cfg.Sample)
}

// RecoverUnary turns a handler's panic into codes.Internal, with a text that tells
// the client nothing of the cause, and logs it with its stack at level ERROR
// (message "panic", field exception). runtime.Goexit passes. Chain it as the
// outermost. It panics if l is nil.
func RecoverUnary(l *logging.Logger) grpc.UnaryServerInterceptor {
	handle := handler("RecoverUnary", l)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
		return rpcstate.GuardUnary(ctx, req, info.FullMethod, next, handle)
	}
}

// RecoverStream does for streams what RecoverUnary does for other calls.
func RecoverStream(l *logging.Logger) grpc.StreamServerInterceptor {
	handle := handler("RecoverStream", l)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
		return rpcstate.GuardStream(srv, stream, info.FullMethod, next, handle)
	}
}

var errPanic = status.Error(codes.Internal, "Internal error.")

func handler(of string, l *logging.Logger) rpcstate.Handle {
	if l == nil {
		panic("logginggrpc: " + of + ": the Logger is nil")
	}
	return func(ctx context.Context, v any) error {
		l.WritePanic(ctx, "", v, debug.Stack())
		return errPanic
	}
}
