package authjwt

import (
	"compress/gzip"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// getFrom fetches what h serves at /, over TLS.
func getFrom(t *testing.T, h http.HandlerFunc, insecure bool) ([]byte, error) {
	t.Helper()
	server := httptest.NewTLSServer(h)
	defer server.Close()
	return newFetcher(server.Client(), insecure).get(t.Context(), mustParse(server.URL+"/?token=s3cret"))
}

func TestGet(t *testing.T) {
	document, err := getFrom(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || !strings.Contains(r.Header.Get("Accept"), "application/json") {
			t.Errorf("%s, Accept %q", r.Method, r.Header.Get("Accept"))
		}
		_, _ = io.WriteString(w, "document")
	}, false)
	if string(document) != "document" || err != nil {
		t.Errorf("%q, %v", document, err)
	}
}

// No error has what the server sent, nor what a URL may hold.
func TestGetRefuses(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "s3cret") }))
	defer plain.Close()
	hijack := func(answer string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = io.WriteString(c, answer)
			_ = c.Close()
		}
	}
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want string
	}{
		"status 404": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "s3cret", 404) }, "status 404"},
		"too long": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.Repeat("s3cret", maxDocument/6+1))
		}, "more than 1 MiB"},
		"gzip bomb": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			for range 100 {
				_, _ = z.Write(make([]byte, 1<<20))
			}
			_ = z.Close()
		}, "more than 1 MiB"},
		"to http": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, plain.URL+"/s3cret", http.StatusFound)
		}, "redirect to a URL that is not https"},
		"to a file": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/s3cret", http.StatusFound)
		}, "neither https nor http"},
		"in a circle":      {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/?s3cret", http.StatusFound) }, "more than 3 redirects"},
		"no Location":      {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusFound) }, "status 302"},
		"bad Location":     {hijack("HTTP/1.1 302 Found\r\nLocation: https://s3cret:x y/\r\n\r\n"), "malformed HTTP response"},
		"no HTTP":          {hijack("s3cret"), "malformed HTTP response"},
		"bad header":       {hijack("HTTP/1.1 200 OK\r\ns3cret\r\n\r\n"), "malformed HTTP response"},
		"bad length":       {hijack("HTTP/1.1 200 OK\r\nContent-Length: s3cret\r\n\r\n"), "malformed HTTP response"},
		"bad chunk":        {hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ns3cret\r\n"), "chunk"},
		"cut short":        {hijack("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ns3cret"), "unexpected EOF"},
		"no answer at all": {hijack(""), "EOF"},
	} {
		document, err := getFrom(t, tt.h, true)
		if err == nil || document != nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q, %v; want %q", name, document, err, tt.want)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: the error has what is none of its business: %v", name, err)
		}
	}
}

func TestGetFollowsThreeRedirects(t *testing.T) {
	steps := map[string]string{"/": "/1", "/1": "/2", "/2": "/3"}
	document, err := getFrom(t, func(w http.ResponseWriter, r *http.Request) {
		if to := steps[r.URL.Path]; to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "document")
	}, false)
	if string(document) != "document" || err != nil {
		t.Errorf("%q, %v", document, err)
	}
}

// The client's own CheckRedirect is asked, too, and the client is not changed.
func TestGetAsksTheClientsCheckRedirect(t *testing.T) {
	server := httptest.NewTLSServer(http.RedirectHandler("/x", http.StatusFound))
	defer server.Close()
	client := server.Client()
	own := errors.New("the client's own")
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return own }
	if _, err := newFetcher(client, false).get(t.Context(), mustParse(server.URL)); !errors.Is(err, own) {
		t.Errorf("%v", err)
	}
	client.CheckRedirect = nil
	_ = newFetcher(client, false)
	if client.CheckRedirect != nil {
		t.Error("the client was changed")
	}
}

