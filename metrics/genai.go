package metrics

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"github.com/ballast-go/ballast/internal/promseries"
	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/prometheus/client_golang/prometheus"
)

// GenAIVersion is a version of OpenTelemetry's conventions for generative AI. They are
// in development; a version's series never change here.
type GenAIVersion uint8

const (
	_ GenAIVersion = iota
	// GenAI1_36 is that of semantic-conventions 1.36.0, with the label
	// gen_ai_system, which is what instrumentations that are older than that stay with.
	GenAI1_36
	// GenAI1_37 is that of semantic-conventions 1.37.0, with the label
	// gen_ai_provider_name. What it has of a server's metrics is the same up to 1.42.0
	// and, since they moved, in semantic-conventions-genai at commit 004902b8cb70.
	GenAI1_37
)

// GenAIConfig configures Metrics.GenAI.
type GenAIConfig struct {
	// Version has no default, so that another one is always your choice.
	Version GenAIVersion

	// Provider is what serves the models, gen_ai.provider.name or gen_ai.system, such
	// as "vllm". Required: 1 to 256 bytes of valid UTF-8.
	Provider string

	// ErrorType returns the error_type of a call that failed, a constant of the
	// program; "" makes it a success. Nil means "_OTHER" for all. It isn't asked about
	// a call whose context was canceled, which is "canceled" and nobody's error, or
	// that failed when the context's deadline had passed, which is "timeout".
	ErrorType func(error) string

	_ struct{}
}

// GenAI counts what a server of generative models does for its clients:
//
//	gen_ai_server_request_duration_seconds       histogram  of each call, with an error_type if it failed
//	gen_ai_server_time_to_first_token_seconds    histogram  of each call that succeeded and streamed
//	gen_ai_server_time_per_output_token_seconds  histogram  the same, from the first token on
//
// by gen_ai_operation_name, gen_ai_provider_name (or gen_ai_system),
// gen_ai_request_model and gen_ai_response_model. Metrics.GenAI makes it. A nil *GenAI
// counts nothing.
type GenAI struct {
	calls  *genAICalls
	config GenAIConfig
}

