package logginggrpc

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"

	"github.com/ballast-go/ballast/internal/rpcstate"
	"github.com/ballast-go/ballast/logging"
)

// ClientConfig configures UnaryClientInterceptor and StreamClientInterceptor. The
// zero value is useful.
type ClientConfig struct {
	// Level is that of the records of calls that went well; the zero value is
	// slog.LevelInfo. Those that failed have WARN at least; Canceled has not failed.
	Level slog.Level
	// RequestIDMetadata is the key of the metadata in which the other side is told the
	// id of the request on whose behalf the call is made, such as "x-request-id",
	// unless the call has that already. "" tells nobody.
	RequestIDMetadata string

	_ struct{}
}

// UnaryClientInterceptor writes a record of each call, message "call", with rpc, code
// and duration_ms. Messages, metadata and the text of an error are never logged. In
// the chain of a client it is outside of retry, for one record of all attempts. It
// panics if l is nil.
func UnaryClientInterceptor(l *logging.Logger, cfg ClientConfig) grpc.UnaryClientInterceptor {
	c := newClient("UnaryClientInterceptor", l, cfg)
	return func(ctx context.Context, method string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		o := call{client: c, ctx: ctx, method: method, start: time.Now()}
		returned := false
		defer func() {
			if !returned {
				o.write(codes.Internal) // a panic, or runtime.Goexit
			}
		}()
		err := invoker(c.named(ctx), method, req, reply, cc, opts...)
		returned = true
		o.write(codes.Code(rpcstate.Code(err)))
		return err
	}
}

// StreamClientInterceptor does for streams what UnaryClientInterceptor does for other
// calls: one record, with sent and received messages, when the stream is over: when
// RecvMsg has returned an error, io.EOF included, or the only answer of a stream
// that has one, when SendMsg, but for io.EOF, or Header has failed, or when its
// context is done.
func StreamClientInterceptor(l *logging.Logger, cfg ClientConfig) grpc.StreamClientInterceptor {
	c := newClient("StreamClientInterceptor", l, cfg)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, method string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		o := call{client: c, ctx: ctx, method: method, start: time.Now()}
		end := func(err error, sent, received int64) {
			o.write(codes.Code(rpcstate.Code(err)), slog.Int64("messages_out", sent), slog.Int64("messages_in", received))
		}
		s, err := streamer(c.named(ctx), desc, cc, method, opts...)
		if err != nil {
			end(err, 0, 0)
			return nil, err
		}
		return rpcstate.Watch(ctx, s, desc, end), nil
	}
}

type client struct {
	logger *slog.Logger
	cfg    ClientConfig
}

func newClient(of string, l *logging.Logger, cfg ClientConfig) *client {
	if l == nil {
		panic("logginggrpc: " + of + ": the Logger is nil")
	}
	cfg.RequestIDMetadata = strings.ToLower(cfg.RequestIDMetadata)
	return &client{l.Slog(), cfg}
}

// named tells the other side whose call it is.
func (c *client) named(ctx context.Context) context.Context {
	key := c.cfg.RequestIDMetadata
	if key == "" {
		return ctx
	}
	id := logging.RequestID(ctx)
	if id == "" {
		return ctx
	}
	if md, ok := metadata.FromOutgoingContext(ctx); ok && len(md.Get(key)) > 0 {
		return ctx
	}
	return metadata.AppendToOutgoingContext(ctx, key, id)
}

// A call is one of the records, in the making.
type call struct {
	client *client
	ctx    context.Context
	method string
	start  time.Time
}

func (c *call) write(code codes.Code, attrs ...slog.Attr) {
	level := c.client.cfg.Level
	if code != codes.OK && code != codes.Canceled {
		level = max(level, slog.LevelWarn)
	}
	if !c.client.logger.Enabled(c.ctx, level) {
		return
	}
	c.client.logger.LogAttrs(c.ctx, level, "call", append(attrs,
		slog.String("rpc", c.method), slog.Int("code", int(code)),
		slog.Float64("duration_ms", float64(time.Since(c.start))/float64(time.Millisecond)))...)
}
