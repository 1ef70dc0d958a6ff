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
	"github.com/ballast-go/ballast/health/healthprom"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/tracing"
)

// service is everything that serves.
type service struct {
	cfg     *config
	logger  *logging.Logger
	log     *slog.Logger
	metrics *metrics.Metrics
	health  *health.Health
	limits  *limits // nil until assembled
	access  *access // nil: everybody may do everything
	traces  *traces
	models  map[string]*model

	assembled chan struct{} // closed once health is there, or will not be
}

// newService makes a service that logs to stdout. serve closes it.
func newService(cfg *config, stdout io.Writer) (*service, error) {
	logger, err := logging.New(logging.Config{
		Name: "serving", Level: cfg.logLevel, Format: cfg.logFormat, Output: stdout, TraceContext: tracing.IDs,
	})
	if err != nil {
		return nil, err
	}
	s := &service{cfg: cfg, logger: logger, log: logger.Slog(), models: make(map[string]*model), assembled: make(chan struct{})}
	if err := s.assemble(); err != nil {
		ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		return nil, errors.Join(err, s.close(ctx))
	}
	return s, nil
}

// assemble makes the parts that may fail. What it has started by then, close
// ends.
func (s *service) assemble() error {
	defer close(s.assembled)
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	var err error
	if s.metrics, err = metrics.New(metrics.Config{Registerer: registry, NativeHistograms: s.cfg.nativeHistograms}); err != nil {
		return err
	}
	if s.traces, err = newTraces(s.cfg, s.log, registry); err != nil {
		return err
	}
	if s.limits, err = newLimits(s.cfg, registry); err != nil {
		return err
	}
	if s.access, err = newAccess(s.cfg, s.log, s.logger); err != nil {
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
	if s.health, err = health.New(s.healthConfig()); err != nil {
		return err
	}
	registry.MustRegister(healthprom.NewCollector(s.health))
	return nil
}

// healthConfig has three checks for each model.
func (s *service) healthConfig() health.Config {
	c := health.Config{DrainDelay: drainDelay(s.cfg), OnStateChange: s.logState, Verbose: isLocal}
	if s.limits.shared != nil {
		c.Dependencies = []health.Dependency{{Name: "redis", Func: s.limits.ping}}
	}
	for _, id := range slices.Sorted(maps.Keys(s.models)) {
		m := s.models[id]
		c.Startup = append(c.Startup,
			health.WarmUp("warm-up:"+id, warmUpSizes(s.cfg.maxBatch), m.warmUp),
			health.Check{Name: "accuracy:" + id, Func: m.measure})
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
	if to == health.StateDraining {
		s.log.Info("draining", "delay", s.cfg.drainDelay)
	}
}

func (s *service) handler() http.Handler { return s.chain(s.api()) }

func (s *service) api() http.Handler {
	api := http.NewServeMux()
	// Who calls and the limit are asked about behind the mux, so that who is turned
	// away is counted by the route that it asked for. What no route takes costs
	// nothing to refuse.
	known := func(h http.HandlerFunc) http.Handler { return s.access.require(s.limits.each(h)) }
	api.Handle("GET /{$}", s.limits.each(s.index))
	api.Handle("POST /predict", known(s.predict))
	api.Handle("GET /models", known(s.listModels))
	api.Handle("GET /models/{id}", known(s.access.reads(s.showModel)))
	// Not limited: what floods the limit of everybody on this machine, or behind one
	// proxy, is what an operator wants to see in the log.
	api.Handle("/debug/log-level", s.access.require(s.access.administers("log-level", s.logger.LevelHandler())))
	if s.access != nil && s.access.issuer != nil {
		api.Handle("POST /auth/login", s.limits.each(s.access.login))
		api.Handle("POST /auth/refresh", s.limits.each(s.access.refresh))
		api.Handle("POST /auth/logout", known(s.access.logout))
		api.Handle("GET /.well-known/jwks.json", s.limits.each(s.access.issuer.JWKSHandler().ServeHTTP))
	}
	return withProblems(api)
}

// chain is all that a request passes before the api, with the probes.
func (s *service) chain(api http.Handler) http.Handler {
	h := metrics.Middleware(s.metrics, metrics.MiddlewareConfig{})(api)
	h = logging.Middleware(s.logger, logging.MiddlewareConfig{Sample: &logging.Sample{Ratio: s.cfg.logSample, SlowerThan: s.cfg.targetLatency}})(h)
	h = s.traces.middleware(s.cfg)(h)

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
	return perWrite(logging.Recover(s.logger)(root), s.cfg.writeTimeout)
}

// model is a network behind its batcher.
type model struct {
	net      *digits.Model
	held     []digits.Digit
	batcher  *batching.Batcher[item, answer]
	metrics  *metrics.Model
	accuracy atomic.Pointer[float64] // on the held-out digits; nil before measure

	finishedBefore atomic.Uint64 // batches that were over at the last canary
}

// item is one row of a request.
type item struct {
	input []float32
	level int // interactive or background
}

// answer is one row's.
type answer struct {
	probabilities digits.Probabilities
	took          time.Duration // of the batch it was in
	share         time.Duration // of that, its own
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
	m.batcher, err = batching.New(m.run, s.batching(id))
	return m, err
}

// batching is what the batcher of the model with the given id is made with.
func (s *service) batching(id string) batching.Config[item] {
	c := s.cfg.batching(id)
	if s.traces.otlp != nil {
		c.OnBatch = tracing.BatchHook(s.traces.provider)
	}
	if c.BatchTimeout > 0 {
		c.OnExhausted = func(why error) { s.hopeless(id, why) }
	}
	return c
}

// hopeless is called when so many of a model's batches hang that one was not
// replaced. Nothing here can end them: what remains is to be restarted.
func (s *service) hopeless(id string, why error) {
	s.log.Error("a model hangs", "model_id", id, "error", why)
	<-s.assembled
	if s.health != nil {
		s.health.Fatal(why)
	}
}

// run computes one batch. It keeps nothing of in, which the batcher uses again;
// the rows themselves are their requests', and are left to the garbage
// collector, because a batch that hangs may read them for long.
func (m *model) run(_ context.Context, in []item, out []batching.Slot[answer]) error {
	start := time.Now()
	rows := make([][]float32, len(in))
	for i := range in {
		rows[i] = in[i].input
	}
	probabilities := make([]digits.Probabilities, len(in))
	err := m.net.Predict(rows, probabilities)
	took := time.Since(start)
	m.metrics.Observe(took)
	if err != nil {
		return err
	}
	for i := range out {
		out[i].Set(answer{probabilities[i], took, took / time.Duration(len(in))})
	}
	return nil
}

// leastAccuracy is what a network that was built right has.
const leastAccuracy = 0.98

// warmUpSizes are those of the batches that the networks are warmed up with: the
// powers of two, and the largest.
func warmUpSizes(largest int) (sizes []int) {
	for n := 1; n < largest; n *= 2 {
		sizes = append(sizes, n)
	}
	return append(sizes, largest)
}

// warmUp is a forward pass of size rows, past the batcher: no request pays for the
// first of its size, which brings weights into memory and takes room for the rows.
func (m *model) warmUp(_ context.Context, size int) error {
	rows := make([][]float32, size)
	for i := range rows {
		rows[i] = m.held[i%len(m.held)].Input()
	}
	return m.net.Predict(rows, make([]digits.Probabilities, size))
}

// measure runs the network over the held-out digits, past the batcher: weights that
// are damaged do not get traffic.
func (m *model) measure(context.Context) error {
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

// canary asks the batcher for a digit, as an interactive request would.
// Overload is no fault: a replica that leaves for it makes the others' load
// worse. So it passes to be turned away if batches ended since the last canary,
// and to be late if some ended meanwhile. One that merely began does not count:
// a backend that hangs lets its first begin.
func (m *model) canary(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, canaryTimeout)
	defer cancel()
	finished := m.finished()
	before := m.finishedBefore.Swap(finished)
	got, err := m.batcher.Do(ctx, item{input: m.held[0].Input()})
	switch {
	case overloaded(err) && m.finished() > before:
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

// overloaded reports whether a call was turned away because of others.
func overloaded(err error) bool {
	return errors.Is(err, batching.ErrQueueFull) || errors.Is(err, batching.ErrShed)
}

// finished counts the batches that ended, and not after their timeout.
func (m *model) finished() uint64 {
	s := m.batcher.Stats()
	return s.Batches - s.Timeouts - uint64(s.Busy)
}
