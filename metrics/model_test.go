package metrics_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
)

func TestModelErrors(t *testing.T) {
	m := mustNew(t, metrics.Config{MaxModels: 2})
	mustModel(t, m, metrics.ModelInfo{ID: "a", Version: "1"})
	tests := []struct {
		name string
		info metrics.ModelInfo
		want []string
	}{
		{"empty", metrics.ModelInfo{Version: "\xff", Framework: strings.Repeat("x", 257)}, []string{
			"metrics: ModelInfo.ID: is empty",
			`metrics: ModelInfo.Version: "\xff" is not valid UTF-8`,
			"metrics: ModelInfo.Framework: has 257 bytes, more than 256",
		}},
		{"duplicate", metrics.ModelInfo{ID: "a", Version: "2"}, []string{`metrics: ModelInfo.ID: "a" is registered already`}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			model, err := m.Model(test.info)
			if err == nil || model != nil {
				t.Fatalf("Model = %v, %v", model, err)
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not say %q", err, want)
				}
			}
		})
	}
	mustModel(t, m, metrics.ModelInfo{ID: "b"})
	if _, err := m.Model(metrics.ModelInfo{ID: "c"}); err == nil || !strings.Contains(err.Error(), `no room for "c" beside 2 models (Config.MaxModels)`) {
		t.Errorf("above MaxModels: %v", err)
	}
	if _, err := m.Model(metrics.ModelInfo{ID: "a"}); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("a duplicate when full: %v", err)
	}
	if got := only(scrape(t, m), "model_info"); len(got) != 2 || sum(got) != 2 {
		t.Errorf("model_info: %v", got)
	}
}

func TestModelObserve(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	if n := scrape(t, m)[`model_inference_duration_seconds_count{model_id="m"}`]; n != 0 {
		t.Errorf("%v inferences before the first", n)
	}
	model.Observe(20 * time.Millisecond)
	model.Observe(-time.Hour)
	got := scrape(t, m)
	for k, want := range map[string]float64{
		`model_inference_duration_seconds_sum{model_id="m"}`:              0.02,
		`model_inference_duration_seconds_count{model_id="m"}`:            2,
		`model_inference_duration_seconds_bucket{model_id="m",le="0.01"}`: 1,
		`model_inference_duration_seconds_bucket{model_id="m",le="0.05"}`: 2,
	} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v", k, got[k], want)
		}
	}
}

func failures(model, errorType string) string {
	return `prediction_errors_total{error_type="` + errorType + `",model_id="` + model + `"}`
}

func TestModelCountError(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	model := mustModel(t, m, metrics.ModelInfo{ID: "m"})
	if n, ok := scrape(t, m)[failures("m", "_other")]; !ok || n != 0 {
		t.Errorf("no series before the first error: %v, %v", n, ok)
	}
	for _, errorType := range []string{"timeout", "timeout", "bad\xffinput", "", strings.Repeat("x", 257), "_other"} {
		model.CountError(errorType)
	}
	for i := range 1000 {
		model.CountError(fmt.Sprint("e", i))
	}
	model.CountError("timeout")
	got := only(scrape(t, m), "prediction_errors_total")
	for k, want := range map[string]float64{
		failures("m", "timeout"):        3,
		failures("m", "bad\uFFFDinput"): 1,
		failures("m", "e0"):             1,
		failures("m", "_other"):         3 + 1000 - 28, // timeout, bad input and _other take three of 31
	} {
		if got[k] != want {
			t.Errorf("%s is %v, want %v", k, got[k], want)
		}
	}
	if len(got) != 31 || sum(got) != 1006+1 {
		t.Errorf("%d series with %v errors", len(got), sum(got))
	}
}

func TestNilModel(t *testing.T) {
	var model *metrics.Model
	model.Observe(time.Second)
	model.CountError("timeout")
}

func TestModelAllocations(t *testing.T) {
	model := mustModel(t, mustNew(t, metrics.Config{}), metrics.ModelInfo{ID: "m"})
	if n := testing.AllocsPerRun(100, func() {
		model.Observe(time.Millisecond)
		model.CountError("timeout")
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
