package auth

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestAmbiguity(t *testing.T) {
	for target, want := range map[string]string{
		"/":                          "",
		"/v1/models/llama":           "",
		"/v1/models/":                "",
		"/v1/models/llama-3.1..8b":   "",
		"/v1/models/...":             "",
		"/v1/models/.hidden":         "",
		"/v1/models/a%20b%3F%23":     "",
		"/v1/models/a;v=1":           "",
		"/v1/models/%E5%B1%B1":       "",
		"/v1/models/100%25":          "",
		"/v1/models/a%25zz":          "",
		"/v1/models/meta:llama@1+b,": "",
		"*":                          "",

		"/v1/models/x%2f..%2fsecret": "encoded slash",
		"/v1/models/x%2F..%2Fsecret": "encoded slash",
		"/v1/models/x%2fy":           "encoded slash",
		"/v1/models/x%5cy":           "backslash",
		"/v1/models/x%5C..%5Cy":      "backslash",
		"/v1/models/x\\y":            "backslash",
		"/public/%2e%2e/secret":      "dot segment",
		"/public/%2E%2e/secret":      "dot segment",
		"/public/.%2e/secret":        "dot segment",
		"/public/%2e/secret":         "dot segment",
		"/public/../secret":          "dot segment",
		"/public/./secret":           "dot segment",
		"/public/..":                 "dot segment",
		"/public/%2e%2e":             "dot segment",
		"/public/..;/secret":         "dot segment",
		"/public/..;a=b/secret":      "dot segment",
		"/public/%2e%2e%3b/secret":   "dot segment",
		"/public/.;x":                "dot segment",
		"//secret":                   "empty segment",
		"/public//secret":            "empty segment",
		"/public/;a=b/secret":        "empty segment",
		"/public/;":                  "empty segment",
		"/public/a%00b":              "control character",
		"/public/a%0d%0ab":           "control character",
		"/public/a%7fb":              "control character",
		"/public/%09..":              "control character",
		"/public/%252e%252e/secret":  "encoded twice",
		"/public/x%252fsecret":       "encoded twice",
		"/public/x%25%32%66secret":   "encoded twice",
		"/public/%c0%ae%c0%ae/x":     "not UTF-8",
		"/public/%c0%afx":            "not UTF-8",
	} {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatal(err)
		}
		if got := ambiguity(u); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
		if err := checkPath(u); (want != "") != errors.Is(err, ErrPath) || want == "" && err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	for _, tt := range []struct {
		u    url.URL
		want string
	}{
		{url.URL{Scheme: "mailto", Opaque: "a@example.com"}, "no path"},
		{url.URL{Path: "/public/x", RawPath: "/secret/x"}, "two paths"},
		{url.URL{Path: "/a", RawPath: "/%zz"}, "two paths"},
		{url.URL{Path: "public/x"}, ""}, // behind http.StripPrefix
		{url.URL{Path: "../x"}, "dot segment"},
		{url.URL{Host: "backend.example:443"}, ""}, // CONNECT
	} {
		if got := ambiguity(&tt.u); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.u, got, tt.want)
		}
	}
}

// What passes has one reading: it is clean, it decodes to itself, and its segments are
// what the mux has matched.
func FuzzPath(f *testing.F) {
	for _, seed := range []string{
		"/a/b/c", "/x%2f..%2fsecret/b", "/public/%2e%2e/x", "/a/..;/b", "//a", "/%252e/x", "/a/b/", "/a\\b/c", "/%c0%ae/x",
		"/a;x/b;y/c", "/100%25/b/c", "/ü/%C3%BC/c", "/a/b/c%3fd", "/.../..a/a..", "/a/%", "/a/%25/b",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil || ambiguity(u) != "" || !strings.HasPrefix(u.Path, "/") || u.Host != "" {
			return
		}
		if c := path.Clean(u.Path); c != u.Path && c+"/" != u.Path {
			t.Errorf("%q passes as %q and is %q when clean", target, u.Path, c)
		}
		if again, err := url.PathUnescape(u.Path); err == nil && again != u.Path {
			t.Errorf("%q is %q and %q", target, u.Path, again)
		}
		if strings.Count(u.EscapedPath(), "/") != strings.Count(u.Path, "/") || strings.Contains(u.Path, `\`) || !utf8.ValidString(u.Path) {
			t.Errorf("%q passes as %q", target, u.Path)
		}
		segments := strings.SplitN(u.Path, "/", 4)
		if len(segments) < 4 || segments[1] == "" || segments[2] == "" {
			return
		}
		matched := false
		mux := http.NewServeMux()
		mux.HandleFunc("/{a}/{b}/{c...}", func(_ http.ResponseWriter, r *http.Request) {
			matched = true
			for i, name := range []string{"a", "b", "c"} {
				if got := PathValue(name)(r); got != segments[i+1] {
					t.Errorf("%q: the mux has matched %q, not %q", target, got, segments[i+1])
				}
			}
		})
		mux.ServeHTTP(httptest.NewRecorder(), &http.Request{Method: "GET", URL: u, Host: "a.example"})
		if !matched {
			t.Errorf("%q passes and is not matched", target)
		}
	})
}
