package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// overNetwork runs f with the URL of a server of h's and a client for it, over
// HTTP/1.1 and over HTTP/2 with TLS.
func overNetwork(t *testing.T, h http.Handler, f func(t *testing.T, srv *httptest.Server, client *http.Client)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(h)
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			if proto == "HTTP/2.0" {
				srv.EnableHTTP2 = true
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			client := srv.Client()
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			f(t, srv, client)
		})
	}
}

// fetch sends a GET with fields, and returns the status, the header and the body.
func fetch(t *testing.T, client *http.Client, target string, fields ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Add(fields[i], fields[i+1])
	}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

func TestServerCredentials(t *testing.T) {
	overNetwork(t, auth.Middleware(new(caller), auth.MiddlewareConfig{})(greet), func(t *testing.T, srv *httptest.Server, client *http.Client) {
		for _, tt := range []struct {
			fields []string
			status int
			want   string // the challenge, or the body
		}{
			{nil, 401, "Bearer"},
			{[]string{"Authorization", "Bearer alice"}, 200, "alice"},
			{[]string{"authorization", "bearer alice"}, 200, "alice"},
			{[]string{"Authorization", "Bearer alice", "Authorization", "Bearer alice"}, 401, `Bearer error="invalid_request"`},
			{[]string{"Authorization", "Bearer alice, Bearer bob"}, 401, `Bearer error="invalid_token"`},
			{[]string{"Authorization", "Bearer " + strings.Repeat("a", 16<<10)}, 200, strings.Repeat("a", 16<<10)},
			{[]string{"Authorization", "Bearer " + strings.Repeat("a", 600<<10)}, 401, `Bearer error="invalid_token"`},
			{[]string{"X-API-Key", "bob"}, 200, "bob"},
		} {
			status, header, body := fetch(t, client, srv.URL, tt.fields...)
			got := body
			if status == 401 {
				got = header.Get("WWW-Authenticate")
			}
			if status != tt.status || got != tt.want {
				t.Errorf("%.60q: %d %.60q, want %d %.60q", tt.fields, status, got, tt.status, tt.want)
			}
		}
	})
}

// Raw requests that no client of net/http's would send.
func TestServerRawHTTP1(t *testing.T) {
	srv := httptest.NewServer(auth.Middleware(new(caller), auth.MiddlewareConfig{})(greet))
	defer srv.Close()
	for _, tt := range []struct{ name, lines, want string }{
		{"good", "Authorization: Bearer alice\r\n", "200 alice"},
		{"space around", "Authorization:  \t Bearer alice \t \r\n", "200 alice"},
		{"other case", "aUTHORIZATION: Bearer alice\r\n", "200 alice"},
		{"two in different case", "Authorization: Bearer alice\r\nauthorization: Bearer bob\r\n", `401 Bearer error="invalid_request"`},
		{"space before the colon", "Authorization : Bearer alice\r\n", "400 "},
		{"obs-fold within", "Authorization: Bearer\r\n alice\r\n", "200 alice"}, // unfolded to a space (RFC 9112 §5.2)
		{"obs-fold that adds a word", "Authorization: Bearer alice\r\n bob\r\n", `401 Bearer error="invalid_token"`},
		{"obs-fold that hides a field", "X-Other: a\r\n Authorization: Bearer alice\r\n", "401 Bearer"},
		{"empty", "Authorization:\r\n", `401 Bearer error="invalid_token"`},
		{"NUL", "Authorization: Bearer al\x00ice\r\n", "400 "},
		{"bare CR", "Authorization: Bearer al\rice\r\n", "400 "},
		{"not ASCII", "Authorization: Bearer al\xefce\r\n", "200 al\xefce"}, // the Authenticator's to refuse
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n%s\r\n", tt.lines)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = conn.Close()
		got := fmt.Sprintf("%d %s", resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		if resp.StatusCode == 200 {
			got = "200 " + string(body)
		}
		if got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
}

// A refusal does not wait for the body, nor ask for it.
func TestServerRefusesBeforeTheBody(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	srv := httptest.NewServer(h)
	defer srv.Close()
	for token, want := range map[string]string{"alice": "HTTP/1.1 100 Continue", "bad": "HTTP/1.1 401 Unauthorized"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST / HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", token)
		if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("%s: %q, %v; want %q", token, line, err, want)
		}
		_ = conn.Close()
	}
	overNetwork(t, h, func(t *testing.T, srv *httptest.Server, client *http.Client) {
		body, w := io.Pipe() // nothing is ever written
		defer w.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", srv.URL, body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 1 << 30
		resp, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 401 {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
}

// A stream ends when its credential does: the handler hears of it and ends the
// answer, and the client reads its end.
func TestServerStreamEndsAtExpiry(t *testing.T) {
	causes := make(chan error, 1)
	a := auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Subject: "alice", ExpiresAt: time.Now().Add(50 * time.Millisecond)}, nil
	})
	h := auth.Middleware(a, auth.MiddlewareConfig{EndAtExpiry: true})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		causes <- context.Cause(r.Context())
		_, _ = io.WriteString(w, "event: end\ndata: expired\n\n")
	}))
	overNetwork(t, new(observer).around(h), func(t *testing.T, srv *httptest.Server, client *http.Client) {
		status, _, body := fetch(t, client, srv.URL)
		if status != 200 || body != "data: 1\n\nevent: end\ndata: expired\n\n" {
			t.Errorf("%d %q", status, body)
		}
		if cause := <-causes; cause != auth.ErrExpired {
			t.Errorf("ended by %v", cause)
		}
	})
}

