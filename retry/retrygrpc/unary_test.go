package retrygrpc_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/retry"
	"github.com/ballast-go/ballast/retry/retrygrpc"
)

// What each code means, to each kind of call.
func TestByCode(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			for code := codes.OK; code <= codes.Unauthenticated; code++ {
				want := 1
				if code == codes.Unavailable {
					want = 2
				}
				f := newFlaky(status.Error(code, ""))
				cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
				got := call(t.Context(), cc, 7)
				if n := len(f.seen()); n != want {
					t.Errorf("%v: %d attempts", code, n)
				}
				if want == 2 && (got.err != nil || got.n != 7) || want == 1 && status.Code(got.err) != code {
					t.Errorf("%v: %d, %v", code, got.n, got.err)
				}
				if _, ok := errors.AsType[*retry.Error](got.err); ok {
					t.Errorf("%v: what was not retried is %T", code, got.err)
				}
			}
		})
	}
}

// Retry's word counts in place of the code's.
func TestRetryOfOnesOwn(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			var asked []string
			f := newFlaky(status.Error(codes.Aborted, ""), down(""))
			cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{
				Retry: func(fullMethod string, err error) bool {
					asked = append(asked, fullMethod)
					return status.Code(err) == codes.Aborted
				},
			})...)
			got := call(t.Context(), cc, 7)
			if status.Code(got.err) != codes.Unavailable || len(f.seen()) != 2 || len(asked) != 2 || !strings.HasPrefix(asked[0], service) {
				t.Errorf("%v, asked about %q", got.err, asked)
			}
		})
	}
}

// detailed is a status that says when to come back.
func detailed(t *testing.T, code codes.Code, delays ...time.Duration) error {
	st := status.New(code, "")
	for _, d := range delays {
		var err error
		if st, err = st.WithDetails(&errdetails.ErrorInfo{Reason: "BUSY"}, &errdetails.RetryInfo{RetryDelay: durationpb.New(d)}); err != nil {
			t.Fatal(err)
		}
	}
	return st.Err()
}

// When the second attempt is made, and whether there is one.
func TestServersWord(t *testing.T) {
	const never = -1
	for name, tt := range map[string]struct {
		err      error
		pushback []string
		want     time.Duration
	}{
		"nothing":                          {down(""), nil, pause},
		"RetryInfo":                        {detailed(t, codes.Unavailable, 15*time.Second), nil, 15 * time.Second},
		"RetryInfo, sooner":                {detailed(t, codes.Unavailable, time.Second), nil, pause},
		"two of them":                      {detailed(t, codes.Unavailable, 12*time.Second, 11*time.Second), nil, 12 * time.Second},
		"RetryInfo, beyond MaxDelay":       {detailed(t, codes.Unavailable, time.Hour), nil, 20 * time.Second},
		"RetryInfo below 0":                {detailed(t, codes.Unavailable, -time.Hour), nil, pause},
		"pushback":                         {down(""), []string{"12500"}, 12500 * time.Millisecond},
		"pushback, the longest":            {down(""), []string{fmt.Sprint(math.MaxInt64)}, 20 * time.Second},
		"pushback, longer":                 {down(""), []string{"99999999999999999999"}, 20 * time.Second},
		"pushback of 0":                    {down(""), []string{"0"}, pause},
		"both":                             {detailed(t, codes.Unavailable, 11*time.Second), []string{"13000"}, 13 * time.Second},
		"pushback below 0":                 {down(""), []string{"-1"}, never},
		"pushback below 0, with RetryInfo": {detailed(t, codes.Unavailable, time.Second), []string{"-1"}, never},
		"pushback far below 0":             {down(""), []string{"-99999999999999999999"}, never},
		"pushback that is no number":       {down(""), []string{"soon"}, never},
		"pushback that is nothing":         {down(""), []string{""}, never},
		"two pushbacks":                    {down(""), []string{"1", "1"}, never},
		"exhausted":                        {status.Error(codes.ResourceExhausted, ""), nil, never},
		"exhausted, later":                 {detailed(t, codes.ResourceExhausted, 12*time.Second), nil, 12 * time.Second},
		"exhausted, pushed back":           {status.Error(codes.ResourceExhausted, ""), []string{"12000"}, 12 * time.Second},
		"exhausted, never":                 {detailed(t, codes.ResourceExhausted, 0), []string{"-1"}, never},
		"aborted, later":                   {detailed(t, codes.Aborted, 12*time.Second), nil, never},
	} {
		for kind, call := range kinds {
			bubble(t, name+" "+kind, func(t *testing.T) {
				f := newFlaky(tt.err)
				f.tell = func(ctx context.Context, n int) error {
					if n > 1 {
						return nil
					}
					return grpc.SetTrailer(ctx, metadata.MD{"grpc-retry-pushback-ms": tt.pushback})
				}
				cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{MaxDelay: 20 * time.Second}), retrygrpc.ClientConfig{})...)
				got := call(t.Context(), cc, 1)
				visits := f.seen()
				if tt.want == never {
					if len(visits) != 1 || status.Code(got.err) != status.Code(tt.err) {
						t.Errorf("%d attempts, %v", len(visits), got.err)
					}
					return
				}
				if len(visits) != 2 || visits[1].at != tt.want || got.err != nil {
					t.Errorf("%+v, want the second after %v; %v", visits, tt.want, got.err)
				}
			})
		}
	}
}

