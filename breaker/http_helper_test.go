package breaker_test

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ballast-go/ballast/breaker"
)

func breakerOf(tb testing.TB, cfg breaker.Config) *breaker.Breaker {
	tb.Helper()
	b, err := breaker.New(cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// reported words all outcomes that b has heard of.
func reported(b *breaker.Breaker) string {
	s := b.Stats()
	switch [4]uint64{s.Successes, s.Failures, s.Ignored, s.Late} {
	case [4]uint64{}:
		return "nothing"
	case [4]uint64{1}:
		return "success"
	case [4]uint64{0, 1}:
		return "failure"
	case [4]uint64{0, 0, 1}:
		return "ignore"
	}
	return fmt.Sprintf("%d successes, %d failures, %d ignored, %d late", s.Successes, s.Failures, s.Ignored, s.Late)
}

func wantOutcome(tb testing.TB, b *breaker.Breaker, want string) {
	tb.Helper()
	if got := reported(b); got != want {
		tb.Errorf("reported: %s; want %s", got, want)
	}
}

// halfOpen returns a breaker that lets one probe through. In a bubble.
func halfOpen(tb testing.TB, cfg breaker.Config) *breaker.Breaker {
	tb.Helper()
	cfg.ConsecutiveFailures, cfg.Probes = 1, 1
	b := breakerOf(tb, cfg)
	p, err := b.Allow()
	if err != nil {
		tb.Fatal(err)
	}
	p.Done(breaker.Failure)
	pass(time.Minute)
	return b
}

// pass lets d of a bubble's time go by. It uses no timer's own channel: whoever
// receives from one may run a bubble's timers beside the bubble, which crashes
// the race detector now and then (golang/go#78156).
func pass(d time.Duration) {
	passed := make(chan struct{})
	time.AfterFunc(d, func() { close(passed) })
	<-passed
}

// eachProtocol runs f against HTTP/1.1 over TCP and HTTP/2 over TLS.
func eachProtocol(t *testing.T, f func(t *testing.T, start func(http.HandlerFunc) *httptest.Server)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			f(t, func(h http.HandlerFunc) *httptest.Server {
				srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Proto != proto {
						t.Errorf("spoke %s", r.Proto)
					}
					h(w, r)
				}))
				srv.Config.ErrorLog = log.New(io.Discard, "", 0)
				if proto == "HTTP/2.0" {
					srv.EnableHTTP2 = true
					srv.StartTLS()
				} else {
					srv.Start()
				}
				t.Cleanup(srv.Close)
				return srv
			})
		})
	}
}

func flush(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() }

// stream sends s at once.
func stream(w http.ResponseWriter, s string) {
	_, _ = io.WriteString(w, s)
	flush(w)
}

func eventStream(w http.ResponseWriter) { w.Header().Set("Content-Type", "text/event-stream") }
