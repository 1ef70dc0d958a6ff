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

// serve answers requests until ctx ends, then drains: not ready any more, but
// serving, for the drain delay; then nothing new, and what is in flight is
// finished; then the batchers and the checks end. An error says what was cut.
func (s *service) serve(ctx context.Context, listener net.Listener) error {
	var open connections
	server := s.server(s.handler())
	server.ConnState = open.track
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	s.log.Info("listening", "address", listener.Addr().String())

	select {
	case <-ctx.Done():
		s.log.Info("draining", "delay", s.cfg.drainDelay)
	case err := <-failed:
		return errors.Join(err, server.Close(), s.close())
	}
	// All that follows has one deadline, and none of ctx's.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.drainDelay+s.cfg.shutdownTimeout)
	defer cancel()
	s.draining.Store(true)
	errs := []error{s.health.Drain(ctx)}
	// Shutdown drops requests that it has accepted but not read yet. So stop
	// accepting first, and let what is there be read.
	errs = append(errs, listener.Close())
	<-failed
	open.waitQuiet(ctx, requestLag)
	if err := server.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("requests were cut: %w", err), server.Close())
	}
	return errors.Join(append(errs, s.close())...)
}

const (
	// requestLag is how long a connection that was there when the listener
	// closed may take to send its request. Browsers open some in advance and
	// send nothing.
	requestLag = time.Second
	// closeTimeout is how long batchers and checks may take to end. It is their
	// own: what used up the shutdown timeout was requests.
	closeTimeout = time.Second
)

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

// close ends the batchers, then the checks, the limit and what watches files.
func (s *service) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	var errs []error
	for _, m := range s.models {
		errs = append(errs, m.batcher.Close(ctx))
	}
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