// The attempts beyond the first say so, whatever a caller's metadata said before.
func TestPreviousAttempts(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			f := newFlaky(down(""), down(""))
			cc := serve(t, f.numbers(), []grpc.ServerOption{
				grpc.UnaryInterceptor(retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})),
				grpc.StreamInterceptor(retrygrpc.StreamServerInterceptor(retrygrpc.ServerConfig{})),
			}, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			for name, ctx := range map[string]context.Context{
				"":                   t.Context(),
				"with metadata":      metadata.AppendToOutgoingContext(t.Context(), "user", "me"),
				"with stale in it":   metadata.AppendToOutgoingContext(t.Context(), "grpc-previous-rpc-attempts", "7"),
				"in a retry's retry": retry.ContextWithAttempt(t.Context(), 4),
			} {
				if got := call(ctx, cc, 1); (got.err == nil) == (name == "in a retry's retry") {
					t.Errorf("%s: %v", name, got.err)
				}
				var previous []string
				var attempts []int
				for _, v := range f.seen() {
					previous, attempts = append(previous, v.previous), append(attempts, v.attempt)
				}
				want, n := []string{"", "1", "2"}, []int{1, 2, 3}
				switch name {
				case "with stale in it":
					want[0], n[0] = "7", 8
				case "in a retry's retry":
					want, n = []string{"3"}, []int{4}
				}
				if !slices.Equal(previous, want) || !slices.Equal(attempts, n) {
					t.Errorf("%s: the server saw %q, attempts %d", name, previous, attempts)
				}
			}
		})
	}
}

// gRPC's own retries, which a service config asks for, are counted with ours.
func TestAttemptsOfBoth(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			f := newFlaky(slices.Repeat([]error{down("")}, 9)...)
			r := newRetrier(t, retry.Config{MaxAttempts: 2})
			cc := serve(t, f.numbers(), []grpc.ServerOption{
				grpc.UnaryInterceptor(retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})),
				grpc.StreamInterceptor(retrygrpc.StreamServerInterceptor(retrygrpc.ServerConfig{})),
			},
				grpc.WithUnaryInterceptor(retrygrpc.UnaryClientInterceptor(r, retrygrpc.ClientConfig{})),
				grpc.WithStreamInterceptor(retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{})),
				grpc.WithDefaultServiceConfig(`{"methodConfig":[{"name":[{}],"retryPolicy":{"maxAttempts":2,
					"initialBackoff":"0.01s","maxBackoff":"0.01s","backoffMultiplier":1,"retryableStatusCodes":["UNAVAILABLE"]}}]}`))
			if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable {
				t.Error(got.err)
			}
			var attempts []int
			for _, v := range f.seen() {
				attempts = append(attempts, v.attempt)
			}
			if !slices.Equal(attempts, []int{1, 2, 2, 3}) {
				t.Errorf("the server saw attempts %d", attempts)
			}
		})
	}
}

