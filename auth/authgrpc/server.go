package authgrpc

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/internal/audittext"
	"github.com/ballast-go/ballast/internal/bearer"
	"github.com/ballast-go/ballast/internal/grpcstatus"
	"github.com/ballast-go/ballast/internal/reqstate"
)

// ServerConfig configures [UnaryServerInterceptor] and [StreamServerInterceptor].
type ServerConfig struct {
	// APIKeyMetadata is the key of the metadata that carries an API key. Empty:
	// x-api-key.
	APIKeyMetadata string
	// AllowAnonymous lets calls without a credential through, without a
	// principal. Bad ones are refused all the same.
	AllowAnonymous bool
	// Exempt says which methods nobody needs a credential for, such as those of
	// health checks and reflection: their credentials are not looked at. nil: none.
	Exempt func(fullMethod string) bool
	// EndAtExpiry ends a stream, and cancels a call's context with the cause
	// [auth.ErrExpired], when the credential expires. Without leeway: a credential
	// past its end is refused. It costs a timer a call, and a goroutine a message.
	EndAtExpiry bool
	// Admit is asked before a credential is checked, and Failed told after it was
	// found bad: together they limit failed attempts by caller. An error of Admit means
	// that the caller is over a limit. nil: no limit.
	Admit  func(ctx context.Context, fullMethod string) error
	Failed func(ctx context.Context, fullMethod string, err error)
	// Audit is told of each call that is refused. nil: nobody.
	Audit auth.Auditor
	// Deny is told of each call that is refused, and why. What it returns is the
	// call's error in place of Status(ctx, err)'s; nil leaves it at that, and of an
	// error without a gRPC status, whose text is no client's business, it is Status again.
	Deny func(ctx context.Context, fullMethod string, err error) error

	_ struct{}
}

// UnaryServerInterceptor finds out who a call comes from, and refuses it with
// [Status] if that is not known. [auth.PrincipalFromContext] tells the handler.
//
// It panics if a is nil, or if cfg.APIKeyMetadata is not such a key. Streams need
// [StreamServerInterceptor].
func UnaryServerInterceptor(a auth.Authenticator, cfg ServerConfig) grpc.UnaryServerInterceptor {
	s := newServer("UnaryServerInterceptor", a, cfg)
	return func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		if s.exempts(info.FullMethod) {
			return handler(ctx, req)
		}
		p, err := s.identify(ctx, info.FullMethod)
		if err != nil {
			return nil, s.deny(ctx, info.FullMethod, err)
		}
		call, end := s.callOf(ctx, p)
		defer end()
		answer, err := handler(call, req)
		if err != nil && ended(call) && errors.Is(call.Err(), context.Canceled) && ctx.Err() == nil {
			return nil, s.deny(ctx, info.FullMethod, auth.ErrExpired)
		}
		return answer, err
	}
}

// StreamServerInterceptor does for streams what [UnaryServerInterceptor] does
// for other calls.
func StreamServerInterceptor(a auth.Authenticator, cfg ServerConfig) grpc.StreamServerInterceptor {
	s := newServer("StreamServerInterceptor", a, cfg)
	return func(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		if s.exempts(info.FullMethod) {
			return handler(srv, stream)
		}
		ctx := stream.Context()
		p, err := s.identify(ctx, info.FullMethod)
		if err != nil {
			return s.deny(ctx, info.FullMethod, err)
		}
		call, end := s.callOf(ctx, p)
		defer end()
		if call == ctx {
			return handler(srv, stream)
		}
		known := knownStream{stream, call}
		if !s.expires(p) {
			return handler(srv, &known)
		}
		err = handler(srv, &endingStream{known})
		if ended(call) && ctx.Err() == nil {
			return s.deny(ctx, info.FullMethod, auth.ErrExpired)
		}
		return err
	}
}

// server is what both interceptors are made of.
type server struct {
	a   auth.Authenticator
	cfg ServerConfig
}

func newServer(of string, a auth.Authenticator, cfg ServerConfig) *server {
	if a == nil {
		panic("authgrpc: " + of + " of a nil Authenticator")
	}
	if cfg.APIKeyMetadata == "" {
		cfg.APIKeyMetadata = "x-api-key"
	}
	key := strings.ToLower(cfg.APIKeyMetadata)
	if cfg.APIKeyMetadata = key; !bearer.IsToken(key) || key == "authorization" || strings.HasPrefix(key, "grpc-") || strings.HasSuffix(key, "-bin") {
		panic("authgrpc: ServerConfig.APIKeyMetadata is no key of text metadata for it")
	}
	return &server{a, cfg}
}

func (s *server) exempts(fullMethod string) bool {
	return s.cfg.Exempt != nil && s.cfg.Exempt(fullMethod)
}

func (s *server) expires(p *auth.Principal) bool {
	return s.cfg.EndAtExpiry && p != nil && !p.ExpiresAt.IsZero()
}

var errNobody = errors.New("authgrpc: the Authenticator returned neither a principal nor an error")

