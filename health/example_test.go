package health_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/signal"
	"sync/atomic"
	"syscall"
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

// The main of a service: a first SIGTERM drains, a second ends the process at once.
func ExampleServe() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)

	h, err := health.New(health.Config{DrainDelay: 10 * time.Millisecond})
	if err != nil {
		fmt.Println(err)
		return
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("/readyz", h.ReadyHandler())
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}

	stop() // stands for the signal
	err = health.Serve(ctx, h, health.ServeConfig{
		Servers:         []health.Server{{Listener: l, HTTP: server}},
		PreStop:         5 * time.Second,  // as in the deployment,
		GracePeriod:     30 * time.Second, // and this
		ShutdownTimeout: 20 * time.Second,
		Close: []func(context.Context) error{
			func(context.Context) error { fmt.Println("batchers, clients, logs"); return nil },
		},
	})
	fmt.Println(err)
	// Output:
	// batchers, clients, logs
	// <nil>
}

// A Redis that all replicas share is no readiness check: when it is away, none of
// them is ready, whatever they could have done without it.
func ExampleConfig_incorrect() {
	ask := func(context.Context) error { return errors.New("connection refused") }
	incorrect := health.Config{Readiness: []health.Check{{Name: "redis", Func: ask}}}
	correct := health.Config{Dependencies: []health.Dependency{{Name: "redis", Func: ask}}}
	for _, c := range []health.Config{incorrect, correct} {
		h, err := health.New(c)
		if err != nil {
			fmt.Println(err)
			return
		}
		state, _ := h.State()
		fmt.Println(state, "ready:", h.Ready() == nil)
		_ = h.Close(context.Background())
	}
	// Output:
	// unhealthy ready: false
	// degraded ready: true
}

// A handler of streams says goodbye when Serve is about to cut it. Without that its
// client sees half an answer.
func ExampleServe_stream() {
	_ = func(w http.ResponseWriter, r *http.Request) {
		for chunk := range tokens(r.Context()) {
			fmt.Fprintf(w, "data: %s\n\n", chunk)
		}
		if errors.Is(context.Cause(r.Context()), health.ErrDraining) {
			fmt.Fprint(w, "event: error\ndata: the service is shutting down\n\n")
		}
	}
}

func tokens(context.Context) iter.Seq[string] { return func(func(string) bool) {} }

// A model is compiled for each batch size before the first request comes.
func ExampleWarmUp() {
	h, err := health.New(health.Config{Startup: []health.Check{
		health.WarmUp("warm-up", []int{1, 8, 32}, func(_ context.Context, size int) error {
			fmt.Println("forward pass of", size)
			return nil
		}),
	}})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(h.WaitReady(context.Background()))
	_ = h.Close(context.Background())
	// Output:
	// forward pass of 1
	// forward pass of 8
	// forward pass of 32
	// <nil>
}

// A watchdog sees what no error reports: a device that was given work and finishes
// none of it.
func ExampleLivenessCheck() {
	var given, finished atomic.Int64 // counted by whoever uses the device
	var before int64
	_ = health.LivenessCheck{
		Name:     "gpu",
		Interval: 10 * time.Second,
		Fall:     3, // half a minute, then the process is restarted
		Func: func() error {
			now := finished.Load()
			defer func() { before = now }()
			if now == before && given.Load() > now {
				return fmt.Errorf("%d batches wait and none has finished", given.Load()-now)
			}
			return nil
		},
	}
}

// A service that has no Serve drains, then shuts its server down, then closes: in that order
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