// Three services in a row that make three attempts each: the last is not called
// 27 times.
func TestNestedRetries(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			server := []grpc.ServerOption{
				grpc.UnaryInterceptor(retrygrpc.UnaryServerInterceptor(retrygrpc.ServerConfig{})),
				grpc.StreamInterceptor(retrygrpc.StreamServerInterceptor(retrygrpc.ServerConfig{})),
			}
			client := func() []grpc.DialOption {
				return again(newRetrier(t, retry.Config{Budget: budget(t, 1000)}), retrygrpc.ClientConfig{})
			}
			f := newFlaky(slices.Repeat([]error{down("")}, 100)...)
			cc := serve(t, f.numbers(), server, client()...)
			for range 2 {
				further := cc
				cc = serve(t, always(func(ctx context.Context, n int64) (int64, error) {
					got := call(ctx, further, n)
					return got.n, got.err
				}), server, client()...)
			}
			if got := call(t.Context(), cc, 1); status.Code(got.err) != codes.Unavailable {
				t.Error(got.err)
			}
			// Each adds its retries once, to the others' first attempt.
			if n := len(f.seen()); n != 7 {
				t.Errorf("%d calls reached the last service", n)
			}
		})
	}
}

func budget(t *testing.T, floor int) *retry.Budget {
	b, err := retry.NewBudget(retry.BudgetConfig{Floor: floor})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What was given up is the last attempt's status, and says all the rest.
func TestErrors(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			r := newRetrier(t, retry.Config{Name: "numbers", Budget: budget(t, 2)})
			last := detailed(t, codes.ResourceExhausted, time.Second)
			f := newFlaky(down("first"), down("second"), last, down("budget"), status.Error(codes.NotFound, "mine"))
			cc := serve(t, f.numbers(), nil, again(r, retrygrpc.ClientConfig{})...)

			got := call(t.Context(), cc, 1)
			st, ok := status.FromError(got.err)
			if !ok || st.Code() != codes.ResourceExhausted || len(st.Details()) != 2 {
				t.Errorf("%v", got.err)
			}
			gaveUp, ok := errors.AsType[*retry.Error](got.err)
			if !ok || gaveUp.Attempts != 3 || len(gaveUp.Causes) != 3 || !errors.Is(got.err, retry.ErrExhausted) {
				t.Errorf("%+v", got.err)
			}
			if !strings.Contains(got.err.Error(), "numbers") {
				t.Errorf("%v does not say what failed", got.err)
			}
			var says interface {
				Retryable() bool
				RetryDelay() time.Duration
			}
			if !errors.As(got.err, &says) || says.Retryable() || says.RetryDelay() != time.Second {
				t.Errorf("%v tells another Retrier to go on", got.err)
			}

			got = call(t.Context(), cc, 1)
			if !errors.Is(got.err, retry.ErrBudget) || status.Code(got.err) != codes.Unavailable {
				t.Errorf("%v", got.err)
			}
			if got = call(t.Context(), cc, 1); status.Convert(got.err).Message() != "mine" || got.err.Error() != status.Error(codes.NotFound, "mine").Error() {
				t.Errorf("%v", got.err)
			}
		})
	}
}

// A call whose context ends is over at once, by the context's code.
func TestContextEnds(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			r := newRetrier(t, retry.Config{Budget: budget(t, 100)})
			f := newFlaky(slices.Repeat([]error{down("")}, 100)...)
			cc := serve(t, f.numbers(), nil, again(r, retrygrpc.ClientConfig{Retry: func(_ string, err error) bool {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("Retry was asked about %v", err)
				}
				return true
			}})...)
			start := time.Now()

			canceled, cancel := context.WithCancel(t.Context())
			cancel()
			got := call(canceled, cc, 1)
			if status.Code(got.err) != codes.Canceled || !errors.Is(got.err, context.Canceled) {
				t.Errorf("dead: %v", got.err)
			}
			if n := len(f.seen()); n != 0 {
				t.Errorf("%d attempts of a dead call", n)
			}

			// In the pause.
			waiting, cancel := context.WithCancel(t.Context())
			go func() { <-time.After(pause / 2); cancel() }()
			got = call(waiting, cc, 1)
			if status.Code(got.err) != codes.Canceled || !errors.Is(got.err, context.Canceled) || time.Since(start) != pause/2 {
				t.Errorf("canceled in the pause: %v, after %v", got.err, time.Since(start))
			}

			// In the attempt.
			inside, cancel := context.WithCancel(t.Context())
			f.tell = func(ctx context.Context, _ int) error { cancel(); <-ctx.Done(); return ctx.Err() }
			got = call(inside, cc, 1)
			if status.Code(got.err) != codes.Canceled {
				t.Errorf("canceled in an attempt: %v", got.err)
			}
			synctest.Wait()
			f.tell = nil

			// Before it: the deadline would come first.
			start = time.Now()
			got = call(within(t, pause-1), cc, 1)
			if status.Code(got.err) != codes.Unavailable || !errors.Is(got.err, context.DeadlineExceeded) || time.Since(start) != 0 {
				t.Errorf("too late: %v, after %v", got.err, time.Since(start))
			}
			if n := len(f.seen()); n != 3 {
				t.Errorf("%d attempts", n)
			}
		})
	}
}