// identify returns whom a call comes from: nil for nobody, if that is allowed.
func (s *server) identify(ctx context.Context, fullMethod string) (*auth.Principal, error) {
	c, err := s.read(ctx)
	if s.cfg.Admit != nil && (err != nil || !c.Empty()) {
		if refused := s.cfg.Admit(ctx, fullMethod); refused != nil {
			return nil, admitError{refused}
		}
	}
	var p *auth.Principal
	if err == nil {
		c.At = now(ctx)
		p, err = s.a.Authenticate(ctx, c)
	}
	switch {
	case err == nil && p == nil:
		err = errNobody
	case err == nil && s.expires(p) && !p.ExpiresAt.After(time.Now()): // to ask may have taken long
		err = auth.ErrExpired
	case err == nil:
		return p, nil
	case errors.Is(err, auth.ErrNoCredential) && (c.Token != "" || c.APIKey != ""):
		err = invalid(auth.ErrInvalid, "of a kind that is not accepted")
	case errors.Is(err, auth.ErrNoCredential) && s.cfg.AllowAnonymous:
		return nil, nil
	}
	if s.cfg.Failed != nil && errors.Is(err, auth.ErrInvalid) {
		s.cfg.Failed(ctx, fullMethod, err)
	}
	return nil, err
}

// read returns a call's credentials.
func (s *server) read(ctx context.Context) (c auth.Credentials, err error) {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			state := info.State // &info.State would allocate an info for every call
			c.TLS = &state
		}
	}
	fields := metadata.ValueFromIncomingContext(ctx, "authorization")
	keys := metadata.ValueFromIncomingContext(ctx, s.cfg.APIKeyMetadata)
	if len(fields) > 1 || len(keys) > 1 {
		return c, invalid(auth.ErrAmbiguous, "several credentials of a kind")
	}
	if len(fields) == 1 {
		token, reason := bearer.Token(fields[0])
		if reason != "" {
			return c, invalid(auth.ErrInvalid, reason)
		}
		c.Token = token
	}
	if len(keys) == 1 {
		if reason := bearer.Malformed(keys[0], bearer.MalformedKey); reason != "" {
			return c, invalid(auth.ErrInvalid, reason)
		}
		c.APIKey = keys[0]
	}
	return c, nil
}

func invalid(cause error, reason string) error { return &auth.Error{Cause: cause, Reason: reason} }

// callOf returns the context of a call of p's, and what ends it.
func (s *server) callOf(ctx context.Context, p *auth.Principal) (context.Context, func()) {
	ctx = withPrincipal(ctx, p)
	if !s.expires(p) {
		return ctx, func() {}
	}
	// Canceled, and no deadline: what a caller's end cuts off says nothing of the
	// service, as a deadline that it did not meet would. Observers further out, who
	// do not see the cause, are told.
	state := reqstate.FromContext(ctx)
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(time.Until(p.ExpiresAt), func() {
		if state != nil {
			state.SetExpired()
		}
		cancel(auth.ErrExpired)
	})
	return ctx, func() {
		timer.Stop()
		cancel(nil)
	}
}

// withPrincipal returns a context whose calls come from p: ctx itself if it is the
// call's State and has room for p, or if there is nobody to hide.
func withPrincipal(ctx context.Context, p *auth.Principal) context.Context {
	subject := ""
	if p != nil {
		subject = p.Subject
	}
	if s := own(ctx); s != nil && s.SetPrincipal(p, subject) {
		return ctx
	}
	if p == nil {
		if _, known := auth.PrincipalFromContext(ctx); !known {
			return ctx
		}
	} else if s := reqstate.FromContext(ctx); s != nil {
		s.SetSubject(subject)
	}
	return auth.ContextWithPrincipal(ctx, p) // an outer one is not this call's
}

// own returns ctx as the State of a call, or nil: no interceptor stands between that
// may have brought other metadata.
func own(ctx context.Context) *reqstate.State {
	if s, ok := ctx.(*reqstate.State); ok && s.IsCall() {
		return s
	}
	return nil
}

// now is the call's start, at no cost, unless it may be long ago: what a handler
// calls in here with its own context has its caller's principal.
func now(ctx context.Context) time.Time {
	if s := own(ctx); s != nil {
		if _, known := auth.PrincipalFromContext(s); !known {
			return s.Start()
		}
	}
	return time.Now()
}

// ended reports whether a call's credential has expired meanwhile.
func ended(call context.Context) bool { return errors.Is(context.Cause(call), auth.ErrExpired) }

// deny is what the client of a refused call gets.
func (s *server) deny(ctx context.Context, fullMethod string, err error) error {
	if s.cfg.Audit != nil {
		attrs := []slog.Attr{slog.String("reason", audittext.Safe(err.Error()))}
		if p, ok := peer.FromContext(ctx); ok && p.Addr != nil {
			attrs = append(attrs, slog.String("remote", audittext.Safe(p.Addr.String())))
		}
		if state := reqstate.FromContext(ctx); state != nil {
			if id, _, _ := state.IDs(); id != "" {
				attrs = append(attrs, slog.String("request_id", audittext.Safe(id)))
			}
		}
		s.cfg.Audit.Audit(ctx, "auth.authenticate", attrs...)
	}
	return denied(ctx, fullMethod, err, s.cfg.Deny)
}

// denied is the error of a refused call: deny's, or what err means to clients.
func denied(ctx context.Context, fullMethod string, err error, deny func(context.Context, string, error) error) error {
	if deny != nil {
		if own := deny(ctx, fullMethod, err); own != nil {
			if _, ok := status.FromError(own); ok && grpcstatus.IsFailure(own) {
				return own
			}
			err = own
		}
	}
	return Status(ctx, err)
}
