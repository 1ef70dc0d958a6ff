package ratelimit_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

func newMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.Handle("GET /models/{name}", ok)
	mux.Handle("POST /predict", ok)
	mux.Handle("/files/", ok)
	mux.Handle("/trees/{name}/", ok)
	mux.Handle("admin.example/", ok)
	mux.Handle("CONNECT proxy.example/", ok)
	return mux
}

func TestByRoute(t *testing.T) {
	key := ratelimit.ByRoute(newMux())
	for _, tt := range []struct{ method, target, want string }{
		{"GET", "/models/a", "GET /models/{name}"},
		{"HEAD", "/models/b", "GET /models/{name}"},
		{"POST", "/models/a", "unmatched"}, // 405
		{"POST", "/predict", "POST /predict"},
		{"POST", "/predict/", "unmatched"},
		{"GET", "/nowhere", "unmatched"},
		{"GET", "/", "unmatched"},
		{"GET", "/files/x/y", "/files/"},
		{"GET", "/files", "/files/"},       // a redirect
		{"GET", "//files//x", "/files/"},   // another one
		{"GET", "/x/../files/", "/files/"}, // and another one
		{"GET", "/trees/oak", "/trees/{name}/"},
		{"GET", "http://admin.example/any", "admin.example/"},
		{"GET", "http://admin.example:8080/any", "admin.example/"},
		{"BREW", "/files/x", "/files/"},
	} {
		if got := key(httptest.NewRequest(tt.method, tt.target, nil)); got != tt.want {
			t.Errorf("%s %s: %q, want %q", tt.method, tt.target, got, tt.want)
		}
	}
}

// However many paths a client thinks up, it gets no key for them.
func TestByRouteNeverThePath(t *testing.T) {
	key := ratelimit.ByRoute(newMux())
	seen := map[string]bool{}
	for i := range 100 {
		for _, method := range []string{"GET", "POST", "CONNECT", "X" + fmt.Sprint(i)} {
			for _, path := range []string{"/%d", "/models/%d", "/files/%d", "/trees/%d", "/trees/%d/", "/trees/a b%d", "//%d//", "/trees/%d\t/x", ""} {
				if path != "" {
					path = fmt.Sprintf(path, i)
				}
				for _, host := range []string{"", "admin.example", "proxy.example", fmt.Sprintf("h%d.example", i)} {
					seen[key(&http.Request{Method: method, Host: host, URL: &url.URL{Host: host, Path: path}, Header: http.Header{}})] = true
				}
			}
		}
	}
	delete(seen, "unmatched")
	for _, pattern := range []string{"GET /models/{name}", "/files/", "/trees/{name}/", "admin.example/", "CONNECT proxy.example/"} {
		if !seen[pattern] {
			t.Errorf("no request met %s", pattern)
		}
		delete(seen, pattern)
	}
	if len(seen) != 0 {
		t.Errorf("keys that are no patterns: %v", seen)
	}
}

func TestByRouteInTheChain(t *testing.T) {
	mux := newMux()
	h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{Key: ratelimit.ByRoute(mux)})(mux)
	for _, tt := range []struct {
		target string
		want   int
	}{{"/models/a", 204}, {"/models/b", 429}, {"/files/a", 204}, {"/nowhere", 404}, {"/nowhere/else", 429}} {
		if w := get(h, httptest.NewRequest("GET", tt.target, nil)); w.Code != tt.want {
			t.Errorf("%s: %d, want %d", tt.target, w.Code, tt.want)
		}
	}
}

func TestByRouteOfNothing(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	ratelimit.ByRoute(nil)
}
