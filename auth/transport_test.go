package auth

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// answer is a base that keeps the last request.
func answer(status int, last **http.Request) roundTripper {
	return func(r *http.Request) (*http.Response, error) {
		*last = r
		return &http.Response{StatusCode: status, Body: http.NoBody, Request: r}, nil
	}
}

func static(token string) TokenSource {
	return TokenSourceFunc(func(context.Context) (Token, error) { return Token{Value: token}, nil })
}

// closing notes that a body is closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// A copy of the request gets the token.
func TestTransportSetsToken(t *testing.T) {
	var sent *http.Request
	tr := NewTransport(answer(200, &sent), static("abc"), TransportConfig{})
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://example.org/x", nil)
	r.Header.Set("X-Own", "1")
	resp, err := tr.RoundTrip(r)
	if err != nil || sent.Header.Get("Authorization") != "Bearer abc" || sent.Header.Get("X-Own") != "1" {
		t.Errorf("%v %v", sent.Header, err)
	}
	if len(r.Header) != 1 || resp.Request != r {
		t.Errorf("the request became %v, the answer's is another: %v", r.Header, resp.Request != r)
	}
	r.Header = nil
	if _, err := tr.RoundTrip(r); err != nil || sent.Header.Get("Authorization") != "Bearer abc" || r.Header != nil {
		t.Errorf("without a header: %v %v", sent.Header, err)
	}
	for _, own := range [][]string{{"Basic x"}, {""}, nil} { // nil asks for none
		r.Header = http.Header{"Authorization": own}
		if _, err := tr.RoundTrip(r); err != nil || sent != r {
			t.Errorf("the caller's own %q: %v", own, err)
		}
	}
}

func TestTransportRefuses(t *testing.T) {
	down := errors.New("down")
	for name, tt := range map[string]struct {
		url      string
		insecure bool
		src      TokenSource
		want     string // "" if it is sent
	}{
		"https":                 {"https://example.org", false, static("t"), ""},
		"plain":                 {"http://example.org", false, static("t"), "plain HTTP"},
		"plain with a port":     {"http://example.org:443", false, static("t"), "plain HTTP"},
		"looks like localhost":  {"http://localhost.example.org", false, static("t"), "plain HTTP"},
		"looks like loopback":   {"http://127.0.0.1.example.org", false, static("t"), "plain HTTP"},
		"another scheme":        {"ftp://example.org", false, static("t"), "plain HTTP"},
		"unspecified":           {"http://0.0.0.0", false, static("t"), "plain HTTP"},
		"allowed":               {"http://example.org", true, static("t"), ""},
		"localhost":             {"http://LOCALHOST:80", false, static("t"), ""},
		"IPv4 loopback":         {"http://127.3.2.1", false, static("t"), ""},
		"IPv6 loopback":         {"http://[::1]:1", false, static("t"), ""},
		"IPv4 as IPv6 loopback": {"http://[::ffff:127.0.0.1]", false, static("t"), ""},
		"capitals":              {"HTTPS://example.org", false, static("t"), ""},
		"no token":              {"https://example.org", false, TokenSourceFunc(func(context.Context) (Token, error) { return Token{}, down }), "down"},
		"empty":                 {"https://example.org", false, static(""), "visible ASCII, or nothing"},
		"two fields":            {"https://example.org", false, static("secret\r\nX: y"), "visible ASCII"},
		"a space":               {"https://example.org", false, static("secret token"), "visible ASCII"},
	} {
		var sent *http.Request
		body := &closing{Reader: strings.NewReader("x")}
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		u.Scheme = tt.url[:strings.Index(tt.url, ":")]
		r := (&http.Request{Method: "POST", URL: u, Body: body}).WithContext(t.Context())
		_, err = NewTransport(answer(200, &sent), tt.src, TransportConfig{InsecureAllowHTTP: tt.insecure}).RoundTrip(r)
		if (tt.want == "") != (err == nil) || (sent == nil) != (err != nil) {
			t.Errorf("%s: sent %v, %v", name, sent != nil, err)
		}
		if err != nil && (!body.closed || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: closed %v, %v", name, body.closed, err)
		}
		if err == nil && body.closed {
			t.Errorf("%s: the body is closed before base has it", name)
		}
	}
}

// The source gets the request's context, so that nobody waits for too long.
func TestTransportContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	src := TokenSourceFunc(func(ctx context.Context) (Token, error) { return Token{}, ctx.Err() })
	r, _ := http.NewRequestWithContext(ctx, "GET", "https://example.org", nil)
	if _, err := NewTransport(nil, src, TransportConfig{}).RoundTrip(r); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

type invalidating struct {
	TokenSource
	told []string
}

func (s *invalidating) Invalidate(value string) { s.told = append(s.told, value) }

// A 401 to the transport's own token is told to the source, and returned.
func TestTransportUnauthorized(t *testing.T) {
	var sent *http.Request
	src := &invalidating{TokenSource: static("abc")}
	for status, want := range map[int]int{200: 0, 403: 0, 401: 1} {
		src.told = nil
		r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://example.org", nil)
		resp, err := NewTransport(answer(status, &sent), src, TransportConfig{}).RoundTrip(r)
		if err != nil || resp.StatusCode != status || len(src.told) != want || want == 1 && src.told[0] != "abc" {
			t.Errorf("%d: %v %v", status, src.told, err)
		}
	}
	src.told = nil
	r, _ := http.NewRequestWithContext(t.Context(), "GET", "https://example.org", nil)
	r.Header.Set("Authorization", "Basic x")
	if _, err := NewTransport(answer(401, &sent), src, TransportConfig{}).RoundTrip(r); err != nil || len(src.told) != 0 {
		t.Errorf("the caller's own: %v %v", src.told, err)
	}
	// One that cannot be told is left alone.
	r.Header.Del("Authorization")
	if resp, err := NewTransport(answer(401, &sent), static("t"), TransportConfig{}).RoundTrip(r); err != nil || resp.StatusCode != 401 {
		t.Error(err)
	}
}

