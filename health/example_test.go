package health_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/ballast-go/ballast/health"
)

func Example() {
	ctx := context.Background()
	h, err := health.New(health.Config{
		Startup: []health.Check{{
			Name: "model",
			Func: func(ctx context.Context) error { return nil }, // load the weights, run one forward pass
		}},
		Readiness: []health.Check{{
			Name:     "gpu",
			Func:     func(ctx context.Context) error { return nil }, // ask the device
			Interval: 5 * time.Second,
			Timeout:  time.Second,
		}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = h.Close(ctx) }()

	mux := http.NewServeMux()
	mux.Handle("/health", h.Handler())
	mux.Handle("/readyz", h.ReadyHandler())
	mux.Handle("/startupz", h.StartupHandler())
	mux.Handle("/livez", h.LiveHandler())

	if err := h.WaitReady(ctx); err != nil {
		fmt.Println(err)
		return
	}
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/health", nil))
	fmt.Println(answer.Code, answer.Body)
	// Output: 200 {"status":"healthy"}
}

// A service drains, then shuts its server down, then closes: in that order
// nothing is lost.
func ExampleHealth_Drain() {
	h, err := health.New(health.Config{DrainDelay: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	server := httptest.NewServer(h.Handler())
	defer server.Close()

	// On SIGTERM, with what the orchestrator allows for all of it:
	ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
	defer cancel()
	fmt.Println("drain:", h.Drain(ctx)) // load balancers notice; what still arrives is served
	fmt.Println("ready:", h.Ready())
	fmt.Println("live:", h.Live())
	fmt.Println("shutdown:", server.Config.Shutdown(ctx)) // finishes what is in flight
	fmt.Println("close:", h.Close(ctx))
	// Output:
	// drain: <nil>
	// ready: health: draining
	// live: <nil>
	// shutdown: <nil>
	// close: <nil>
}

// Fatal is for what only a restart cures; everything else belongs into a
// readiness check.
func ExampleHealth_Fatal() {
	h, err := health.New(health.Config{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = h.Close(context.Background()) }()

	h.Fatal(errors.New("CUDA error 700: the context is poisoned"))
	fmt.Println(h.Live())
	// Output: health: fatal: CUDA error 700: the context is poisoned
}
