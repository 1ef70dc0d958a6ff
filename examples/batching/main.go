// Command batching answers who is closest to a person in a network of 5,000,
// and computes what is asked at the same time together.
//
//	go run ./examples/batching
//	curl -s localhost:8080/closest -d 4711
//	curl -s localhost:8080/metrics | grep batching_
//
// This file is the service, network.go what it computes.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchingprom"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "localhost:8080")
	if err == nil {
		log.Println("listening on", listener.Addr())
		err = serve(ctx, listener)
	}
	if err != nil {
		log.Fatal(err)
	}
}

// serve answers requests until ctx ends, and then those it has accepted.
func serve(ctx context.Context, listener net.Listener) error {
	batcher, err := batching.New(newNetwork(5_000).closest, batching.Config[int]{
		Name:          "closest",
		TargetLatency: 2 * time.Second, // rather a quick 503 than a late answer
	})
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(batchingprom.NewCollector(batcher))

	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("POST /closest", func(w http.ResponseWriter, r *http.Request) {
		var person int
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 100)).Decode(&person); err != nil {
			http.Error(w, "The body must be a person's number.", http.StatusBadRequest)
			return
		}
		closest, err := batcher.Do(r.Context(), person) // one item in, its answer out
		switch {
		case errors.Is(err, errNobody):
			http.Error(w, "There is no such person.", http.StatusNotFound)
		case err != nil:
			batching.WriteError(w, r, err)
		default:
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(map[string]int{"person": person, "closest": closest})
		}
	})

	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	// Requests first: those that are in flight still need the batcher.
	drain, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return errors.Join(err, server.Shutdown(drain), batcher.Close(drain))
}
