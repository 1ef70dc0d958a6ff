package authgrpc

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
)

var (
	_ credentials.PerRPCCredentials = (*Credentials)(nil)
	_ stats.Handler                 = (*Credentials)(nil)
)

// CredentialsConfig configures [NewCredentials].
type CredentialsConfig struct {
	// InsecureAllowPlaintext sends the token over connections without TLS, too: for
	// meshes that encrypt below.
	InsecureAllowPlaintext bool

	_ struct{}
}

// Credentials give each call a token, in the metadata "authorization". They are for
// grpc.WithPerRPCCredentials or grpc.PerRPCCredentials, and safe for concurrent use.
//
// As a connection's grpc.WithStatsHandler, too, they hear how calls end: if one is
// Unauthenticated, the source is told, if it has [auth.Reuse]'s Invalidate, so that the
// next call has another token. Otherwise one that was revoked is sent until the
// source gives the next by itself. gRPC does not tell of a stream that is refused while
// its client sends.
type Credentials struct {
	src       auth.TokenSource
	plaintext bool
}

// NewCredentials returns credentials of src's tokens. Put an [auth.NewReuse] around a
// source that asks somebody.
//
// Without TLS a connection is refused, as gRPC demands of them. If src fails,
// so does the call: as Unavailable if the error states Retryable, which gRPC may then
// retry, with the context's own code if that has ended, else as Unauthenticated. The text
// is src's error. It panics if src is nil.
func NewCredentials(src auth.TokenSource, cfg CredentialsConfig) *Credentials {
	if src == nil {
		panic("authgrpc: NewCredentials of a nil TokenSource")
	}
	return &Credentials{src, cfg.InsecureAllowPlaintext}
}

// RequireTransportSecurity implements credentials.PerRPCCredentials.
func (c *Credentials) RequireTransportSecurity() bool { return !c.plaintext }

// GetRequestMetadata implements credentials.PerRPCCredentials.
func (c *Credentials) GetRequestMetadata(ctx context.Context, _ ...string) (map[string]string, error) {
	token, err := c.src.Token(ctx)
	if err != nil {
		return nil, sourceError(ctx, err)
	}
	if token.Value == "" || strings.ContainsFunc(token.Value, notVisible) {
		return nil, status.Error(codes.Unauthenticated, "authgrpc: the source's token cannot be sent")
	}
	if sent, ok := ctx.Value(sentBy{c}).(*atomic.Value); ok {
		sent.Store(token.Value)
	}
	return map[string]string{"authorization": "Bearer " + token.Value}, nil
}

func notVisible(c rune) bool { return c <= ' ' || c > '~' }

// sentBy is the key of the token that a call was given.
type sentBy struct{ by *Credentials }

// TagRPC implements stats.Handler.
func (c *Credentials) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, sentBy{c}, new(atomic.Value))
}

// HandleRPC implements stats.Handler.
func (c *Credentials) HandleRPC(ctx context.Context, s stats.RPCStats) {
	end, ok := s.(*stats.End)
	if !ok || status.Code(end.Error) != codes.Unauthenticated {
		return
	}
	src, revocable := c.src.(interface{ Invalidate(value string) })
	sent, _ := ctx.Value(sentBy{c}).(*atomic.Value)
	if !revocable || sent == nil {
		return
	}
	if token, ok := sent.Load().(string); ok { // else the call was never made
		src.Invalidate(token)
	}
}

// TagConn implements stats.Handler.
func (c *Credentials) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn implements stats.Handler.
func (c *Credentials) HandleConn(context.Context, stats.ConnStats) {}

// sourceError is the status of a call for which there is no token.
func sourceError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	code := codes.Unauthenticated
	var stated interface{ Retryable() bool }
	if errors.As(err, &stated) && stated.Retryable() {
		code = codes.Unavailable
	}
	return status.Error(code, "authgrpc: no token: "+err.Error())
}
