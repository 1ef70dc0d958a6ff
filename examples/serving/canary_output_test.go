package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// What a client sends goes through everything, and comes out nowhere: not in the
// log, the audit stream, the metrics, the spans or an answer to somebody else.
func TestClientsDataGoesNowhere(t *testing.T) {
	const canary = "canary-7f3a9b"
	// A collector that keeps what it is sent.
	var mu sync.Mutex
	var spans bytes.Buffer
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		_, _ = io.Copy(&spans, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	r := start(t, "-drain-delay=0", "-log-level=debug", "-rate-limit=0", "-trace-ratio=1", "-trace-protocol=http/protobuf", "-trace-endpoint="+collector.URL)
	until(t, "it is ready", func() bool { return strings.Contains(get(t, r.url+"/readyz"), `"healthy"`) })

	post := func(path, body string) string {
		req, err := http.NewRequest("POST", r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+canary)
		req.Header.Set("Cookie", "session="+canary)
		req.Header.Set("X-Api-Key", canary)
		req.Header.Set("X-Request-Id", canary)
		req.Header.Set("Baggage", "prompt="+canary)
		req.Header.Set("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
		req.Header.Set("Tracestate", "vendor="+canary)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		return read(t, resp)
	}
	well := string(requestBody("", make([]float32, 784)))
	for _, one := range []struct{ path, body string }{
		{"/predict?token=" + canary, well},
		{"/predict", strings.Replace(well, "{", `{"prompt":"`+canary+`",`, 1)},
		{"/predict", `{"input":"` + canary + `"}`},
		{"/predict", `{"model_id":"` + canary + `","input":[[1]]}`},
		{"/predict", canary},
		{"/" + canary, ""},
		{"/models/" + canary, ""},
	} {
		if got := post(one.path, one.body); strings.Contains(got, canary) {
			t.Errorf("%s answers %s", one.path, got)
		}
	}
	page := get(t, r.url+"/metrics")
	r.stop()
	if code := <-r.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
	mu.Lock()
	defer mu.Unlock()
	for name, text := range map[string]string{"stdout": r.stdout.String(), "stderr": r.stderr.String(), "metrics": page, "spans": spans.String()} {
		for line := range strings.Lines(text) {
			if strings.Contains(line, canary) {
				t.Errorf("%s has it: %.300s", name, line)
			}
		}
	}
	// All of them had something to tell.
	for name, want := range map[string]string{r.stdout.String(): `"trace_id"`, page: "http_requests_total", spans.String(): "postprocess"} {
		if !strings.Contains(name, want) {
			t.Errorf("no %s", want)
		}
	}
}
