package retrygrpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	"github.com/ballast-go/ballast/retry"
)

// ClientConfig configures the client's interceptors. The zero value is useful.
type ClientConfig struct {
	// Retry reports whether a call may be made again that failed with err, a
	// status mostly. nil decides by code, as the package comment has it. It is
	// not asked if the caller's context has ended, if the server forbids another
	// attempt, or if err states that it is not Retryable. [retry.Config]
	// Retryable is not asked about calls of gRPC's. fullMethod is like
	// "/package.Service/Method".
	Retry func(fullMethod string, err error) bool

	// MaxBuffer is how many bytes of messages a stream keeps, in case they are to
	// be sent again. One that has sent more is not retried. It counts where
	// clients send several messages: the only one of other methods is kept
	// whatever its size, as a unary call's is. Messages that are no protocol
	// buffers have no size and are not kept. 0 means 64 KiB; below 0, none.
	// What is kept is the caller's message, which gRPC forbids to change, too.
	MaxBuffer int

	// Hedger hedges the unary calls that Idempotent admits: a second call is made
	// when the first takes long, and the first answer counts. Attempts after the
	// first are not hedged, nor are calls whose messages are no protocol buffers:
	// each needs a reply of its own, which is merged into the caller's, and losers
	// a copy of the request, which the caller may change. nil hedges nothing. It is not for streams.
	Hedger *retry.Hedger

	// Idempotent reports whether a method may be called twice at the same time.
	// Required with a Hedger.
	Idempotent func(fullMethod string) bool

	_ struct{}
}

const (
	// What may be in flight on a stream before its server reads: gRPC's and
	// HTTP/2's initial window. So much can be sent again without a wait.
	window = 64 << 10

	defaultMaxBuffer = window
)

// UnaryClientInterceptor makes each call as often as r says. The package comment
// says what is retried, and with what error a call is given up.
//
// It panics if r is nil or if cfg has a Hedger without Idempotent. Streams need
// [StreamClientInterceptor].
func UnaryClientInterceptor(r *retry.Retrier, cfg ClientConfig) grpc.UnaryClientInterceptor {
	c := newClient("UnaryClientInterceptor", r, cfg)
	return func(ctx context.Context, fullMethod string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		u := &unaryCall{client: c, ctx: ctx, fullMethod: fullMethod, req: req, reply: reply, cc: cc, invoker: invoker}
		opts, finish := splitOnFinish(opts)
		// One allocation for all, usually.
		u.opts = append(append(u.room[:0], opts...), grpc.Trailer(&u.trailer))
		attempt := u.attempt
		if c.hedges(fullMethod, req, reply) {
			attempt = u.hedge
		}
		err := conclude(ctx, r.Do(ctx, attempt))
		finish.call(err)
		return err
	}
}

// client is what both interceptors are made of.
type client struct {
	retrier *retry.Retrier
	cfg     ClientConfig
}

func newClient(of string, r *retry.Retrier, cfg ClientConfig) *client {
	if r == nil {
		panic("retrygrpc: " + of + " of a nil *Retrier")
	}
	if cfg.Hedger != nil && cfg.Idempotent == nil {
		panic("retrygrpc: " + of + " with ClientConfig.Hedger, but without Idempotent")
	}
	if cfg.MaxBuffer == 0 {
		cfg.MaxBuffer = defaultMaxBuffer
	}
	return &client{r, cfg}
}

func (c *client) hedges(fullMethod string, req, reply any) bool {
	if c.cfg.Hedger == nil || !c.cfg.Idempotent(fullMethod) {
		return false
	}
	_, in := req.(proto.Message)
	_, out := reply.(proto.Message)
	return in && out
}

// A unaryCall is one call, in all its attempts.
type unaryCall struct {
	client     *client
	ctx        context.Context // the caller's
	fullMethod string
	req, reply any
	cc         *grpc.ClientConn
	invoker    grpc.UnaryInvoker
	opts       []grpc.CallOption
	room       [6]grpc.CallOption
	trailer    metadata.MD
	attempts   int
}

// attempt makes the call with ctx.
func (u *unaryCall) attempt(ctx context.Context) error {
	if u.attempts++; u.attempts > 1 {
		forget(u.opts)
	}
	err := u.invoker(outgoing(ctx), u.fullMethod, u.req, u.reply, u.cc, u.opts...)
	if err == nil {
		return nil
	}
	return u.client.judge(u.ctx, ctx, u.fullMethod, err, u.trailer)
}

// outgoing is ctx with the metadata of its attempt.
func outgoing(ctx context.Context) context.Context {
	n := retry.Attempt(ctx)
	if n <= 1 {
		return ctx
	}
	md, ok := metadata.FromOutgoingContext(ctx) // a copy
	if !ok {
		md = make(metadata.MD, 1)
	}
	md.Set(previousAttempts, formatAttempt(n))
	return metadata.NewOutgoingContext(ctx, md)
}

// endsBefore reports whether ctx has a deadline before outer's.
func endsBefore(ctx, outer context.Context) bool {
	d, ok := ctx.Deadline()
	if !ok {
		return false
	}
	var most time.Time
	most, ok = outer.Deadline()
	return !ok || d.Before(most)
}
