package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

const theirs = "canary-c0ffee-8d1f" // whatever is the client's

// A prompt, a completion, credentials and all else that is the client's, pushed
// through every way in and out, appear in no record, whatever the schema, the
// format, the level and the end of the request.
func TestCanary(t *testing.T) {
	for _, schema := range []Schema{Guide, ECS, OTel, GCP} {
		for _, format := range []Format{JSON, Console} {
			t.Run(fmt.Sprint(schema, format), func(t *testing.T) { testCanary(t, schema, format) })
		}
	}
}

func testCanary(t *testing.T, schema Schema, format Format) {
	var out locked
	l, err := New(Config{Output: &out, Schema: schema, Format: format, Level: slog.LevelDebug})
	if err != nil {
		t.Fatal(err)
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Completion", theirs)
		io.WriteString(w, theirs)
	}))
	defer upstream.Close()
	client := &http.Client{Transport: NewTransport(nil, l, TransportConfig{RequestIDHeader: "X-Request-ID"})}
	infer := func(w http.ResponseWriter, r *http.Request) {
		prompt, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		req, _ := http.NewRequestWithContext(r.Context(), "POST", upstream.URL+"/"+theirs+"?prompt="+theirs, bytes.NewReader(prompt))
		req.URL.User = r.URL.User
		req.Header.Set("Authorization", "Bearer "+theirs)
		resp, err := client.Do(req)
		if err != nil {
			t.Error(err)
			return
		}
		w.Header().Set("X-Completion", theirs)
		io.Copy(w, resp.Body)
		resp.Body.Close()
		l.Usage(r.Context(), Usage{Model: "digits", InputTokens: 3})
		l.Audit(r.Context(), "event", slog.String("decision", "allow"))
		AddAttrs(r.Context(), slog.String("password", theirs), slog.Any("url", r.URL.User))
		switch r.URL.Path {
		case "/abort/" + theirs:
			panic(http.ErrAbortHandler)
		case "/panic/" + theirs:
			panic(errors.New("boom"))
		case "/unreachable/" + theirs:
			bad, _ := http.NewRequestWithContext(r.Context(), "GET", "http://"+theirs+":"+theirs+"@127.0.0.1:1/"+theirs+"?q="+theirs, nil)
			if _, err := client.Do(bad); err == nil {
				t.Error("reached")
			}
		}
	}
	mux := http.NewServeMux()
	for _, path := range []string{"/fine/", "/abort/", "/panic/", "/unreachable/"} {
		mux.HandleFunc(path+"{id}", infer)
	}
	srv := httptest.NewUnstartedServer(Recover(l)(Middleware(l, MiddlewareConfig{
		Query: []string{"model"}, Header: []string{"X-Tenant"},
	})(mux)))
	srv.Start()
	for _, path := range []string{"/fine/", "/abort/", "/panic/", "/unreachable/", "/none/"} {
		req, _ := http.NewRequestWithContext(context.Background(), "POST", srv.URL+path+theirs+"?token="+theirs+"&prompt="+theirs+"#"+theirs, strings.NewReader(theirs))
		for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "X-Prompt", "Referer", "X-Request-ID", "Traceparent", "X-Forwarded-For"} {
			req.Header.Set(name, theirs)
		}
		if resp, err := srv.Client().Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	srv.Close() // waits for all handlers
	got := out.String()
	if strings.Contains(got, theirs) {
		for line := range strings.Lines(got) {
			if strings.Contains(line, theirs) {
				t.Errorf("leaked: %s", line)
			}
		}
	}
	if n := strings.Count(got, "\n"); n != 5+4+1+4+4+1 { // requests, calls, one that failed, usages, audits, a panic
		t.Errorf("%d records:\n%s", n, got)
	}
}

type locked struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}
