package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ballast-go/ballast/health"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// run is the program: it serves until ctx ends, drains, and returns the exit
// code: 0 for a clean end, 1 for a failure, 2 for a bad configuration.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) int {
	cfg, err := parseConfig(args, environ, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintf(stderr, "serving: the configuration is wrong:\n%v\nserving -h explains it.\n", err)
		return 2
	}
	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		fmt.Fprintf(stderr, "serving: %v\n", err)
		return 1
	}
	s, err := newService(cfg, stdout)
	if err != nil {
		fmt.Fprintf(stderr, "serving: %v\n", errors.Join(err, listener.Close()))
		return 1
	}
	text := banner
	if cfg.authenticates() {
		text = authBanner
	}
	fmt.Fprintf(stderr, text, listener.Addr())
	if err := s.serve(ctx, listener); err != nil {
		s.log.Error("stopped", "error", err)
		return 1
	}
	s.log.Info("stopped")
	return 0
}

const banner = `Serving handwritten digits on http://%[1]v. Try, from the repository's root:

  curl -s %[1]v/predict -d @examples/serving/testdata/seven.json
  curl -s %[1]v/models
  curl -s %[1]v/readyz
  curl -s %[1]v/metrics | grep -E 'http_requests_total|batching_'

Ctrl-C drains and stops.

`

// authBanner is for a service that wants to know who calls.
const authBanner = `Serving handwritten digits on http://%[1]v to callers that it knows. Try

  curl -s %[1]v
  curl -s %[1]v/readyz
  curl -s %[1]v/metrics | grep -E 'http_requests_total|batching_'

Ctrl-C drains and stops.

`

// serve answers requests until ctx ends, then drains and stops: see health.Serve. An
// error says what was cut.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	s.log.Info("listening", "address", listener.Addr().String())
	return health.Serve(ctx, s.health, health.ServeConfig{
		Servers:         []health.Server{{Listener: listener, HTTP: s.server(s.handler())}},
		ShutdownTimeout: s.cfg.shutdownTimeout,
		GracePeriod:     gracePeriod(s.cfg),
		Close:           []func(context.Context) error{s.closeModels, s.closeRest},
		CloseTimeout:    closeTimeout,
	})
}

// gracePeriod says no end as health does, where zero means the default.
func gracePeriod(cfg *config) time.Duration {
	if cfg.gracePeriod == 0 {
		return -1
	}
	return cfg.gracePeriod
}

// closeTimeout is how long batchers, checks and what flushes may take to end. It is
// their own: what used up the shutdown timeout was requests.
const closeTimeout = 2 * time.Second

// server returns the HTTP server of h with every limit set. WriteTimeout is not
// among them: it would cut a stream however lively it is. perWrite bounds each
// write instead.
func (s *service) server(h http.Handler) *http.Server {
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: s.cfg.readHeaderTimeout,
		ReadTimeout:       s.cfg.readTimeout,
		IdleTimeout:       s.cfg.idleTimeout,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
}

// close ends all that assemble has started.
func (s *service) close(ctx context.Context) error {
	return errors.Join(s.closeModels(ctx), s.closeRest(ctx))
}

// closeModels ends the batchers. It is apart, with a time of its own, because a
// model that hangs must not cost the last spans.
func (s *service) closeModels(ctx context.Context) error {
	var errs []error
	for _, m := range s.models {
		errs = append(errs, m.batcher.Close(ctx))
	}
	return errors.Join(errs...)
}

// closeRest ends the checks, the limit and what watches files, and sends off the
// spans that are left.
func (s *service) closeRest(ctx context.Context) error {
	defer s.traces.close(ctx)
	var errs []error
	if s.health != nil { // nil if assemble failed before
		errs = append(errs, s.health.Close(ctx))
	}
	if s.limits != nil { // likewise
		errs = append(errs, s.limits.close(ctx))
	}
	return errors.Join(append(errs, s.access.close(ctx))...)
}

// perWrite gives each write a deadline of its own, so that a stream may last
// and idle, but a client that stalls for longer than timeout ends it. It is for
// net/http's own writers, which can flush, and not for a handler that hijacks:
// the last deadline would stay on its connection.
func perWrite(next http.Handler, timeout time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d := deadlineWriter{w, http.NewResponseController(w), timeout}
		defer d.extend() // net/http's own flush comes after the handler
		next.ServeHTTP(d, r)
	})
}

type deadlineWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration
}

// extend ignores an error: a writer without deadlines has none to miss.
func (d deadlineWriter) extend() { _ = d.control.SetWriteDeadline(time.Now().Add(d.timeout)) }

// lift ends the deadline with its write: HTTP/2 resets a stream whose deadline
// passes, even if nothing is being written.
func (d deadlineWriter) lift() { _ = d.control.SetWriteDeadline(time.Time{}) }

func (d deadlineWriter) Unwrap() http.ResponseWriter { return d.ResponseWriter }

func (d deadlineWriter) Write(p []byte) (int, error) {
	d.extend()
	defer d.lift()
	return d.ResponseWriter.Write(p)
}

func (d deadlineWriter) Flush() { _ = d.FlushError() }

func (d deadlineWriter) FlushError() error {
	d.extend()
	defer d.lift()
	return d.control.Flush()
}