// Servers see the caller's deadline, or the attempt's if that is earlier.
func TestDeadline(t *testing.T) {
	hang := func(ctx context.Context, n int) error {
		if n == 1 {
			<-ctx.Done()
			return ctx.Err()
		}
		return nil
	}
	bubble(t, "of the call", func(t *testing.T) {
		for kind, call := range kinds {
			f := newFlaky(down(""))
			cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			if got := call(within(t, time.Minute), cc, 1); got.err != nil {
				t.Errorf("%s: %v", kind, got.err)
			}
			visits := f.seen()
			if len(visits) != 2 || visits[0].left != time.Minute || visits[1].left != time.Minute-pause {
				t.Errorf("%s: %+v", kind, visits)
			}
		}
	})
	bubble(t, "of the attempt", func(t *testing.T) {
		r := newRetrier(t, retry.Config{PerAttempt: time.Second})
		f := newFlaky()
		f.tell = hang
		cc := serve(t, f.numbers(), nil, again(r, retrygrpc.ClientConfig{})...)
		if got := callUnary(within(t, time.Minute), cc, 1); got.err != nil {
			t.Error(got.err)
		}
		visits := f.seen()
		if len(visits) != 2 || visits[0].left != time.Second || visits[1].left != time.Second || visits[1].at != time.Second+pause {
			t.Errorf("%+v", visits)
		}
	})
	bubble(t, "of the only attempt", func(t *testing.T) {
		f := newFlaky()
		f.tell = hang
		cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{PerAttempt: time.Second, MaxAttempts: 1}), retrygrpc.ClientConfig{})...)
		got := callUnary(t.Context(), cc, 1)
		if status.Code(got.err) != codes.DeadlineExceeded || !errors.Is(got.err, retry.ErrAttemptTimeout) {
			t.Error(got.err)
		}
	})
	bubble(t, "of the call, passed", func(t *testing.T) {
		for kind, call := range kinds {
			f := newFlaky()
			f.tell = hang
			cc := serve(t, f.numbers(), nil, again(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})...)
			got := call(within(t, time.Second), cc, 1)
			if status.Code(got.err) != codes.DeadlineExceeded || len(f.seen()) != 1 {
				t.Errorf("%s: %v", kind, got.err)
			}
		}
	})
}

// A claim is some other package's error, under the contract between packages.
type claim struct {
	error
	retryable bool
	delay     time.Duration
}

func (c claim) Unwrap() error             { return c.error }
func (c claim) Retryable() bool           { return c.retryable }
func (c claim) RetryDelay() time.Duration { return c.delay }

// What an inner interceptor's error says of itself counts.
func TestContract(t *testing.T) {
	for name, tt := range map[string]struct {
		err  error
		want time.Duration // 0: not at all
	}{
		"not retryable":           {claim{down(""), false, time.Second}, 0},
		"retryable":               {claim{status.Error(codes.ResourceExhausted, ""), true, 0}, pause},
		"retryable, later":        {fmt.Errorf("paced: %w", claim{status.Error(codes.ResourceExhausted, ""), true, 2 * pause}), 2 * pause},
		"permanent":               {retry.Permanent(down("")), 0},
		"no status":               {errors.New(secret), 0},
		"no status, but says so":  {claim{errors.New(secret), true, 0}, pause},
		"a status further inside": {fmt.Errorf("%s: %w", secret, down("")), pause},
	} {
		bubble(t, name, func(t *testing.T) {
			start, attempts := time.Now(), 0
			err := retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})(t.Context(), "", nil, nil, nil,
				func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					if attempts++; attempts == 1 {
						return tt.err
					}
					return nil
				})
			if tt.want == 0 && (attempts != 1 || err != tt.err) || tt.want > 0 && (attempts != 2 || err != nil) || time.Since(start) != tt.want {
				t.Errorf("%d attempts, %v, after %v", attempts, err, time.Since(start))
			}
		})
	}
}

