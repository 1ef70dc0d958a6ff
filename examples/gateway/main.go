package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ballast-go/ballast/examples/gateway/internal/parrot"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr))
}

// run is the program: it serves until ctx ends, and returns the exit code: 0 for
// a clean end, 1 for a failure, 2 for a bad configuration.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	cfg, err := parseConfig(args, getenv, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "gateway: the configuration is wrong:\n%v\n", err)
		return 2
	}
	if err := serve(ctx, cfg, stdout, stderr); err != nil {
		fmt.Fprintf(stderr, "gateway: %v\n", err)
		return 1
	}
	return 0
}

// shutdownTimeout is how long streams may go on after a signal.
const shutdownTimeout = 30 * time.Second

func serve(ctx context.Context, cfg *config, stdout, stderr io.Writer) error {
	listener, err := net.Listen("tcp", cfg.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	if cfg.upstream == nil {
		bird, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &http.Server{Handler: parrot.Handler{Pace: 50 * time.Millisecond}, ReadHeaderTimeout: 5 * time.Second}
		go server.Serve(bird)
		defer server.Close()
		cfg.upstream = &url.URL{Scheme: "http", Host: bird.Addr().String()}
	}
	g, err := newGateway(cfg, stdout)
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "Budgets for %v on http://%v. Try:\n"+banner, cfg.upstream, listener.Addr())

	server := &http.Server{Handler: g.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second, IdleTimeout: 2 * time.Minute}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	if err := server.Shutdown(drain); err != nil {
		return errors.Join(fmt.Errorf("streams were cut: %w", err), server.Close())
	}
	return nil
}

const banner = `
  curl -iN %[2]v/v1/chat/completions -H 'Authorization: Bearer me' -H 'Content-Type: application/json' \
    -d '{"model":"parrot","stream":true,"messages":[{"role":"user","content":"Pieces of eight"}]}'
  curl -s %[2]v/metrics | grep -E '^(ratelimit|gateway)_'

`
