package logging_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"

	"go.uber.org/zap"

	"github.com/ballast-go/ballast/logging"
)

func Example() {
	// The timestamp and the source change from run to run: show the rest.
	out, in := io.Pipe()
	go func() {
		l, err := logging.New(logging.Config{Name: "model-serving", Output: in, Level: slog.LevelDebug})
		if err != nil {
			panic(err)
		}
		l.Slog().Info("model loaded", "model_id", "digits-large", "parameters", 3715082)
		l.SetLevel(slog.LevelWarn)
		l.Slog().Info("not written")
		in.Close()
	}()
	var record map[string]any
	for d := json.NewDecoder(out); d.Decode(&record) == nil; {
		fmt.Println(record["level"], record["logger"], record["message"], record["model_id"], record["parameters"], record["function"])
	}
	// Output: INFO model-serving model loaded digits-large 3.715082e+06 Example.func1
}

func ExampleMiddleware() {
	l, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		panic(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /models/{id}", func(w http.ResponseWriter, r *http.Request) {
		// With the request's context a record carries the request's id.
		l.Slog().InfoContext(r.Context(), "looking up", "model_id", r.PathValue("id"))
		panic("nobody home")
	})
	var h http.Handler = mux
	h = logging.Middleware(l, logging.MiddlewareConfig{})(h)
	h = logging.Recover(l)(h) // outermost

	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/models/digits", nil))
	fmt.Print(w.Code, " ", w.Body)
	// Output: 500 {"type":"about:blank","title":"Internal Server Error","status":500}
}

// Mounted inside of the access log, Recover answers all the same, but a panic
// in a middleware outside of it is nobody's.
func ExampleRecover_incorrect() {
	l, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		panic(err)
	}
	broken := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a middleware broke") })
	}
	h := broken(logging.Recover(l)(http.NotFoundHandler())) // wrong order

	defer func() { fmt.Println("not recovered:", strings.ToUpper(fmt.Sprint(recover()))) }()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	// Output: not recovered: A MIDDLEWARE BROKE
}

// A schema renames the built-in fields; what is named like a secret is redacted
// wherever it stands.
func ExampleNew_schema() {
	l, err := logging.New(logging.Config{Schema: logging.ECS, Output: withoutTime{os.Stdout}, OmitSource: true, RedactKeys: []string{"pin"}})
	if err != nil {
		panic(err)
	}
	link, err := url.Parse("https://alice:hunter2@models.example/digits?version=3&access_token=hunter2")
	if err != nil {
		panic(err)
	}
	l.Slog().Warn("fetching failed",
		"url", link, "error", errors.New("timeout"),
		"card", map[string]any{"pin": 1234, "holder": "alice"})
	// Output:
	// {"log.level":"warn","ecs.version":"8.11.0","message":"fetching failed","url":"https://alice:xxxxx@models.example/digits?version=3&access_token=[redacted]","error.message":"timeout","card":{"holder":"alice","pin":"[redacted]"}}
}

// Names tell secrets, not texts: nobody can tell one from another in a sentence.
func ExampleLogger_Slog_incorrect() {
	l, err := logging.New(logging.Config{Output: withoutTime{os.Stdout}, OmitSource: true})
	if err != nil {
		panic(err)
	}
	token := "hunter2"
	l.Slog().Info("calling with token=" + token) // logged as it is
	l.Slog().Info("calling", "token", token)
	// Output:
	// {"level":"INFO","message":"calling with token=hunter2"}
	// {"level":"INFO","message":"calling","token":"[redacted]"}
}

// Code that logs through zap gets the same records.
func ExampleLogger_ZapCore() {
	l, err := logging.New(logging.Config{Output: withoutTime{os.Stdout}, OmitSource: true})
	if err != nil {
		panic(err)
	}
	zap.New(l.ZapCore()).Info("model loaded", zap.String("model_id", "digits"), zap.String("api_key", "hunter2"))
	// Output: {"level":"INFO","message":"model loaded","model_id":"digits","api_key":"[redacted]"}
}

// withoutTime takes the first field out, which changes from run to run.
type withoutTime struct{ w io.Writer }

func (o withoutTime) Write(p []byte) (int, error) {
	_, rest, _ := strings.Cut(string(p), ",")
	if _, err := io.WriteString(o.w, "{"+rest); err != nil {
		return 0, err
	}
	return len(p), nil
}
