package metrics

import (
	"context"
	"time"
)

// Timed returns fn with its time observed by m, and what fails counted as one of
// m's errors, of the type that kind says, however fn ends:
//
//	"panic"    it panicked, which goes on
//	"goexit"   it left by runtime.Goexit, which goes on
//	"timeout"  it failed when its context's deadline had passed
//	kind(err)  else; "" is no error of the model, such as bad input
//
// kind must return constants, as for CountError; nil means "error" for all. What fails
// because the caller gave up, which is when the context is canceled, is timed but no
// error: nobody is to blame.
//
// A nil m counts nothing. It panics if fn is nil.
func Timed[In, Out any](m *Model, fn func(context.Context, In) (Out, error), kind func(error) string) func(context.Context, In) (Out, error) {
	if fn == nil {
		panic("metrics: Timed of a nil function")
	}
	if m == nil {
		return fn
	}
	return func(ctx context.Context, in In) (out Out, err error) {
		start := time.Now()
		failure := "goexit"
		defer func() {
			m.Observe(time.Since(start))
			if failure != "" {
				m.CountError(failure)
			}
		}()
		defer func() {
			if v := recover(); v != nil {
				failure = "panic"
				panic(v) // its stack is still there: this runs on top of it
			}
		}()
		out, err = fn(ctx, in)
		failure = ""
		if !gaveUp(ctx, err) {
			failure = kindOf(ctx, err, "error", kind)
		}
		return out, err
	}
}

// callerLeft is the error_type of what ended because its caller gave up.
const callerLeft = "canceled"

func gaveUp(ctx context.Context, err error) bool {
	return err != nil && ctx.Err() == context.Canceled
}

// kindOf returns what kind of failure err is: "" for none.
func kindOf(ctx context.Context, err error, otherwise string, kind func(error) string) string {
	switch {
	case err == nil:
		return ""
	case ctx.Err() == context.DeadlineExceeded:
		return "timeout"
	case kind != nil:
		return kind(err)
	}
	return otherwise
}