// The own client verifies certificates and takes no long headers.
func TestGetWithoutAClient(t *testing.T) {
	secure := httptest.NewUnstartedServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	f := newFetcher(nil, false)
	defer f.close()
	if _, err := f.get(t.Context(), mustParse(secure.URL)); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v", err)
	}
	plain := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/long" {
			w.Header().Set("X", strings.Repeat("x", 2*maxHeaderBytes))
		}
		_, _ = io.WriteString(w, "document")
	}))
	defer plain.Close()
	if document, err := f.get(t.Context(), mustParse(plain.URL)); string(document) != "document" || err != nil {
		t.Errorf("from localhost: %q, %v", document, err)
	}
	if _, err := f.get(t.Context(), mustParse(plain.URL+"/long")); err == nil {
		t.Error("a header of 128 KiB was taken")
	}
}

// Close leaves no connection of the own client's behind.
func TestJWKSCloseClosesItsConnections(t *testing.T) {
	closed := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(jwksDocument("a"))
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateClosed {
			close(closed)
		}
	}
	server.Start()
	j := readyJWKS(t, nil, JWKSConfig{URL: server.URL})
	if err := j.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-closed
	server.Close()
}

// Passwords in URLs are sent and not told.
func TestJWKSOfURLWithPassword(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	told := make(chan error, 1)
	sent := make(chan string, 1)
	server := &http.Server{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		sent <- password
		panic(http.ErrAbortHandler)
	})}
	go func() { _ = server.Serve(listener) }()
	defer func() { _ = server.Close() }()
	j := newTestJWKS(t, nil, JWKSConfig{URL: "http://me:passw0rd@" + address + "/keys?token=s3cret", OnError: func(err error) { told <- err }, RefreshInterval: time.Hour, MinInterval: time.Hour})
	if got := <-sent; got != "passw0rd" {
		t.Errorf("the password sent is %q", got)
	}
	text := (<-told).Error()
	if strings.Contains(text, "passw0rd") || strings.Contains(text, "@") || strings.Contains(text, "s3cret") || !strings.Contains(text, "http://"+address+"/keys:") {
		t.Errorf("the error is %q", text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := j.Ready(ctx); err == nil || strings.Contains(err.Error(), "passw0rd") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("Ready: %v", err)
	}
}

// An error of net/http's may have a URL in another.
func TestExchangeErrorHasNoURL(t *testing.T) {
	inner := errors.New("connection refused")
	err := exchangeError(&url.Error{Op: "Get", URL: "s3cret", Err: &url.Error{Op: "Get", URL: "s3cret", Err: inner}})
	if err != inner {
		t.Errorf("%v", err)
	}
}

// A real server, real connections, a real flood: one fetch each MinInterval, and a
// rotation that gets through it.
func TestJWKSFloodOfAServer(t *testing.T) {
	state := newJWKSServer("a")
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		state.set(func(s *jwksServer) {
			s.begun = append(s.begun, time.Now())
			_, _ = w.Write(s.document)
		})
	}))
	server.EnableHTTP2 = true
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS13}
	server.StartTLS()
	defer server.Close()
	const least = 50 * time.Millisecond
	j, err := NewJWKS(JWKSConfig{URL: server.URL, Client: server.Client(), MinInterval: least})
	if err != nil {
		t.Fatal(err)
	}
	if err := j.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	stop := jwksFlood(j, 200, jwksRandomKid)
	kids := []string{"a"}
	for range 5 {
		next := jwksRandomKid()
		kids = append(kids, next)
		state.publish(kids...)
		if ok, err := jwksAsk(t.Context(), j, next); !ok || err != nil {
			t.Errorf("a new key: %v, %v", ok, err)
		}
	}
	stop()
	if err := j.Close(t.Context()); err != nil {
		t.Error(err)
	}
	begun := state.fetches()
	// What is measured here is when requests arrive, and they may tarry: only the
	// number is sure.
	if span := begun[len(begun)-1].Sub(begun[0]); len(begun) > int(span/least)+2 {
		t.Errorf("%d fetches in %v", len(begun), span)
	}
}
