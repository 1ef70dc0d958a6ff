package batchinggrpc_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchinggrpc"
)

// double is a backend with its faults.
const (
	panics int64 = -1 - iota
	fails
	denies
	forgets
	hangs
)

func double(ctx context.Context, in []int64, out []batching.Slot[int64]) error {
	for i, n := range in {
		switch n {
		case panics:
			panic(secret)
		case fails:
			out[i].Fail(errors.New(secret))
		case denies:
			out[i].Fail(deny)
		case forgets:
		case hangs:
			<-ctx.Done()
		default:
			out[i].Set(2 * n)
		}
	}
	return nil
}

// handler is what a service writes.
func handler(b *batching.Batcher[int64, int64]) numbers {
	return func(ctx context.Context, n int64) (int64, error) {
		out, err := b.Do(ctx, n)
		if err != nil {
			return 0, batchinggrpc.Status(ctx, err)
		}
		return out, nil
	}
}

// Over a real connection: what needs no clock.
func TestServer(t *testing.T) {
	b := newBatcher(t, double, batching.Config[int64]{
		Cost:         func(n int64) int { return int(n) },
		MaxBatchCost: 100,
	})
	cc := serve(t, loopback(t), handler(b))
	for kind, call := range kinds {
		for _, tt := range []struct {
			name string
			in   int64
			want outcome
		}{
			{"panic", panics, outcome{codes.Internal, "", 0}},
			{"item's error", fails, outcome{codes.Internal, "", 0}},
			{"backend's status", denies, outcome{codes.Internal, "", 0}},
			{"no result", forgets, outcome{codes.Internal, "", 0}},
			{"too large", 101, outcome{codes.InvalidArgument, "", 0}},
		} {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				got := call(t.Context(), cc, tt.in)
				tt.want.check(t, got.err, got.trailer)
			})
		}
		t.Run("answer "+kind, func(t *testing.T) {
			if got := call(t.Context(), cc, 21); got.err != nil || got.n != 42 {
				t.Errorf("%d, %v", got.n, got.err)
			}
		})
	}
	if err := b.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for kind, call := range kinds {
		t.Run("closed "+kind, func(t *testing.T) {
			got := call(t.Context(), cc, 1)
			outcome{codes.Unavailable, "DRAINING", 1}.check(t, got.err, got.trailer)
		})
	}
}

// bubble runs f in a synctest bubble with a server of handle and a client,
// over a connection in memory.
func bubble(t *testing.T, handle func(t *testing.T) numbers, f func(t *testing.T, cc *grpc.ClientConn), opts ...grpc.DialOption) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := bufconn.Listen(1 << 16)
		opts := append(opts, grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
			return l.DialContext(ctx)
		}))
		f(t, serve(t, l, handle(t), opts...))
	})
}

func TestQueueFull(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			var b *batching.Batcher[int64, int64]
			bubble(t, func(t *testing.T) numbers {
				b = newBatcher(t, double, batching.Config[int64]{MaxQueue: 1})
				return handler(b)
			}, func(t *testing.T, cc *grpc.ClientConn) {
				ctx, cancel := context.WithCancel(t.Context())
				var wg sync.WaitGroup
				for range 2 { // one runs and one waits
					wg.Go(func() {
						if got := call(ctx, cc, hangs); status.Code(got.err) != codes.Canceled {
							t.Errorf("the client that left got %v", got.err)
						}
					})
					synctest.Wait()
				}
				got := call(ctx, cc, 1)
				outcome{codes.Unavailable, "QUEUE_FULL", 1}.check(t, got.err, got.trailer)
				cancel()
				wg.Wait()
			})
		})
	}
}

// A backend that takes ten seconds an item, and one that hangs.
func TestTooSlow(t *testing.T) {
	slow := func(ctx context.Context, in []int64, out []batching.Slot[int64]) error {
		if in[0] == hangs {
			<-ctx.Done()
			return ctx.Err() // in time or not, that the time is over is the answer
		}
		out[0].Set(in[0])
		<-time.After(10 * time.Second)
		return nil
	}
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			bubble(t, func(t *testing.T) numbers {
				return handler(newBatcher(t, slow, batching.Config[int64]{
					MaxBatchSize: 1, TargetLatency: time.Minute, BatchTimeout: 11 * time.Second,
				}))
			}, func(t *testing.T, cc *grpc.ClientConn) {
				if got := call(t.Context(), cc, 1); got.err != nil { // so that its speed is known
					t.Error(got.err)
				}
				<-time.After(10 * time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				got := call(ctx, cc, 1)
				outcome{codes.Unavailable, "SHED", 10}.check(t, got.err, got.trailer)

				got = call(t.Context(), cc, hangs)
				outcome{code: codes.DeadlineExceeded}.check(t, got.err, got.trailer)
			})
		})
	}
}

// What a client that gives up does not see, but metrics and logs do.
func TestClientThatGivesUp(t *testing.T) {
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			served := make(chan error, 1)
			bubble(t, func(t *testing.T) numbers {
				inner := handler(newBatcher(t, double, batching.Config[int64]{}))
				return func(ctx context.Context, n int64) (int64, error) {
					n, err := inner(ctx, n)
					served <- err
					return n, err
				}
			}, func(t *testing.T, cc *grpc.ClientConn) {
				ctx, cancel := context.WithCancel(t.Context())
				time.AfterFunc(time.Second, cancel)
				if got := call(ctx, cc, hangs); status.Code(got.err) != codes.Canceled {
					t.Errorf("the client that canceled got %v", got.err)
				}
				outcome{code: codes.Canceled}.check(t, <-served, nil)

				ctx, cancel = context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				if got := call(ctx, cc, hangs); status.Code(got.err) != codes.DeadlineExceeded {
					t.Errorf("the client with the deadline got %v", got.err)
				}
				// Both sides have the deadline, and the client's reset of the
				// stream may come before the server's own timer.
				err := <-served
				if code := status.Code(err); code != codes.Canceled {
					outcome{code: codes.DeadlineExceeded}.check(t, err, nil)
				}
			})
		})
	}
}

// gRPC's own retries wait as long as the trailer says.
func TestClientRetriesWhenTold(t *testing.T) {
	const policy = `{"methodConfig": [{"name": [{}], "retryPolicy": {
		"maxAttempts": 2, "initialBackoff": "0.001s", "maxBackoff": "0.001s",
		"backoffMultiplier": 1, "retryableStatusCodes": ["UNAVAILABLE"]}}]}`
	for kind, call := range kinds {
		t.Run(kind, func(t *testing.T) {
			var attempts []time.Time
			bubble(t, func(*testing.T) numbers {
				return func(ctx context.Context, n int64) (int64, error) {
					attempts = append(attempts, time.Now())
					if len(attempts) == 1 {
						return 0, batchinggrpc.Status(ctx, &batching.ShedError{RetryAfter: time.Minute})
					}
					return n, nil
				}
			}, func(t *testing.T, cc *grpc.ClientConn) {
				if got := call(t.Context(), cc, 7); got.err != nil || got.n != 7 {
					t.Errorf("the client got %d, %v", got.n, got.err)
				}
				if len(attempts) != 2 || attempts[1].Sub(attempts[0]) < time.Minute {
					t.Errorf("attempts at %v, want a second after a minute", attempts)
				}
			}, grpc.WithDefaultServiceConfig(policy))
		})
	}
}
