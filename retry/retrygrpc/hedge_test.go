package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

const hedgeDelay = 100 * time.Millisecond

// newHedger hedges after hedgeDelay, once it has seen some calls, and is closed
// with t.
func newHedger(t *testing.T, hedges int) *retry.Hedger {
	t.Helper()
	h, err := retry.NewHedger(retry.HedgeConfig{MinDelay: hedgeDelay, MaxDelay: hedgeDelay, MaxHedges: hedges, Budget: budget(t, 1000)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return h
}

func idempotent(fullMethod string) bool { return strings.HasPrefix(fullMethod, service) }

// A replica is a server of unary calls that notes what it is told.
type replica struct {
	quick  atomic.Bool
	mu     sync.Mutex
	calls  int
	answer func(ctx context.Context, call int) error
	seen   []string // the metadata of attempts
}

func (r *replica) numbers() numbers {
	return numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		r.mu.Lock()
		r.calls++
		call := r.calls
		r.seen = append(r.seen, strings.Join(metadata.ValueFromIncomingContext(ctx, "grpc-previous-rpc-attempts"), ","))
		r.mu.Unlock()
		md := metadata.Pairs("call", fmt.Sprint(call))
		if err := errors.Join(grpc.SetHeader(ctx, md), grpc.SetTrailer(ctx, md)); err != nil {
			return 0, err
		}
		if r.quick.Load() {
			return 0, nil
		}
		return n + int64(call), r.answer(ctx, call)
	}}
}

// warm makes as many calls as a Hedger wants to see.
func (r *replica) warm(t *testing.T, cc *grpc.ClientConn) {
	r.quick.Store(true)
	for range 40 {
		if got := callUnary(t.Context(), cc, 1); got.err != nil {
			t.Fatal(got.err)
		}
	}
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls, r.seen = 0, nil
	r.quick.Store(false)
}

func TestHedge(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	late := func(d time.Duration) error { <-time.After(d); return nil }
	for name, tt := range map[string]struct {
		answer func(ctx context.Context, call int) error
		took   time.Duration
		calls  int
		winner int
		code   codes.Code
	}{
		"quick": {func(context.Context, int) error { return nil }, 0, 1, 1, codes.OK},
		"the hedge wins": {func(ctx context.Context, call int) error {
			if call == 1 {
				return hang(ctx)
			}
			return nil
		}, hedgeDelay, 2, 2, codes.OK},
		"the first wins": {func(ctx context.Context, call int) error {
			if call == 1 {
				return late(2 * hedgeDelay)
			}
			return hang(ctx)
		}, 2 * hedgeDelay, 2, 1, codes.OK},
		"the hedge fails": {func(_ context.Context, call int) error {
			if call == 1 {
				return late(2 * hedgeDelay)
			}
			return down("")
		}, 2 * hedgeDelay, 2, 1, codes.OK},
		"both fail, and then not": {func(_ context.Context, call int) error {
			if call <= 2 {
				_ = late(2 * hedgeDelay)
				return down("")
			}
			return nil
		}, 3*hedgeDelay + pause, 3, 3, codes.OK},
		"both fail, one for good": {func(_ context.Context, call int) error {
			_ = late(2 * hedgeDelay)
			if call == 2 {
				return status.Error(codes.NotFound, "")
			}
			return down("")
		}, 3 * hedgeDelay, 2, 2, codes.NotFound},
		"fails at once": {func(_ context.Context, call int) error { return status.Error(codes.NotFound, "") }, 0, 1, 1, codes.NotFound},
	} {
		bubble(t, name, func(t *testing.T) {
			h, r := newHedger(t, 1), &replica{answer: tt.answer}
			cc := serve(t, r.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{Hedger: h, Idempotent: idempotent})...)
			r.warm(t, cc)
			var header, trailer metadata.MD
			var p peer.Peer
			reply := wrapperspb.Int64Value{Value: 77}
			start := time.Now()
			err := cc.Invoke(t.Context(), service+"Unary", wrapperspb.Int64(100), &reply, grpc.Header(&header), grpc.Trailer(&trailer), grpc.Peer(&p))
			took := time.Since(start)
			synctest.Wait()
			r.mu.Lock()
			defer r.mu.Unlock()
			if status.Code(err) != tt.code || took != tt.took || r.calls != tt.calls {
				t.Errorf("%v after %v and %d calls, want %v after %v", err, took, r.calls, tt.code, tt.took)
			}
			if want := fmt.Sprint(tt.winner); strings.Join(header.Get("call"), "") != want || strings.Join(trailer.Get("call"), "") != want || p.Addr == nil {
				t.Errorf("header %v, trailer %v, peer %v, want those of call %s", header, trailer, p, want)
			}
			if tt.code == codes.OK && reply.Value != 100+int64(tt.winner) {
				t.Errorf("%d, want the answer of call %d", reply.Value, tt.winner)
			}
			if n := h.Stats().Running; n != 0 {
				t.Errorf("%d calls still run", n)
			}
			if tt.calls == 2 && (r.seen[0] != "" || r.seen[1] != "1") {
				t.Errorf("attempts %q", r.seen)
			}
		})
	}
}

