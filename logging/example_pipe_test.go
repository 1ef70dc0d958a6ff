package logging_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"github.com/ballast-go/ballast/logging"
)

// A disk or a pipe that hangs makes no request wait; audit records are on a file of
// their own, and wait for it.
func ExampleNewAsyncWriter() {
	out, err := logging.NewAsyncWriter(os.Stdout, logging.AsyncConfig{MaxBytes: 4 << 20})
	if err != nil {
		panic(err)
	}
	var ledger strings.Builder
	l, err := logging.New(logging.Config{Output: out, Audit: &ledger})
	if err != nil {
		panic(err)
	}
	l.Slog().Debug("left out")
	l.Audit(context.Background(), "auth.authorize", slog.String("decision", "deny"))
	fmt.Println(out.Stats().Waiting, strings.Count(ledger.String(), "deny"))

	// When the server has ended, and for no longer than there is time:
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := out.Close(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err) // says how many records are lost
	}
	// Output: 0 1
}

// Who does not Close it loses what was logged last, which is what tells why.
func ExampleNewAsyncWriter_incorrect() {
	var file strings.Builder
	out, err := logging.NewAsyncWriter(&file, logging.AsyncConfig{Delay: time.Hour})
	if err != nil {
		panic(err)
	}
	l, err := logging.New(logging.Config{Output: out})
	if err != nil {
		panic(err)
	}
	l.Slog().Error("giving up")
	fmt.Println("waiting at os.Exit:", out.Stats().Waiting)
	// Output: waiting at os.Exit: 1
}

func ExampleAddAttrs() {
	var file strings.Builder
	l, err := logging.New(logging.Config{Output: &file})
	if err != nil {
		panic(err)
	}
	infer := func(_ http.ResponseWriter, r *http.Request) {
		// On a new model, say, each record is wanted, and more in it:
		logging.AddAttrs(r.Context(), logging.Keep(), slog.String("model_id", "digits"), slog.Int("batch_size", 8))
	}
	h := logging.Middleware(l, logging.MiddlewareConfig{
		Sample: &logging.Sample{Ratio: 0.01, SlowerThan: 2 * time.Second},
		Levels: map[string]slog.Level{"/healthz": slog.LevelDebug},
	})(http.HandlerFunc(infer))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))

	_, added, _ := strings.Cut(file.String(), `"outcome":"complete",`)
	fmt.Print(added)
	// Output: "model_id":"digits","batch_size":8}
}

func ExampleLogger_LevelHandler() {
	l, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		panic(err)
	}
	admin := http.NewServeMux() // on a listener of its own, or behind package auth
	admin.Handle("/log/level", l.LevelHandler())

	w := httptest.NewRecorder()
	admin.ServeHTTP(w, httptest.NewRequest("PUT", "/log/level", strings.NewReader(`{"level":"DEBUG"}`)))
	fmt.Print(w.Body)
	// Output: {"level":"DEBUG"}
}

func ExampleLogger_Usage() {
	var ledger lineWriter // a file of its own, in earnest
	l, err := logging.New(logging.Config{Output: io.Discard, Audit: &ledger})
	if err != nil {
		panic(err)
	}
	infer := func(w http.ResponseWriter, r *http.Request) {
		// … run the model, then say what it took, once for each inference:
		l.Usage(r.Context(), logging.Usage{
			ID: "acme/" + r.Header.Get("Idempotency-Key"), Tenant: "acme", Model: "digits",
			InputTokens: 12, OutputTokens: 345, DeviceSeconds: 0.25,
		})
	}
	h := logging.Middleware(l, logging.MiddlewareConfig{})(http.HandlerFunc(infer))
	r := httptest.NewRequest("POST", "/v1/infer", nil)
	r.Header.Set("Idempotency-Key", "7f3a")
	h.ServeHTTP(httptest.NewRecorder(), r)
	fmt.Println(strings.Contains(string(ledger), `"usage_id":"acme/7f3a","tenant":"acme","model_id":"digits","input_tokens":12,"output_tokens":345,"device_seconds":0.25`))
	// Output: true
}

type lineWriter []byte

func (w *lineWriter) Write(p []byte) (int, error) {
	*w = append(*w, p...)
	return len(p), nil
}

func ExampleNewTransport() {
	l, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		panic(err)
	}
	client := &http.Client{Transport: logging.NewTransport(nil, l, logging.TransportConfig{
		Level:           slog.LevelDebug,
		Route:           func(*http.Request) string { return "/v1/models/{id}" },
		RequestIDHeader: "X-Request-ID",
	})}
	_ = client // client.Do(req.WithContext(r.Context()))
}