// After a 401 the next request has a new token, and a storm makes one refresh.
func TestTransportWithReuse(t *testing.T) {
	src := &testSource{}
	reuse := mustReuse(t, src, ReuseConfig{})
	var rejected atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer 2" {
			rejected.Add(1)
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer srv.Close()
	client := &http.Client{Transport: NewTransport(srv.Client().Transport, reuse, TransportConfig{})}
	get := func() int {
		resp, err := client.Get(srv.URL)
		if err != nil {
			t.Error(err)
			return 0
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { get() })
	}
	wg.Wait()
	if status := get(); status != 200 || src.calls.Load() != 2 || rejected.Load() == 0 {
		t.Errorf("status %d after %d calls and %d 401s", status, src.calls.Load(), rejected.Load())
	}
	client.CloseIdleConnections()
}

// A redirect to another host gets no token, on the way back neither; one
// within the host does.
func TestTransportRedirects(t *testing.T) {
	var mu sync.Mutex
	var seen []string
	note := func(host string, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		seen = append(seen, host+r.URL.Path+" "+r.Header.Get("Authorization"))
	}
	var home, away *httptest.Server
	home = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("home", r)
		switch r.URL.Path {
		case "/":
			http.Redirect(w, r, "/moved", http.StatusTemporaryRedirect)
		case "/moved":
			http.Redirect(w, r, away.URL+"/", http.StatusTemporaryRedirect)
		}
	}))
	defer home.Close()
	away = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		note("away", r)
		if r.URL.Path == "/" {
			http.Redirect(w, r, "/further", http.StatusTemporaryRedirect)
			return
		}
		http.Redirect(w, r, home.URL+"/victim", http.StatusTemporaryRedirect)
	}))
	defer away.Close()
	client := &http.Client{Transport: NewTransport(nil, static("abc"), TransportConfig{})}
	defer client.CloseIdleConnections()
	resp, err := client.Get(home.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	want := []string{"home/ Bearer abc", "home/moved Bearer abc", "away/ ", "away/further ", "home/victim "}
	if strings.Join(seen, "\n") != strings.Join(want, "\n") {
		t.Errorf("%q", seen)
	}
	if resp.Request.Header.Get("Authorization") != "" {
		t.Error("the answer's request has the token")
	}
}

func TestRedirected(t *testing.T) {
	chain := func(urls ...string) *http.Request {
		var r *http.Request
		for _, text := range urls {
			next, err := http.NewRequest("GET", text, nil)
			if err != nil {
				t.Fatal(err)
			}
			if r != nil {
				next.Response = &http.Response{Request: r}
			}
			r = next
		}
		return r
	}
	for _, tt := range []struct {
		urls []string
		want bool
	}{
		{[]string{"https://a"}, false},
		{[]string{"https://a/x", "https://A:443/y"}, false},
		{[]string{"https://a", "http://a"}, true},
		{[]string{"https://a", "https://a:8443"}, true},
		{[]string{"https://a", "https://b.a"}, true},
		{[]string{"http://a:80", "http://a"}, false},
		{[]string{"https://a", "https://b", "https://a"}, true},
		{[]string{"unix://a", "unix://a:1"}, true},
	} {
		if redirected(chain(tt.urls...)) != tt.want {
			t.Errorf("%v", tt.urls)
		}
	}
	circle := chain("https://a", "https://a")
	circle.Response.Request = circle
	if !redirected(circle) {
		t.Error("a circle")
	}
}

type idleCloser struct {
	http.RoundTripper
	closed bool
}

func (c *idleCloser) CloseIdleConnections() { c.closed = true }

func TestTransportPassesThrough(t *testing.T) {
	var sent *http.Request
	base := &idleCloser{RoundTripper: answer(200, &sent)}
	(&http.Client{Transport: NewTransport(base, static("t"), TransportConfig{})}).CloseIdleConnections()
	if !base.closed {
		t.Error("idle connections stay open")
	}
	(&http.Client{Transport: NewTransport(answer(200, &sent), static("t"), TransportConfig{})}).CloseIdleConnections()

	down := errors.New("down")
	tr := NewTransport(roundTripper(func(*http.Request) (*http.Response, error) { return nil, down }), static("t"), TransportConfig{})
	if resp, err := tr.RoundTrip(httptest.NewRequest("GET", "https://a", nil)); resp != nil || err != down {
		t.Errorf("%v %v", resp, err)
	}
	r := httptest.NewRequest("GET", "https://a", nil)
	r.URL = nil // base's to complain of
	if _, err := tr.RoundTrip(r); err != down {
		t.Error(err)
	}
	if NewTransport(nil, static("t"), TransportConfig{}).(*transport).base != http.DefaultTransport {
		t.Error("nil is not http.DefaultTransport")
	}
	defer func() {
		if recover() == nil {
			t.Error("it takes a nil source")
		}
	}()
	NewTransport(nil, nil, TransportConfig{})
}

func BenchmarkTransport(b *testing.B) {
	var sent *http.Request
	reuse, err := NewReuse(static("abc"), ReuseConfig{})
	if err != nil {
		b.Fatal(err)
	}
	tr := NewTransport(answer(200, &sent), reuse, TransportConfig{})
	r, _ := http.NewRequestWithContext(b.Context(), "GET", "https://example.org/x", nil)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := tr.RoundTrip(r); err != nil {
			b.Fatal(err)
		}
	}
}