// GenAI registers the series of generative models. It may be called again, with another
// Provider too; another Version is an error, and all that is wrong with cfg is one.
//
// Names of models may be the clients': at most Config.MaxSeries combinations have
// series, others are counted as "_other".
func (m *Metrics) GenAI(cfg GenAIConfig) (*GenAI, error) {
	var errs []error
	if cfg.Version != GenAI1_36 && cfg.Version != GenAI1_37 {
		errs = append(errs, fmt.Errorf("metrics: GenAIConfig.Version: %d is neither GenAI1_36 nor GenAI1_37", cfg.Version))
	}
	if cfg.Provider == "" || len(cfg.Provider) > maxLabelBytes || !utf8.ValidString(cfg.Provider) {
		errs = append(errs, fmt.Errorf("metrics: GenAIConfig.Provider: %.300q is not 1 to %d bytes of valid UTF-8", cfg.Provider, maxLabelBytes))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	shared, err := m.Attach(newGenAICalls(m.series, cfg.Version))
	if err != nil {
		return nil, fmt.Errorf("metrics: GenAIConfig.Version: %w", err)
	}
	calls, ok := shared.(*genAICalls)
	if !ok {
		return nil, errors.New("metrics: GenAIConfig.Version: another collector has the names of its series")
	}
	return &GenAI{calls, cfg}, nil
}

// A GenAIRequest is what a model is asked for.
type GenAIRequest struct {
	// Operation is a constant such as "chat", "text_completion" or "embeddings".
	Operation string
	// Model is the name that the client asked for.
	Model string
	// ResponseModel is the name of the model that answers; empty if it is the same or
	// not known.
	ResponseModel string

	_ struct{}
}

// Do runs fn as a call of a model and counts it, however fn ends: a panic's
// error_type is "panic", runtime.Goexit's is "goexit", and both go on.
func (g *GenAI) Do(ctx context.Context, r GenAIRequest, fn func(*GenAICall) error) error {
	c := g.Begin(ctx, r)
	failure := "goexit"
	defer func() {
		if failure != "" {
			c.end(failure)
		}
	}()
	defer func() {
		if v := recover(); v != nil {
			failure = "panic"
			panic(v) // its stack is still there: this runs on top of it
		}
	}()
	err := fn(c)
	failure = ""
	c.End(err)
	return err
}

// Begin begins a call, at ctx's request, which its End counts. Do is safer: a
// deferred End counts a panic as a success.
func (g *GenAI) Begin(ctx context.Context, r GenAIRequest) *GenAICall {
	if g == nil {
		return nil
	}
	return &GenAICall{genAI: g, ctx: ctx, request: r, start: time.Now()}
}

// A GenAICall is one call of a model. Its methods may be called from several
// goroutines. A nil *GenAICall counts nothing.
type GenAICall struct {
	genAI   *GenAI
	ctx     context.Context
	request GenAIRequest
	start   time.Time
	first   atomic.Int64 // ns from start to the first token; 0 until then
	tokens  atomic.Int64
	ended   atomic.Bool
}

// FirstToken notes that an answer that streams begins to leave. Only the first call
// counts. Without it there is no time to the first token, nor for each after it.
func (c *GenAICall) FirstToken() {
	if c != nil && c.first.Load() == 0 {
		c.first.CompareAndSwap(0, max(1, int64(time.Since(c.start))))
	}
}

// Tokens adds n tokens to those of the answer, the first one among them.
func (c *GenAICall) Tokens(n int) {
	if c != nil && n > 0 {
		c.tokens.Add(int64(n))
	}
}

// End counts the call, once. Only the first one counts.
func (c *GenAICall) End(err error) {
	switch {
	case c == nil:
	case gaveUp(c.ctx, err):
		c.end(callerLeft)
	default:
		c.end(kindOf(c.ctx, err, otherOTel, c.genAI.config.ErrorType))
	}
}

func (c *GenAICall) end(errorType string) {
	if c == nil || !c.ended.CompareAndSwap(false, true) {
		return
	}
	took := time.Since(c.start)
	s := c.genAI.calls.lookup(genAIKey{c.genAI.config.Provider, c.request.Operation, c.request.Model, c.request.ResponseModel, errorType})
	observe := func(h *promseries.Histogram, seconds float64) { h.Observe(seconds) }
	if state := reqstate.FromContext(c.ctx); state != nil {
		if rec := state.Record(); rec.Sampled {
			observe = func(h *promseries.Histogram, seconds float64) {
				h.ObserveTraced(seconds, c.start.Add(took), promseries.Trace{ID: rec.TraceID, Span: rec.SpanID})
			}
		}
	}
	observe(s.duration, took.Seconds())
	first := time.Duration(c.first.Load())
	if errorType != "" || first == 0 {
		return
	}
	observe(s.first, first.Seconds())
	if n := c.tokens.Load(); n > 1 {
		observe(s.perToken, max(0, took-first).Seconds()/float64(n-1))
	}
}

type genAIKey struct{ provider, operation, model, responseModel, errorType string }

type genAISeries struct{ duration, first, perToken *promseries.Histogram }

// genAICalls are the series of all GenAI of a Registerer.
type genAICalls struct {
	duration, first, perToken *promseries.HistogramVec

	known      *promseries.Table[genAIKey, *genAISeries]
	overflow   [3]atomic.Pointer[genAISeries] // succeeded, canceled, failed
	overflowed prometheus.Counter
}

func newGenAICalls(s *series, v GenAIVersion) *genAICalls {
	provider := "gen_ai_provider_name"
	if v == GenAI1_36 {
		provider = "gen_ai_system"
	}
	histogram := func(name, help string, buckets []float64, labels ...string) *promseries.HistogramVec {
		return promseries.NewHistogramVec(promseries.HistogramOpts{
			Name: name, Help: help, Buckets: buckets, Native: s.native,
			Labels: append([]string{"gen_ai_operation_name", provider, "gen_ai_request_model", "gen_ai_response_model"}, labels...),
		})
	}
	return &genAICalls{
		duration: histogram("gen_ai_server_request_duration_seconds",
			"Generative AI server request duration such as time-to-last byte or last output token.",
			[]float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}, "error_type"),
		first: histogram("gen_ai_server_time_to_first_token_seconds",
			"Time to generate first token for successful responses.",
			[]float64{0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10}),
		perToken: histogram("gen_ai_server_time_per_output_token_seconds",
			"Time per output token generated after the first token for successful responses.",
			[]float64{0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5}),
		known:      promseries.NewTable[genAIKey, *genAISeries](s.settings.series),
		overflowed: s.overflows.WithLabelValues("gen_ai"),
	}
}

func (c *genAICalls) collectors() group { return group{c.duration, c.first, c.perToken} }

// Describe implements prometheus.Collector.
func (c *genAICalls) Describe(ch chan<- *prometheus.Desc) { c.collectors().Describe(ch) }

// Collect implements prometheus.Collector.
func (c *genAICalls) Collect(ch chan<- prometheus.Metric) { c.collectors().Collect(ch) }

func (c *genAICalls) lookup(k genAIKey) *genAISeries {
	if s, ok := c.known.Get(k); ok {
		return s
	}
	if k.fits() && !c.known.Full() {
		k.operation, k.model = strings.Clone(k.operation), strings.Clone(k.model) // of whatever they are a part of
		k.responseModel, k.errorType = strings.Clone(k.responseModel), strings.Clone(k.errorType)
		if s, ok := c.known.Add(k, c.build); ok {
			return s
		}
	}
	c.overflowed.Inc()
	i, errorType := 2, otherOTel
	switch k.errorType {
	case "":
		i, errorType = 0, ""
	case callerLeft:
		i, errorType = 1, callerLeft
	}
	if s := c.overflow[i].Load(); s != nil {
		return s
	}
	s := c.build(genAIKey{other, other, other, other, errorType})
	c.overflow[i].Store(s)
	return s
}

func (k *genAIKey) fits() bool {
	return max(len(k.operation), len(k.model), len(k.responseModel), len(k.errorType)) <= maxLabelBytes
}

func (c *genAICalls) build(k genAIKey) *genAISeries {
	labels := []string{validLabel(k.operation), k.provider, validLabel(k.model), validLabel(k.responseModel)}
	return &genAISeries{
		duration: c.duration.With(append(labels, validLabel(k.errorType))...),
		first:    c.first.With(labels...),
		perToken: c.perToken.With(labels...),
	}
}
