package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

// waits waits for ctx to end.
func waits(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func TestClassify(t *testing.T) {
	broken := errors.New("broken")
	mine := func(err error) breaker.Outcome {
		if err == broken {
			return breaker.Success
		}
		return breaker.Failure
	}
	returns := func(err error) func(context.Context) error {
		return func(context.Context) error { return err }
	}
	for name, tc := range map[string]struct {
		ctx      func(context.Context) (context.Context, context.CancelFunc)
		classify func(error) breaker.Outcome
		fn       func(context.Context) error
		want     breaker.Outcome
	}{
		"nil":                    {fn: returns(nil), want: breaker.Success},
		"nil, not classified":    {fn: returns(nil), classify: func(error) breaker.Outcome { return breaker.Failure }, want: breaker.Success},
		"nil, canceled":          {ctx: canceledBy(nil), fn: func(ctx context.Context) error { _ = waits(ctx); return nil }, want: breaker.Success},
		"an error":               {fn: returns(broken), want: breaker.Failure},
		"a deadline's error":     {fn: returns(context.DeadlineExceeded), want: breaker.Failure},
		"a cancel inside":        {fn: returns(fmt.Errorf("inside: %w", context.Canceled)), want: breaker.Ignore},
		"a breaker inside":       {fn: returns(fmt.Errorf("inside: %w", &breaker.OpenError{Name: "inside"})), want: breaker.Ignore},
		"its caller's cancel":    {ctx: canceledBy(nil), fn: waits, want: breaker.Ignore},
		"that, another error":    {ctx: canceledBy(nil), fn: func(ctx context.Context) error { _ = waits(ctx); return broken }, want: breaker.Ignore},
		"that, with a cause":     {ctx: canceledBy(broken), fn: waits, want: breaker.Ignore},
		"that, not classified":   {ctx: canceledBy(nil), fn: waits, classify: mine, want: breaker.Ignore},
		"cause is a deadline":    {ctx: canceledBy(context.DeadlineExceeded), fn: func(ctx context.Context) error { _ = waits(ctx); return broken }, want: breaker.Failure},
		"and says canceled":      {ctx: canceledBy(context.DeadlineExceeded), fn: func(ctx context.Context) error { _ = waits(ctx); return ctx.Err() }, want: breaker.Failure},
		"its caller's deadline":  {ctx: expires, fn: waits, want: breaker.Failure},
		"a deadline of its own":  {fn: func(ctx context.Context) error { ctx, cancel := expires(ctx); defer cancel(); return waits(ctx) }, want: breaker.Failure},
		"classified as good":     {fn: returns(broken), classify: mine, want: breaker.Success},
		"classified as bad":      {fn: returns(context.Canceled), classify: mine, want: breaker.Failure},
		"classified as not both": {fn: returns(broken), classify: func(error) breaker.Outcome { return breaker.Ignore }, want: breaker.Ignore},
	} {
		t.Run(name, func(t *testing.T) {
			eachWay(t, func(t *testing.T, do doer) {
				b, ctx := newBreaker(t, breaker.Config{Classify: tc.classify}), t.Context()
				if tc.ctx != nil {
					var cancel context.CancelFunc
					ctx, cancel = tc.ctx(ctx)
					defer cancel()
				}
				_ = do(ctx, b, tc.fn)
				wantOne(t, b, tc.want)
			})
		})
	}
}

// canceledBy is a context that is canceled after a second.
func canceledBy(cause error) func(context.Context) (context.Context, context.CancelFunc) {
	return func(ctx context.Context) (context.Context, context.CancelFunc) {
		ctx, cancel := context.WithCancelCause(ctx)
		timer := time.AfterFunc(time.Second, func() { cancel(cause) })
		return ctx, func() { timer.Stop(); cancel(nil) }
	}
}

func expires(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, time.Second)
}

type doer func(context.Context, *breaker.Breaker, func(context.Context) error) error

// eachWay tests Do and Call, in a bubble.
func eachWay(t *testing.T, test func(*testing.T, doer)) {
	ways := []doer{
		func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
			return b.Do(ctx, fn)
		},
		func(ctx context.Context, b *breaker.Breaker, fn func(context.Context) error) error {
			_, err := breaker.Call(ctx, b, func(ctx context.Context) (int, error) { return 1, fn(ctx) })
			return err
		},
	}
	for _, way := range ways {
		synctest.Test(t, func(t *testing.T) { test(t, way) })
	}
}

func wantOne(t *testing.T, b *breaker.Breaker, o breaker.Outcome) {
	t.Helper()
	var want [3]uint64
	want[o] = 1
	if s := b.Stats(); [3]uint64{s.Successes, s.Failures, s.Ignored} != want || s.Late != 0 {
		t.Errorf("want one %v, got %+v", o, s)
	}
}

func TestClassifyPanics(t *testing.T) {
	eachWay(t, func(t *testing.T, do doer) {
		b := newBreaker(t, breaker.Config{Classify: func(error) breaker.Outcome { panic("classify") }})
		defer func() {
			if recover() != "classify" {
				t.Error("the panic is lost")
			}
			wantOne(t, b, breaker.Failure)
		}()
		_ = do(t.Context(), b, func(context.Context) error { return errors.New("broken") })
	})
}

// A call whose context has ended already is not made, and takes no probe's place.
func TestDeadContextIsNoCall(t *testing.T) {
	eachWay(t, func(t *testing.T, do doer) {
		b := newBreaker(t, breaker.Config{ConsecutiveFailures: 1, Probes: 1})
		p, _ := b.Allow()
		p.Done(breaker.Failure)
		<-time.After(time.Second)
		before := b.Stats()
		for _, end := range []func(context.Context) (context.Context, context.CancelFunc){canceledBy(nil), expires} {
			ctx, cancel := end(t.Context())
			_ = waits(ctx)
			err := do(ctx, b, func(context.Context) error { t.Error("called"); return nil })
			if err != ctx.Err() {
				t.Error(err)
			}
			cancel()
		}
		if after := b.Stats(); after != before {
			t.Errorf("%+v, was %+v", after, before)
		}
		if err := do(t.Context(), b, func(context.Context) error { return nil }); err != nil {
			t.Error("the probe's place is taken:", err)
		}
	})
}
