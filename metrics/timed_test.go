package metrics_test

import (
	"context"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/metrics"
)

func TestTimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := mustNew(t, metrics.Config{})
		model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
		predict := metrics.Timed(model, func(_ context.Context, in func() error) (int, error) {
			time.Sleep(20 * time.Millisecond)
			return 42, in()
		}, func(err error) string {
			if errors.Is(err, io.ErrUnexpectedEOF) {
				return "" // bad input
			}
			return "backend"
		})
		call := func(ctx context.Context, in func() error) (out int, panicked any, err error) {
			done := make(chan struct{})
			go func() {
				defer close(done)
				defer func() { panicked = recover() }()
				out, err = predict(ctx, in)
			}()
			<-done
			return out, panicked, err
		}
		if out, _, err := call(t.Context(), func() error { return nil }); out != 42 || err != nil {
			t.Errorf("%v, %v", out, err)
		}
		if _, _, err := call(t.Context(), func() error { return io.EOF }); err != io.EOF {
			t.Errorf("%v", err)
		}
		call(t.Context(), func() error { return io.ErrUnexpectedEOF })
		if _, v, _ := call(t.Context(), func() error { panic("boom") }); v != "boom" {
			t.Errorf("panicked with %v", v)
		}
		call(t.Context(), func() error { runtime.Goexit(); return nil })
		gone, cancel := context.WithCancel(t.Context())
		call(gone, func() error { cancel(); return errors.New("the backend says that it was told to stop") })
		late, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		call(late, func() error { return late.Err() })
		cancel()
		got := scrape(t, m)
		for errorType, want := range map[string]float64{"backend": 1, "panic": 1, "goexit": 1, "timeout": 1, "_other": 0} {
			if n := got[failures("m", errorType)]; n != want {
				t.Errorf("%s: %v, want %v", errorType, n, want)
			}
		}
		if n := sum(only(got, "prediction_errors_total")); n != 4 {
			t.Errorf("%v errors, want 4", n)
		}
		if n, s := got[`model_inference_duration_seconds_count{model_id="m"}`], got[`model_inference_duration_seconds_sum{model_id="m"}`]; n != 7 || s < 0.139 || s > 0.141 {
			t.Errorf("%v timed, %v s", n, s)
		}
	})
}

func TestTimedWithoutKindOrModel(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	fail := func(context.Context, int) (int, error) { return 1, io.EOF }
	if out, err := metrics.Timed(model, fail, nil)(t.Context(), 0); out != 1 || err != io.EOF {
		t.Errorf("%v, %v", out, err)
	}
	if n := scrape(t, m)[failures("m", "error")]; n != 1 {
		t.Errorf("%v errors", n)
	}
	if out, err := metrics.Timed(nil, fail, nil)(t.Context(), 0); out != 1 || err != io.EOF {
		t.Errorf("%v, %v", out, err)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a nil function")
		}
	}()
	metrics.Timed[int, int](model, nil, nil)
}

func TestTimedAllocations(t *testing.T) {
	model := mustModel(t, mustNew(t, metrics.Config{}), metrics.ModelInfo{ID: "m"})
	fn := metrics.Timed(model, func(context.Context, int) (int, error) { return 0, nil }, nil)
	if n := testing.AllocsPerRun(100, func() { fn(context.Background(), 1) }); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
