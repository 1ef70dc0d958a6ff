package metrics

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/prometheus/client_golang/prometheus"
)

// ModelInfo says what a model is. It becomes the labels of model_info, each at
// most 256 bytes of valid UTF-8.
type ModelInfo struct {
	// ID is the model's name, the label model_id of all that it does. Unique
	// in a Metrics and required.
	ID string

	// Version is the version of its weights, such as "1.0.0". Empty means
	// that the label is empty.
	Version string

	// Framework is what runs it, such as "onnxruntime". Empty means that the
	// label is empty.
	Framework string

	_ struct{}
}

// A Model counts what one model does. Metrics.Model makes it. A nil *Model
// counts nothing.
type Model struct {
	inference *promseries.Histogram
	failures  *promseries.Table[string, prometheus.Counter]
	fail      func(errorType string) prometheus.Counter
	other     prometheus.Counter
	overflow  prometheus.Counter
}

// Model registers a model, for as long as the Metrics lives. Its series are
// there at once: model_info as 1, the others as 0.
//
// It returns all that is wrong with info at once; also an ID that is
// registered already, and more models than Config.MaxModels, are errors.
func (m *Metrics) Model(info ModelInfo) (*Model, error) {
	if err := info.check(); err != nil {
		return nil, err
	}
	return m.series.models.add(info)
}

func (i ModelInfo) check() error {
	var errs []error
	if i.ID == "" {
		errs = append(errs, errors.New("metrics: ModelInfo.ID: is empty"))
	}
	for _, f := range [...]struct{ name, value string }{
		{"ID", i.ID}, {"Version", i.Version}, {"Framework", i.Framework},
	} {
		if len(f.value) > maxLabelBytes {
			errs = append(errs, fmt.Errorf("metrics: ModelInfo.%s: has %d bytes, more than %d", f.name, len(f.value), maxLabelBytes))
		} else if !utf8.ValidString(f.value) {
			errs = append(errs, fmt.Errorf("metrics: ModelInfo.%s: %q is not valid UTF-8", f.name, f.value))
		}
	}
	return errors.Join(errs...)
}

// Observe records that an inference took d, whether it succeeded or not. What
// one inference is, a request or a batch, is up to the caller. A negative d
// counts as 0.
func (m *Model) Observe(d time.Duration) {
	if m != nil {
		m.inference.Observe(max(0, d).Seconds())
	}
}

// CountError counts a failed prediction. errorType is a short constant of the
// program, such as "timeout" or "bad_input", never an error's text, of which
// there is no end: a model's first 31 types have a series each, everything
// else counts as "_other", so do the empty string and more than 256 bytes.
// What is not valid UTF-8 is replaced by U+FFFD.
func (m *Model) CountError(errorType string) {
	if m != nil {
		m.failure(errorType).Inc()
	}
}

func (m *Model) failure(errorType string) prometheus.Counter {
	if c, ok := m.failures.Get(errorType); ok {
		return c
	}
	if errorType != "" && len(errorType) <= maxLabelBytes && !m.failures.Full() {
		if c, ok := m.failures.Add(strings.Clone(errorType), m.fail); ok {
			return c
		}
	}
	m.overflow.Inc()
	return m.other
}

// models are the series of all models.
type models struct {
	info      *prometheus.GaugeVec
	failures  *prometheus.CounterVec
	inference *promseries.HistogramVec

	max        int
	registered *promseries.Table[string, *Model]
	overflow   prometheus.Counter
}

func newModels(s settings, overflows *prometheus.CounterVec) models {
	return models{
		info: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "model_info",
			Help: "Information about the model; always 1.",
		}, []string{"model_id", "version", "framework"}),
		failures: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "prediction_errors_total",
			Help: "Total prediction errors.",
		}, []string{"model_id", "error_type"}),
		inference: promseries.NewHistogramVec(promseries.HistogramOpts{
			Name:    "model_inference_duration_seconds",
			Help:    "Model inference time in seconds.",
			Labels:  []string{"model_id"},
			Buckets: []float64{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5},
			Native:  s.native,
		}),
		max:        s.models,
		registered: promseries.NewTable[string, *Model](s.models),
		overflow:   overflows.WithLabelValues("error_types"),
	}
}

func (s *models) add(info ModelInfo) (*Model, error) {
	added := false
	m, ok := s.registered.Add(strings.Clone(info.ID), func(id string) *Model {
		added = true
		return s.build(info)
	})
	switch {
	case added:
		return m, nil
	case ok:
		return nil, fmt.Errorf("metrics: ModelInfo.ID: %q is registered already", info.ID)
	}
	return nil, fmt.Errorf("metrics: ModelInfo.ID: no room for %q beside %d models (Config.MaxModels)", info.ID, s.max)
}

func (s *models) build(info ModelInfo) *Model {
	s.info.WithLabelValues(info.ID, info.Version, info.Framework).Set(1)
	fail := func(errorType string) prometheus.Counter {
		return s.failures.WithLabelValues(info.ID, validLabel(errorType))
	}
	return &Model{
		inference: s.inference.With(info.ID),
		failures:  promseries.NewTable[string, prometheus.Counter](maxErrorTypes - 1),
		fail:      fail,
		other:     fail(other),
		overflow:  s.overflow,
	}
}
