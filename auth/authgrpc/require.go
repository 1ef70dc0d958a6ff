package authgrpc

import (
	"cmp"
	"context"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
)

// RequireConfig configures [RequireUnary] and [RequireStream].
type RequireConfig struct {
	// Resource says what a call wants to do to what, such as "predict" to the model
	// that req names. fullMethod is like "/package.Service/Method". Of a stream it is
	// asked at the start, with a nil req; if it does not know the resource then, which
	// is "", once more with the first message. An empty resource is forbidden in the end.
	// Required.
	Resource func(ctx context.Context, fullMethod string, req any) (action, resource string)
	// Exempt says which methods are for everybody, such as those of health checks.
	// nil: none.
	Exempt func(fullMethod string) bool
	// Deny is as in [ServerConfig].
	Deny func(ctx context.Context, fullMethod string, err error) error

	_ struct{}
}

// RequireUnary lets through the calls that az allows, and refuses the others
// with [Status]. It comes after [UnaryServerInterceptor]: without a principal, a
// call is Unauthenticated. It panics if az or cfg.Resource is nil.
func RequireUnary(az auth.Authorizer, cfg RequireConfig) grpc.UnaryServerInterceptor {
	r := newRequire("RequireUnary", az, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if r.exempts(info.FullMethod) {
			return handler(ctx, req)
		}
		action, resource := r.cfg.Resource(ctx, info.FullMethod, req)
		if err := auth.Check(ctx, r.az, action, resource); err != nil {
			return nil, denied(ctx, info.FullMethod, err, r.cfg.Deny)
		}
		return handler(ctx, req)
	}
}

// RequireStream does for streams what [RequireUnary] does for other calls. What
// is decided by the first message is decided before the handler sees it; until
// then the handler cannot send messages. A stream that ends without one is
// forbidden.
func RequireStream(az auth.Authorizer, cfg RequireConfig) grpc.StreamServerInterceptor {
	r := newRequire("RequireStream", az, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if r.exempts(info.FullMethod) {
			return handler(srv, stream)
		}
		ctx := stream.Context()
		action, resource := r.cfg.Resource(ctx, info.FullMethod, nil)
		if _, known := auth.PrincipalFromContext(ctx); resource != "" || !known { // no message will tell who it is
			if err := auth.Check(ctx, r.az, action, resource); err != nil {
				return denied(ctx, info.FullMethod, err, r.cfg.Deny)
			}
			return handler(srv, stream)
		}
		checked := &checkedStream{ServerStream: stream, require: r, fullMethod: info.FullMethod, action: action}
		return checked.end(handler(srv, checked))
	}
}

// require is what both interceptors are made of.
type require struct {
	az  auth.Authorizer
	cfg RequireConfig
}

func newRequire(of string, az auth.Authorizer, cfg RequireConfig) *require {
	if az == nil {
		panic("authgrpc: " + of + " of a nil Authorizer")
	}
	if cfg.Resource == nil {
		panic("authgrpc: " + of + " without RequireConfig.Resource")
	}
	return &require{az, cfg}
}

func (r *require) exempts(fullMethod string) bool {
	return r.cfg.Exempt != nil && r.cfg.Exempt(fullMethod)
}

// checkedStream checks its first message.
type checkedStream struct {
	grpc.ServerStream
	require    *require
	fullMethod string
	action     string // without a message

	mu      sync.Mutex
	allowed bool
	refused error
}

func (s *checkedStream) RecvMsg(m any) error {
	if _, refused := s.state(); refused != nil {
		return refused
	}
	err := s.ServerStream.RecvMsg(m)
	if err != nil && err != io.EOF {
		return err
	}
	switch allowed, refused := s.state(); {
	case allowed || refused != nil:
		return cmp.Or(refused, err)
	case err == io.EOF:
		return s.decide(s.action, "")
	}
	return s.decide(s.require.cfg.Resource(s.Context(), s.fullMethod, m))
}

func (s *checkedStream) SendMsg(m any) error {
	allowed, refused := s.state()
	if refused != nil {
		return refused
	}
	if !allowed {
		return errTooSoon
	}
	return s.ServerStream.SendMsg(m)
}

// errTooSoon is a mistake of the handler's.
var errTooSoon = status.Error(codes.Internal, "The request could not be processed.")

// end is what becomes of the stream when its handler returns err: a refusal stays
// one, and what nobody has allowed is no success.
func (s *checkedStream) end(err error) error {
	allowed, refused := s.state()
	if err == nil && !allowed && refused == nil {
		return s.decide(s.action, "")
	}
	return cmp.Or(refused, err)
}

func (s *checkedStream) state() (allowed bool, refused error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.allowed, s.refused
}

// decide asks whether the stream may go on. It does not hold s.mu meanwhile, which may
// be long.
func (s *checkedStream) decide(action, resource string) error {
	ctx := s.Context()
	var refused error
	if err := auth.Check(ctx, s.require.az, action, resource); err != nil {
		refused = denied(ctx, s.fullMethod, err, s.require.cfg.Deny)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.allowed, s.refused = refused == nil, refused
	return refused
}
