package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
)

// service is everything that serves.
type service struct {
	cfg      *config
	logger   *logging.Logger
	log      *slog.Logger
	metrics  *metrics.Metrics
	health   *health.Health
	models   map[string]*model
	draining atomic.Bool
}

// newService makes a service that logs to stdout. serve closes it.
func newService(cfg *config, stdout io.Writer) (*service, error) {
	logger, err := logging.New(logging.Config{Name: "serving", Level: cfg.logLevel, Format: cfg.logFormat, Output: stdout})
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, logger: logger, log: logger.Slog(), models: make(map[string]*model)}
	if err := s.assemble(); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// assemble makes the parts that may fail. What it has started by then, close
// ends.
func (s *service) assemble() error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.metrics, err = metrics.New(metrics.Config{Registerer: registry}); err != nil {
		return err
	}
	held, err := digits.HeldOut()
	if err != nil {
		return err
	}
	for _, id := range digits.IDs() {
		if s.models[id], err = s.newModel(id, held); err != nil {
			delete(s.models, id)
			return err
		}
	}
	registerBatchers(registry, s.models)
	s.health, err = health.New(s.healthConfig())
	return err
}

// healthConfig has two checks for each model.
func (s *service) healthConfig() health.Config {
	c := health.Config{DrainDelay: drainDelay(s.cfg), OnStateChange: s.logState}
	for _, id := range slices.Sorted(maps.Keys(s.models)) {
		m := s.models[id]
		c.Startup = append(c.Startup, health.Check{Name: "warm-up:" + id, Func: m.warmUp})
		c.Readiness = append(c.Readiness, health.Check{Name: "canary:" + id, Func: m.canary})
	}
	return c
}

// drainDelay says no delay as health does, where zero means the default.
func drainDelay(cfg *config) time.Duration {
	if cfg.drainDelay == 0 {
		return -1
	}
	return cfg.drainDelay
}

func (s *service) logState(from, to health.State, why error) {
	log := s.log
	if why != nil {
		log = log.With("reason", why)
	}
	log.Info("health changed", "from", from, "to", to)
}

func (s *service) handler() http.Handler { return s.chain(s.api()) }

func (s *service) api() http.Handler {
	api := http.NewServeMux()
	api.HandleFunc("GET /{$}", s.index)
	api.HandleFunc("POST /predict", s.predict)
	api.HandleFunc("GET /models", s.listModels)
	api.HandleFunc("GET /models/{id}", s.showModel)
	return withProblems(api)
}

// chain is all that a request passes before the api, with the probes.
func (s *service) chain(api http.Handler) http.Handler {
	h := metrics.Middleware(s.metrics, metrics.MiddlewareConfig{})(api)
	h = logging.Middleware(s.logger, logging.MiddlewareConfig{})(h)

	// Probes and scrapes are neither logged nor counted.
	root := http.NewServeMux()
	root.Handle("/health", s.health.Handler())
	root.Handle("/livez", s.health.LiveHandler())
	root.Handle("/readyz", s.health.ReadyHandler())
	root.Handle("/startupz", s.health.StartupHandler())
	root.Handle("GET /metrics", s.metrics.Handler())
	root.HandleFunc("/metrics", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Allow", "GET, HEAD")
		writeProblem(w, &badRequest{status: http.StatusMethodNotAllowed})
	})
	root.Handle("/", h)
	return s.partWhenDraining(perWrite(logging.Recover(s.logger)(root), s.cfg.writeTimeout))
}

// partWhenDraining asks HTTP/1.1 clients to leave the connection once the
// service drains, so that none sends its next request into a closing one.
func (s *service) partWhenDraining(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.draining.Load() {
			w.Header().Set("Connection", "close")
		}
		next.ServeHTTP(w, r)
	})
}

// model is a network behind its batcher.
type model struct {
	net      *digits.Model
	held     []digits.Digit
	batcher  *batching.Batcher[[]float32, answer]
	metrics  *metrics.Model
	accuracy atomic.Pointer[float64] // on the held-out digits; nil before warmUp

	finishedBefore atomic.Uint64 // batches that were over at the last canary
}

// answer is one row's.
type answer struct {
	probabilities digits.Probabilities
	took          time.Duration // of the batch it was in
}

func (s *service) newModel(id string, held []digits.Digit) (*model, error) {
	net, err := digits.Open(id, digits.Config{})
	if err != nil {
		return nil, err
	}
	m := &model{net: net, held: held}
	if m.metrics, err = s.metrics.Model(metrics.ModelInfo{ID: id, Version: "1.0.0", Framework: "ballast-" + net.Kernel()}); err != nil {
		return nil, err
	}
	m.batcher, err = batching.New(m.run, s.cfg.batching(id))
	return m, err
}

// run computes one batch.
func (m *model) run(_ context.Context, in [][]float32, out []batching.Slot[answer]) error {
	start := time.Now()
	probabilities := make([]digits.Probabilities, len(in))
	err := m.net.Predict(in, probabilities)
	took := time.Since(start)
	m.metrics.Observe(took)
	if err != nil {
		return err
	}
	for i := range out {
		out[i].Set(answer{probabilities[i], took})
	}
	return nil
}

// leastAccuracy is what a network that was built right has.
const leastAccuracy = 0.98

// warmUp runs the network over the held-out digits, past the batcher. That
// brings its weights into memory, and weights that are damaged do not get
// traffic.
func (m *model) warmUp(context.Context) error {
	accuracy, err := m.net.Accuracy(m.held)
	if err != nil {
		return err
	}
	if accuracy < leastAccuracy {
		return fmt.Errorf("%s reads %.1f %% of the held-out digits, not %.1f", m.net.ID(), 100*accuracy, 100*leastAccuracy)
	}
	m.accuracy.Store(&accuracy)
	return nil
}

// canaryTimeout is less than the 2 s that package health gives the check:
// after these, what the canary says would be a failure in any case.
const canaryTimeout = time.Second

// canary asks the batcher for a digit, as a request would. Overload is no
// fault: a replica that leaves for it makes the others' load worse. So a full
// queue passes if batches ended since the last canary, and a late answer if
// some ended meanwhile. One that merely began does not count: a backend that
// hangs lets its first begin.
func (m *model) canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	finished := m.finished()
	before := m.finishedBefore.Swap(finished)
	got, err := m.batcher.Do(ctx, m.held[0].Input())
	switch {
	case errors.Is(err, batching.ErrQueueFull) && finished > before:
		return nil
	case err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) && m.finished() > finished:
		return nil
	case err != nil:
		return err
	}
	if class := got.probabilities.Class(); class != m.held[0].Label {
		return fmt.Errorf("%s takes a %d for a %d", m.net.ID(), m.held[0].Label, class)
	}
	return nil
}

// finished counts the batches that are over.
func (m *model) finished() uint64 {
	s := m.batcher.Stats()
	return s.Batches - uint64(s.Busy)
}
