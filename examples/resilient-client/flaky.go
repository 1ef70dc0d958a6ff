package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A flaky server says hello, but 503 to each twentieth request, and stands behind
// a proxy that can do worse.
type flaky struct {
	url     string
	reached atomic.Uint64 // requests

	server http.Server
	proxy  *toxiproxy.Proxy
	ended  chan struct{}
}

func startFlaky() (*flaky, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f := &flaky{ended: make(chan struct{})}
	f.server = http.Server{Handler: f, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		defer close(f.ended)
		_ = f.server.Serve(listener) // until close
	}()
	quiet := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	f.proxy = toxiproxy.NewProxy(quiet, "flaky", "127.0.0.1:0", listener.Addr().String())
	if err := f.proxy.Start(); err != nil {
		f.close()
		return nil, err
	}
	f.url = "http://" + f.proxy.Listen
	return f, nil
}

func (f *flaky) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	n := f.reached.Add(1)
	if n%20 == 0 {
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintf(w, "hello %d", n)
}

// suffer puts a toxic, as toxiproxy's documentation has it, in the place of the one
// before; "" is none. No request may be on its way.
func (f *flaky) suffer(ctx context.Context, toxic string) error {
	f.proxy.Toxics.ResetToxics(ctx)
	if toxic == "" {
		return nil
	}
	_, err := f.proxy.Toxics.AddToxicJson(strings.NewReader(toxic))
	return err
}

func (f *flaky) close() {
	f.proxy.Stop()
	_ = f.server.Close()
	<-f.ended
}
