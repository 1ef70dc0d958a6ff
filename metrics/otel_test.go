package metrics_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/metrics"
	"github.com/prometheus/client_golang/prometheus"
)

func otelLabels(method, route, status, errorType, scheme, protocol string) string {
	return fmt.Sprintf(`{error_type="%s",http_request_method="%s",http_response_status_code="%s",http_route="%s",network_protocol_version="%s",url_scheme="%s"}`,
		errorType, method, status, route, protocol, scheme)
}

func otelCount(method, route, status, errorType, protocol string) string {
	scheme := "http"
	switch protocol {
	case "2":
		scheme = "https"
	case "":
		scheme = ""
	}
	return "http_server_request_duration_seconds_count" + otelLabels(method, route, status, errorType, scheme, protocol)
}

// errorTypes are what the outcomes' routes have for error_type, if anything.
var errorTypes = map[string]string{
	"/panic": "panic", "/late-panic": "panic", "/abort": "aborted", "/goexit": "aborted",
	"/cut": "upstream-cut", "/event": "error-event", "/odd/{id}": "999",
}

func TestOTelOutcomes(t *testing.T) {
	overBoth(t, func(t *testing.T, http2 bool) {
		m := mustNew(t, metrics.Config{Names: metrics.OTel})
		mux := http.NewServeMux()
		protocol := map[bool]string{false: "1.1", true: "2"}[http2]
		want := map[string]float64{
			otelCount("GET", "/shed", "503", "shed", protocol):  1,
			otelCount("GET", "/plain", "503", "503", protocol):  1,
			otelCount("GET", "", "404", "", protocol):           1,
			otelCount("_OTHER", "/any", "200", "", protocol):    1,
			otelCount("GET", "/slow-down", "429", "", protocol): 1,
			otelCount("GET", "/gone", "499", "", protocol):      1,
		}
		mux.Handle("/any", outcomes["/ok"].handler)
		mux.Handle("/shed", turnedAway(503, "shed"))
		mux.Handle("/plain", turnedAway(503, ""))
		mux.Handle("/slow-down", turnedAway(429, "rate-limited"))
		ctx, cancel := context.WithCancel(t.Context())
		mux.HandleFunc("/gone", func(_ http.ResponseWriter, r *http.Request) {
			cancel()
			<-r.Context().Done()
		})
		for route, o := range outcomes {
			mux.Handle("GET "+route, o.handler)
			want[otelCount("GET", route, o.status, errorTypes[route], protocol)] = 1
		}
		s := newServer(t, http2, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
		s.Client().Transport.(*http.Transport).DisableKeepAlives = true
		send := func(ctx context.Context, method, path string) {
			r, err := http.NewRequestWithContext(ctx, method, s.URL+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := s.Client().Do(r)
			if err == nil {
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		}
		for _, path := range []string{"/shed", "/plain", "/nowhere", "/slow-down"} {
			send(t.Context(), "GET", path)
		}
		send(t.Context(), "BREW", "/any")
		send(ctx, "GET", "/gone")
		for route := range outcomes {
			send(t.Context(), "GET", strings.ReplaceAll(route, "{id}", "7"))
		}
		s.wait()
		all := scrape(t, m)
		got := only(all, "http_server_request_duration_seconds_count")
		for k, n := range want {
			if got[k] != n {
				t.Errorf("%s is %v, want %v", k, got[k], n)
			}
		}
		if len(got) != len(want) {
			t.Errorf("%d series, want %d: %v", len(got), len(want), got)
		}
		for k, n := range only(all, "http_server_active_requests") {
			if n != 0 {
				t.Errorf("%s is %v at the end", k, n)
			}
		}
		if n := sum(only(all, "http_server_response_body_size_bytes_count")); n != sum(want) {
			t.Errorf("%v sizes of %v answers", n, sum(want))
		}
	})
}

// The page is that of semantic-conventions 1.42.0, in Prometheus' spelling.
func TestOTelPage(t *testing.T) {
	m := mustNew(t, metrics.Config{Names: metrics.OTel, Registerer: prometheus.NewRegistry()})
	serve(m)
	var families []string
	for line := range strings.Lines(page(t, m)) {
		if family, ok := strings.CutPrefix(line, "# TYPE "); ok {
			families = append(families, strings.TrimSpace(family))
		}
	}
	const want = "http_server_active_requests gauge, http_server_request_body_size_bytes histogram, " +
		"http_server_request_duration_seconds histogram, http_server_response_body_size_bytes histogram, metrics_overflow_total counter"
	if got := strings.Join(families, ", "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	got := scrape(t, m)
	if n := len(only(got, "http_server_request_duration_seconds_bucket")); n != 15 {
		t.Errorf("%d buckets, want the 14 that are advised and +Inf", n)
	}
	if n := got[`http_server_active_requests{http_request_method="GET",url_scheme="http"}`]; n != 0 {
		t.Errorf("%v active", n)
	}
}

// The gauge goes down by what it went up, though a middleware between changes the
// method.
func TestActiveWhenTheMethodChanges(t *testing.T) {
	m := mustNew(t, metrics.Config{Names: metrics.OTel})
	override := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.Method = "DELETE"
			next.ServeHTTP(w, r)
		})
	}
	h := joined(override(metrics.Middleware(m, metrics.MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if n := scrape(t, m)[`http_server_active_requests{http_request_method="POST",url_scheme="http"}`]; n != 1 {
			t.Errorf("%v active meanwhile", n)
		}
	}))))
	s := newServer(t, false, h)
	resp, err := s.Client().Post(s.URL, "text/plain", strings.NewReader("12345"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	s.wait()
	for k, n := range only(scrape(t, m), "http_server_active_requests") {
		if n != 0 {
			t.Errorf("%s is %v at the end", k, n)
		}
	}
}

func TestSizes(t *testing.T) {
	m := mustNew(t, metrics.Config{})
	mux := http.NewServeMux()
	mux.HandleFunc("POST /echo", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Write(body)
	})
	mux.HandleFunc("POST /ignore", func(http.ResponseWriter, *http.Request) {})
	s := newServer(t, false, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
	for path, n := range map[string]int{"/echo": 5000, "/ignore": 10} {
		resp, err := s.Client().Post(s.URL+path, "text/plain", strings.NewReader(strings.Repeat("x", n)))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
	s.wait()
	got := scrape(t, m)
	for k, want := range map[string]float64{
		`http_request_size_bytes_sum{endpoint="/echo",method="POST"}`:                5000,
		`http_response_size_bytes_sum{endpoint="/echo",method="POST"}`:               5000,
		`http_response_size_bytes_bucket{endpoint="/echo",method="POST",le="4096"}`:  0,
		`http_response_size_bytes_bucket{endpoint="/echo",method="POST",le="16384"}`: 1,
		`http_request_size_bytes_sum{endpoint="/ignore",method="POST"}`:              0, // nobody read it
		`http_response_size_bytes_bucket{endpoint="/ignore",method="POST",le="256"}`: 1,
	} {
		if v, ok := got[k]; !ok || v != want {
			t.Errorf("%s is %v, want %v", k, v, want)
		}
	}
}

// Nothing that a client chooses makes a series of its own: not a method, a path, a Host
// or the version of the protocol.
func TestFloodOverTheWire(t *testing.T) {
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		m := mustNew(t, metrics.Config{Names: names, Registerer: prometheus.NewRegistry()})
		mux := http.NewServeMux()
		mux.HandleFunc("POST /predict", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/files/{path...}", func(http.ResponseWriter, *http.Request) {})
		s := newServer(t, false, metrics.Middleware(m, metrics.MiddlewareConfig{})(mux))
		const n = 3000
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		in := bufio.NewReader(conn)
		for i := range n {
			path := fmt.Sprintf("/p%d", i)
			if i%2 == 0 {
				path = "/files" + path
			}
			fmt.Fprintf(conn, "M%d %s HTTP/1.%d\r\nHost: h%d.example\r\nX-Forwarded-Proto: s%d\r\nConnection: keep-alive\r\n\r\n", i, path, 1, i, i)
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		s.wait()
		got := scrape(t, m)
		series := len(only(got, "http_requests_total")) + len(only(got, "http_server_request_duration_seconds_count"))
		if series != 2 || len(got) > 120 {
			t.Errorf("%v: %d combinations, %d samples in all", names, series, len(got))
		}
		counted := sum(only(got, "http_requests_total")) + sum(only(got, "http_server_request_duration_seconds_count"))
		if counted != n {
			t.Errorf("%v: %v counted", names, counted)
		}
	}
}
