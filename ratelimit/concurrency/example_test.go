package concurrency_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

func Example() {
	l, err := concurrency.New(concurrency.Config{Max: 2})
	if err != nil {
		fmt.Println(err)
		return
	}
	work := func() error {
		p, err := l.Acquire(context.Background())
		if err != nil {
			return err
		}
		defer p.Release()
		return nil
	}
	fmt.Println(work())

	// With both permits out there is no third.
	for range 2 {
		p, err := l.Acquire(context.Background())
		if err != nil {
			fmt.Println(err)
			return
		}
		defer p.Release()
	}
	fmt.Println(work())
	fmt.Println(l.Stats().InFlight, "in flight")
	// Output:
	// <nil>
	// concurrency: limit reached and queue full
	// 2 in flight
}

// A server whose limit follows what it can take. Bursts wait for up to half a
// second, uploads may hold 256 MB, readers that stall are cut off, and the
// gateway may say which requests matter.
func ExampleMiddleware() {
	l, err := concurrency.New(concurrency.Config{
		Adaptive: &concurrency.Adaptive{},
		MaxQueue: 100,
		MaxWait:  500 * time.Millisecond,
		MaxBytes: 256 << 20,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, concurrency.CriticalityFromContext(r.Context()))
	})
	handler := concurrency.Middleware(l, concurrency.MiddlewareConfig{
		Trusted:      concurrency.FromPrefixes(netip.MustParsePrefix("192.0.2.0/24")),
		WriteTimeout: 30 * time.Second,
	})(mux)

	r := httptest.NewRequest("POST", "/v1/completions", http.NoBody) // from 192.0.2.1
	r.Header.Set("Criticality", "critical-plus")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output:
	// 200 critical-plus
}

// The class is not for the client to choose: whoever may send the header then
// is more important than everybody else.
func ExampleMiddleware_incorrect() {
	l, err := concurrency.New(concurrency.Config{Max: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := concurrency.Middleware(l, concurrency.MiddlewareConfig{
		Trusted: func(*http.Request) bool { return true }, // incorrect; FromPrefixes of your gateways
	})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, concurrency.CriticalityFromContext(r.Context()))
	}))
	r := httptest.NewRequest("GET", "/", http.NoBody)
	r.RemoteAddr = "203.0.113.66:4242" // anybody
	r.Header.Set("Criticality", "critical-plus")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output:
	// critical-plus
}

// A stream's latency is the time to its first byte. Without FirstByte long
// answers look like a slow service. The Middleware does this by itself.
func ExamplePermit_FirstByte() {
	l, err := concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := l.Acquire(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Release()
	for token := range 3 {
		p.FirstByte() // only the first call counts
		fmt.Println("token", token)
	}
	// Output:
	// token 0
	// token 1
	// token 2
}

// Pressure is read from what something else keeps up to date, and mapped to
// where it begins to hurt: memory that is always nine tenths full is no pressure.
func ExampleConfig_pressure() {
	var gpuMemory atomic.Uint64 // in percent; set by what watches the GPU
	l, err := concurrency.New(concurrency.Config{
		Max:      64,
		Pressure: func() float64 { return (float64(gpuMemory.Load()) - 90) / 10 },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	gpuMemory.Store(100)
	p, err := l.Acquire(context.Background()) // the first call asks
	if err != nil {
		fmt.Println(err)
		return
	}
	defer p.Release()
	_, err = l.Acquire(concurrency.ContextWithCriticality(context.Background(), concurrency.Sheddable))
	fmt.Println(err)
	// Output:
	// concurrency: shed in favor of more critical calls
}