// http.ServeMux hands these to handlers as they are. What is behind Require never sees
// one, and whose resource is asked for is the one that was matched.
func TestServerAmbiguousPaths(t *testing.T) {
	serve := func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "served "+r.PathValue("model")) }
	mux, bare := http.NewServeMux(), http.NewServeMux()
	az := everything{}
	mux.Handle("/v1/models/{model}", auth.Require(az, "predict", auth.PathValue("model"))(http.HandlerFunc(serve)))
	mux.Handle("/public/{model...}", auth.Require(az, "read", auth.PathValue("model"))(http.HandlerFunc(serve)))
	bare.HandleFunc("/v1/models/{model}", serve)
	bare.HandleFunc("/public/{model...}", serve)
	guarded := auth.Middleware(new(caller), auth.MiddlewareConfig{})(mux)
	root := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Bare") != "" {
			bare.ServeHTTP(w, r)
			return
		}
		guarded.ServeHTTP(w, r)
	})
	overNetwork(t, root, func(t *testing.T, srv *httptest.Server, client *http.Client) {
		for _, path := range []string{
			"/v1/models/x%2f..%2fsecret", "/v1/models/x%2F..%2Fsecret", "/v1/models/%2e%2e", "/v1/models/..%2fsecret", "/v1/models/%5c..%5csecret",
			"/public/%2e%2e/v1/models/secret", "/public/.%2E/secret", "/public/%2e/secret", "/public/a/%2e%2e/%2e%2e/secret",
			"/public/..;/secret", "/public/%2e%2e;a/secret", "/public/a%00b", "/public/%252e%252e/secret", "/public/%c0%ae%c0%ae/secret", "/public/a%2fb",
		} {
			u := srv.URL + path
			if _, err := url.Parse(u); err != nil {
				t.Fatal(err)
			}
			if status, _, body := fetch(t, client, u, "X-Bare", "1"); status != 200 {
				t.Errorf("%s never reaches a handler: %d %s", path, status, body)
			}
			if status, header, body := fetch(t, client, u, "Authorization", "Bearer alice"); status != 400 || strings.Contains(body, "secret") || header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		for path, want := range map[string]string{
			"/v1/models/llama":     "served llama",
			"/v1/models/a%20b":     "served a b",
			"/public/a/b/c":        "served a/b/c",
			"/public/a.b/..c/d../": "served a.b/..c/d../",
		} {
			if status, _, body := fetch(t, client, srv.URL+path, "Authorization", "Bearer alice"); status != 200 || body != want {
				t.Errorf("%s: %d %q, want %q", path, status, body, want)
			}
		}
		// These it redirects before anybody is asked.
		for _, path := range []string{"/public/../v1/models/secret", "/public//secret", "/public/./x"} {
			if status, _, body := fetch(t, client, srv.URL+path, "Authorization", "Bearer alice"); status/100 != 3 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		}
		// The root has no wildcard that says what it is.
		if status, _, _ := fetch(t, client, srv.URL+"/public/", "Authorization", "Bearer alice"); status != 403 {
			t.Errorf("an empty resource: %d", status)
		}
	})
}

// OPTIONS * and CONNECT have no path, and no resource by one.
func TestServerOddTargets(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{})(auth.Require(everything{}, "read", auth.PathValue("model"))(greet))
	srv := httptest.NewUnstartedServer(h)
	srv.Config.DisableGeneralOptionsHandler = true
	srv.StartTLS()
	defer srv.Close()
	for _, target := range []string{"OPTIONS *", "CONNECT backend.example:443", "GET http://a.example"} {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(srv.URL, "https://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "%s HTTP/1.1\r\nHost: a.example\r\nAuthorization: Bearer alice\r\nConnection: close\r\n\r\n", target)
		answer, _ := io.ReadAll(conn)
		_ = conn.Close()
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 403 ")) {
			t.Errorf("%s: %.40q", target, answer)
		}
	}
}