// The reply is the answer, and not what was in it before.
func TestHedgeReplaces(t *testing.T) {
	bubble(t, "", func(t *testing.T) {
		cc := serve(t, always(func(_ context.Context, n int64) (int64, error) { return n, nil }), nil,
			again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{Hedger: newHedger(t, 1), Idempotent: idempotent})...)
		reply := wrapperspb.Int64Value{Value: 77}
		if err := cc.Invoke(t.Context(), service+"Unary", wrapperspb.Int64(0), &reply); err != nil || reply.Value != 0 {
			t.Errorf("%v, %v", reply.Value, err)
		}
	})
}

// Some calls are not hedged.
func TestNotHedged(t *testing.T) {
	for name, tt := range map[string]struct {
		cfg   func(h *retry.Hedger) retrygrpc.ClientConfig
		ctx   func(ctx context.Context) context.Context
		reply any
	}{
		"another method": {cfg: func(h *retry.Hedger) retrygrpc.ClientConfig {
			return retrygrpc.ClientConfig{Hedger: h, Idempotent: func(string) bool { return false }}
		}},
		"no protocol buffer": {reply: new(string)},
		"a retry's":          {ctx: func(ctx context.Context) context.Context { return retry.ContextWithAttempt(ctx, 2) }},
	} {
		bubble(t, name, func(t *testing.T) {
			h := newHedger(t, 1)
			cfg := retrygrpc.ClientConfig{Hedger: h, Idempotent: idempotent}
			hedging := retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{}), cfg)
			if tt.cfg != nil {
				cfg = tt.cfg(h)
			}
			var reply any = new(wrapperspb.Int64Value)
			if tt.reply != nil {
				reply = tt.reply
			}
			ctx := t.Context()
			if tt.ctx != nil {
				ctx = tt.ctx(ctx)
			}
			quick := func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error { return nil }
			for range 40 {
				if err := hedging(t.Context(), service+"Unary", nil, new(wrapperspb.Int64Value), nil, quick); err != nil {
					t.Fatal(err)
				}
			}
			calls := 0
			err := retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{}), cfg)(ctx, service+"Unary", nil, reply, nil,
				func(_ context.Context, _ string, _, got any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
					calls++
					if got != reply {
						t.Error("the reply is not the caller's")
					}
					<-time.After(time.Minute)
					return nil
				})
			if err != nil || calls != 1 || h.Stats().Hedges != 0 {
				t.Errorf("%v, %d calls", err, calls)
			}
		})
	}
}

// A call whose time is over while both go on ends by that, and leaves them to
// nobody.
func TestHedgeInTime(t *testing.T) {
	hang := func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }
	for name, tt := range map[string]struct {
		cfg  retry.Config
		ctx  func(t *testing.T) context.Context
		code codes.Code
		is   []error
		took time.Duration
	}{
		"the call's": {retry.Config{}, func(t *testing.T) context.Context { return within(t, time.Second) },
			codes.DeadlineExceeded, []error{context.DeadlineExceeded}, time.Second},
		"the caller's cancel": {retry.Config{}, func(t *testing.T) context.Context {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			return ctx
		}, codes.Canceled, []error{context.Canceled}, time.Second},
		"each attempt's": {retry.Config{PerAttempt: time.Second}, func(t *testing.T) context.Context { return t.Context() },
			codes.DeadlineExceeded, []error{retry.ErrAttemptTimeout, retry.ErrExhausted}, 3*time.Second + 2*pause},
	} {
		bubble(t, name, func(t *testing.T) {
			h, r := newHedger(t, 1), &replica{answer: hang}
			cc := serve(t, r.numbers(), nil, again(newRetrier(t, tt.cfg), retrygrpc.ClientConfig{Hedger: h, Idempotent: idempotent})...)
			r.warm(t, cc)
			start := time.Now()
			got := callUnary(tt.ctx(t), cc, 1)
			if status.Code(got.err) != tt.code || time.Since(start) != tt.took {
				t.Errorf("%v after %v", got.err, time.Since(start))
			}
			for _, is := range tt.is {
				if !errors.Is(got.err, is) {
					t.Errorf("%v is not %v", got.err, is)
				}
			}
			synctest.Wait()
			if n := h.Stats().Running; n != 0 {
				t.Errorf("%d calls still run", n)
			}
		})
	}
}
