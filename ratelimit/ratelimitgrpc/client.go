package ratelimitgrpc

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// ClientConfig configures the client's interceptors.
type ClientConfig struct {
	// Cost is how much of the limit a call takes. req is its request; for a
	// stream it is nil, and the message if PerSent is set. What costs 0 or less
	// is not paced. nil counts 1 each.
	Cost func(ctx context.Context, fullMethod string, req any) int

	// PerSent paces the messages that a stream sends, instead of the stream at
	// its start.
	PerSent bool

	// MaxPushback is for how long at most a server's word keeps calls back: of
	// more than that, so much is obeyed. 0 means 10 minutes, and below 0 no
	// server's word is obeyed at all.
	// In a gateway whose server limits each of the gateway's own clients, set it
	// below 0, or one of them would hold back all.
	MaxPushback time.Duration

	_ struct{}
}

// UnaryClientInterceptor makes each call wait until l has room for it, as
// [rate.Limiter.WaitN] does, and until the server wants to see it.
//
// A server says so by an answer of ResourceExhausted or Unavailable with a
// google.rpc.RetryInfo or the trailer grpc-retry-pushback-ms: until then,
// further calls of that method to that target wait, and after that they queue
// for l again, so that they do not all go at once.
//
// A call that would have to wait longer than its deadline fails at once with a
// status of ResourceExhausted that is [ratelimit.ErrLimited] and
// context.DeadlineExceeded, and one that costs more than l's burst with the
// former alone. Its error has Retryable() and RetryDelay(), but is no
// *LimitedError, so that nobody takes it for the limit of a caller of this
// process: it means Unavailable, or 503, to them. A call whose context ends
// while it waits fails with Canceled or DeadlineExceeded, and is the context's
// error.
//
// A nil l paces nothing: only the server's word is obeyed. The answer that asks
// to come back later is returned as it is: nothing is ever called twice.
func UnaryClientInterceptor(l *rate.Limiter, cfg ClientConfig) grpc.UnaryClientInterceptor {
	p := newPacer(l, cfg)
	return func(ctx context.Context, fullMethod string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		to := newDestination(cc, fullMethod)
		if err := p.wait(ctx, to, p.cost(ctx, fullMethod, req)); err != nil {
			return err
		}
		if p.holds.most < 0 {
			return invoker(ctx, fullMethod, req, reply, cc, opts...)
		}
		var call struct {
			trailer metadata.MD
			opts    [6]grpc.CallOption // one allocation for both, usually
		}
		opts = append(append(call.opts[:0], opts...), grpc.Trailer(&call.trailer))
		err := invoker(ctx, fullMethod, req, reply, cc, opts...)
		p.holds.note(to, err, call.trailer)
		return err
	}
}

// StreamClientInterceptor is [UnaryClientInterceptor] for streams: opening one
// waits, or, if cfg says so, sending each message does. Opening waits for what
// the server wants in either case. A message that cannot be sent in time ends
// the stream.
func StreamClientInterceptor(l *rate.Limiter, cfg ClientConfig) grpc.StreamClientInterceptor {
	p := newPacer(l, cfg)
	return func(ctx context.Context, desc *grpc.StreamDesc, cc *grpc.ClientConn, fullMethod string, streamer grpc.Streamer, opts ...grpc.CallOption) (grpc.ClientStream, error) {
		to, n := newDestination(cc, fullMethod), 0
		if !cfg.PerSent {
			n = p.cost(ctx, fullMethod, nil)
		}
		if err := p.wait(ctx, to, n); err != nil {
			return nil, err
		}
		s := &pacedStream{pacer: p, to: to}
		if cfg.PerSent {
			ctx, s.cancel = context.WithCancel(ctx)
			s.ctx = ctx
			// The end of the stream, when a reader has seen it, when ctx ends or
			// when cc is closed: gRPC watches for all of them already.
			opts = append(opts[:len(opts):len(opts)], grpc.OnFinish(func(error) { s.cancel() }))
		}
		var err error
		s.ClientStream, err = streamer(ctx, desc, cc, fullMethod, opts...)
		if err != nil {
			if s.cancel != nil {
				s.cancel()
			}
			return nil, err
		}
		return s, nil
	}
}

// defaultMaxPushback is ratelimit.NewTransport's for Retry-After.
const defaultMaxPushback = 10 * time.Minute

// pacer is what both interceptors are made of.
type pacer struct {
	limiter *rate.Limiter
	cfg     ClientConfig
	holds   holds
}

func newPacer(l *rate.Limiter, cfg ClientConfig) *pacer {
	p := &pacer{limiter: l, cfg: cfg}
	p.holds.most = cfg.MaxPushback
	if p.holds.most == 0 {
		p.holds.most = defaultMaxPushback
	}
	return p
}

func (p *pacer) cost(ctx context.Context, fullMethod string, msg any) int {
	if p.cfg.Cost == nil {
		return 1
	}
	return p.cfg.Cost(ctx, fullMethod, msg)
}

// wait returns when both the server and the limiter let n go ahead.
func (p *pacer) wait(ctx context.Context, to destination, n int) error {
	for paced := false; ; {
		if d := p.holds.remaining(to); d > 0 {
			if err := sleep(ctx, d); err != nil {
				return err
			}
			// Whoever had taken its turn meanwhile takes another one: else all
			// that had theirs while they were kept back would go at once.
			paced = false
			continue
		}
		if paced {
			return nil
		}
		if err := p.pace(ctx, n); err != nil {
			return err
		}
		paced = true
	}
}

// pace waits for the limiter alone.
func (p *pacer) pace(ctx context.Context, n int) *callError {
	if p.limiter == nil || n <= 0 {
		return nil
	}
	if err := p.limiter.WaitN(ctx, n); err != nil {
		if ctx.Err() != nil {
			return ended(ctx)
		}
		return refused(p.limiter, n)
	}
	return nil
}

// sleep waits for d, unless ctx's deadline comes first.
func sleep(ctx context.Context, d time.Duration) error {
	if ctx.Err() != nil {
		return ended(ctx)
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return tooLate(d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

// pacedStream notes what the server says at the end, and paces what is sent if
// it has a cancel.
type pacedStream struct {
	grpc.ClientStream
	pacer  *pacer
	to     destination
	ctx    context.Context // ClientStream.Context would rule out gRPC's retries
	cancel context.CancelFunc
	failed atomic.Pointer[callError] // what ended the stream from in here
}

func (s *pacedStream) SendMsg(m any) error {
	if s.cancel != nil {
		err := s.pacer.pace(s.ctx, s.pacer.cost(s.ctx, s.to.fullMethod, m))
		// If the stream has ended meanwhile, gRPC knows how to say so.
		if err != nil && s.ctx.Err() == nil {
			s.failed.Store(err)
			s.cancel()
			return err
		}
	}
	return s.ClientStream.SendMsg(m)
}

func (s *pacedStream) RecvMsg(m any) error {
	err := s.ClientStream.RecvMsg(m)
	if err == nil || errors.Is(err, io.EOF) {
		return err
	}
	if failed := s.failed.Load(); failed != nil && status.Code(err) == codes.Canceled {
		return failed // why it was canceled
	}
	s.pacer.holds.note(s.to, err, s.Trailer())
	return err
}
