package stackbench

import (
	"fmt"
	"io"
	"net/http"
	"time"
)

// middleware is what a layer puts in front of what is further in.
type middleware = func(http.Handler) http.Handler

// A stack is a server's chain, from the outermost layer to the innermost. Layers
// that are nil are not there.
type stack struct {
	recovery middleware
	traces   middleware
	logs     middleware // the access log, and the request's id
	series   middleware
	identity middleware
	limits   middleware
	circuit  middleware
}

func (s stack) chain(next http.Handler) http.Handler {
	layers := []middleware{s.recovery, s.traces, s.logs, s.series, s.identity, s.limits, s.circuit}
	for i := len(layers) - 1; i >= 0; i-- {
		if layers[i] != nil {
			next = layers[i](next)
		}
	}
	return next
}

// join makes one layer of several, the first of which is the outermost.
func join(all ...middleware) middleware {
	return func(next http.Handler) http.Handler {
		for i := len(all) - 1; i >= 0; i-- {
			next = all[i](next)
		}
		return next
	}
}

// A world is what a stack stands in: the same kind for everybody.
type world struct {
	signer *signer
	logs   io.Writer
	probe  *probe // nil: nobody looks
}

// A probe lets tests look at what a stack has counted and traced.
type probe struct {
	series func() ([]byte, error) // as Prometheus would scrape them
	spans  *exporter
}

const (
	route      = "/v1/completions" // the pattern of the only handler
	tenYears   = 10 * 365 * 24 * time.Hour
	agent      = "console/2.7 (linux; amd64)"
	remoteAddr = "203.0.113.77:41234"
	sampled    = 0.01 // of the requests are traced
)

var (
	jsonType = []string{"application/json"}
	answer   = []byte(`{"choices":[{"text":"hello"}]}`)
)

// service is what every stack protects: a mux, for that is how routes are known,
// and a handler that answers at once.
func service() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(answer)
	})
	return mux
}

// request is what every stack is given.
func request(token string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://models.example"+route, http.NoBody)
	if err != nil {
		panic(err) // of a constant
	}
	r.RemoteAddr, r.RequestURI = remoteAddr, route
	r.Header["Authorization"] = []string{"Bearer " + token}
	r.Header["User-Agent"] = []string{agent}
	return r
}

// discard is a response of which only the header and the status are kept.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) Flush()                      {}

func (d *discard) reset() {
	clear(d.header)
	d.status = http.StatusOK
}

// call calls h directly again and again, each answer of which must be 200.
func call(h http.Handler, r *http.Request) Op {
	w := &discard{header: http.Header{}}
	return func(_, n int) error {
		for range n {
			w.reset()
			h.ServeHTTP(w, r)
			if w.status != http.StatusOK {
				return fmt.Errorf("status %d, want 200", w.status)
			}
		}
		return nil
	}
}