// Header, Trailer and Peer are the last attempt's, and of nothing if that did not
// reach a server.
func TestOptionsAreTheLastAttempts(t *testing.T) {
	for _, reached := range []bool{true, false} {
		bubble(t, fmt.Sprint(reached), func(t *testing.T) {
			f := newFlaky(down(""))
			f.tell = func(ctx context.Context, n int) error {
				md := metadata.Pairs(fmt.Sprint("attempt-", n), "yes")
				return errors.Join(grpc.SetHeader(ctx, md), grpc.SetTrailer(ctx, md))
			}
			attempts := 0
			cc := serve(t, f.numbers(), nil, grpc.WithChainUnaryInterceptor(
				retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{MaxAttempts: 2}), retrygrpc.ClientConfig{}),
				func(ctx context.Context, fullMethod string, req, reply any, cc *grpc.ClientConn, invoker grpc.UnaryInvoker, opts ...grpc.CallOption) error {
					if attempts++; attempts == 2 && !reached {
						return down("no connection")
					}
					return invoker(ctx, fullMethod, req, reply, cc, opts...)
				}))
			header, trailer := metadata.Pairs("old", "yes"), metadata.Pairs("old", "yes")
			var p peer.Peer
			finished := 0
			var reply wrapperspb.Int64Value
			err := cc.Invoke(t.Context(), service+"Unary", wrapperspb.Int64(1), &reply, grpc.Header(&header), grpc.Trailer(&trailer),
				grpc.OnFinish(func(error) { finished++ }), grpc.Peer(&p))
			if (err == nil) != reached || finished != 1 {
				t.Errorf("%v, finished %d times", err, finished)
			}
			for name, md := range map[string]metadata.MD{"header": header, "trailer": trailer} {
				if md.Get("attempt-1") != nil || (md.Get("attempt-2") != nil) != reached || md.Get("old") != nil {
					t.Errorf("%s: %v", name, md)
				}
			}
			if (p.Addr != nil) != reached {
				t.Errorf("peer %v", p)
			}
		})
	}
}

// Panics and Goexit of inner interceptors go on, and end it.
func TestPanicsGoOn(t *testing.T) {
	for _, leave := range []func(){func() { panic(secret) }, runtime.Goexit} {
		calls := 0
		done := make(chan any)
		go func() {
			defer func() { done <- recover() }()
			_ = retrygrpc.UnaryClientInterceptor(newRetrier(t, retry.Config{}), retrygrpc.ClientConfig{})(t.Context(), "", nil, nil, nil,
				func(context.Context, string, any, any, *grpc.ClientConn, ...grpc.CallOption) error {
					calls++
					leave()
					return nil
				})
			t.Error("it returned")
		}()
		if v := <-done; v != nil && v != secret || calls != 1 {
			t.Errorf("recovered %v after %d calls", v, calls)
		}
	}
}

func TestConfigErrors(t *testing.T) {
	r := newRetrier(t, retry.Config{})
	hedged := retrygrpc.ClientConfig{Hedger: new(retry.Hedger)}
	for want, build := range map[string]func(){
		"retrygrpc: UnaryClientInterceptor of a nil *Retrier":                                 func() { retrygrpc.UnaryClientInterceptor(nil, retrygrpc.ClientConfig{}) },
		"retrygrpc: StreamClientInterceptor of a nil *Retrier":                                func() { retrygrpc.StreamClientInterceptor(nil, retrygrpc.ClientConfig{}) },
		"retrygrpc: UnaryClientInterceptor with ClientConfig.Hedger, but without Idempotent":  func() { retrygrpc.UnaryClientInterceptor(r, hedged) },
		"retrygrpc: StreamClientInterceptor with ClientConfig.Hedger, but without Idempotent": func() { retrygrpc.StreamClientInterceptor(r, hedged) },
	} {
		func() {
			defer func() {
				if v := recover(); v != want {
					t.Errorf("%v, want %q", v, want)
				}
			}()
			build()
		}()
	}
}
