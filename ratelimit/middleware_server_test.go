package ratelimit_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ballast-go/ballast/ratelimit"
)

// overNetwork runs f with the URL of a server of h's and a client for it, over
// HTTP/1.1 and over HTTP/2 with TLS.
func overNetwork(t *testing.T, newHandler func() http.Handler, f func(t *testing.T, url string, client *http.Client)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(newHandler())
			srv.Config.ErrorLog = log.New(io.Discard, "", 0)
			if proto == "HTTP/2.0" {
				srv.EnableHTTP2 = true
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			f(t, srv.URL, srv.Client())
		})
	}
}

// limited is h behind a limit of n an hour.
func limited(t *testing.T, n float64, h http.HandlerFunc) func() http.Handler {
	return func() http.Handler {
		return ratelimit.Middleware(mustNew(t, ratelimit.PerHour(n)), ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})(h)
	}
}

// Each event of a stream arrives before the next one is written.
func TestServerSentEvents(t *testing.T) {
	next := make(chan int)
	h := limited(t, 1, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		rc := http.NewResponseController(w)
		for i := range next {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := rc.Flush(); err != nil {
				t.Error(err)
			}
			if i == 3 {
				return
			}
		}
	})
	overNetwork(t, h, func(t *testing.T, url string, client *http.Client) {
		lines := make(chan *bufio.Reader)
		go func() {
			resp, err := client.Get(url)
			if err != nil {
				t.Error(err)
				close(lines)
				return
			}
			if resp.StatusCode != 200 || resp.Header.Get("RateLimit") != `"default";r=0;t=3600` {
				t.Errorf("%d, %q", resp.StatusCode, resp.Header)
			}
			t.Cleanup(func() { _ = resp.Body.Close() })
			lines <- bufio.NewReader(resp.Body)
		}()
		next <- 0 // the header goes out with it
		body := <-lines
		if body == nil {
			return
		}
		for i := range 4 {
			if i > 0 {
				next <- i
			}
			line, err := body.ReadString('\n')
			if want := fmt.Sprintf("data: %d\n", i); err != nil || line != want {
				t.Fatalf("%q, %v; want %q", line, err, want)
			}
			_, _ = body.ReadString('\n')
		}
		if rest, err := io.ReadAll(body); err != nil || len(rest) != 0 {
			t.Errorf("%q, %v after the end", rest, err)
		}
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if resp.StatusCode != 429 {
			t.Errorf("a second stream got %d", resp.StatusCode)
		}
	})
}

// echo is a WebSocket server (RFC 6455) for one short text message.
func echo(w http.ResponseWriter, r *http.Request) {
	sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		w.WriteHeader(http.StatusInternalServerError)
		return
	}
	defer conn.Close()
	fmt.Fprintf(rw, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		base64.StdEncoding.EncodeToString(sum[:]))
	_ = rw.Flush()
	head := make([]byte, 6) // FIN and text, MASK and length, the mask
	if _, err := io.ReadFull(rw, head); err != nil {
		return
	}
	text := make([]byte, head[1]&0x7f)
	if _, err := io.ReadFull(rw, text); err != nil {
		return
	}
	for i := range text {
		text[i] ^= head[2+i%4]
	}
	_, _ = rw.Write(append([]byte{head[0], byte(len(text))}, text...))
	_ = rw.Flush()
}

func TestWebSocket(t *testing.T) {
	srv := httptest.NewServer(limited(t, 1, echo)())
	defer srv.Close()
	dial := func() (*http.Response, net.Conn, *bufio.Reader) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		fmt.Fprint(conn, "GET /ws HTTP/1.1\r\nHost: a.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		br := bufio.NewReader(conn)
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp, conn, br
	}
	resp, conn, br := dial()
	if resp.StatusCode != 101 || resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" { // RFC 6455 §1.3
		t.Fatalf("%d, %q", resp.StatusCode, resp.Header)
	}
	_, _ = conn.Write([]byte{0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58}) // "Hello", §5.7
	got := make([]byte, 7)
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "\x81\x05Hello" {
		t.Errorf("%q, %v", got, err)
	}
	resp, _, _ = dial()
	if resp.StatusCode != 429 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a second handshake got %d, %q", resp.StatusCode, resp.Header)
	}
}

// A client that waits for "100 Continue" hears of the denial instead, and its
// body is never asked for.
func TestDenialLeavesTheBody(t *testing.T) {
	srv := httptest.NewServer(limited(t, 1, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})())
	defer srv.Close()
	for i, want := range []string{"HTTP/1.1 100 Continue", "HTTP/1.1 429 Too Many Requests"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(srv.URL, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: a.example\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
		br := bufio.NewReader(conn)
		if line, err := br.ReadString('\n'); err != nil || strings.TrimSpace(line) != want {
			t.Errorf("%d: %q, %v; want %q", i, line, err, want)
		}
	}

	overNetwork(t, limited(t, 1, func(http.ResponseWriter, *http.Request) {}), func(t *testing.T, url string, client *http.Client) {
		resp, err := client.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		body, w := io.Pipe() // nothing is ever written
		defer w.Close()
		r, err := http.NewRequestWithContext(t.Context(), "POST", url, body)
		if err != nil {
			t.Fatal(err)
		}
		r.ContentLength = 1 << 30
		if resp, err = client.Do(r); err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != 429 {
			t.Errorf("got %d", resp.StatusCode)
		}
	})
}

// However many come at once, no more than the burst is served.
func TestMiddlewareConcurrently(t *testing.T) {
	overNetwork(t, limited(t, 10, func(http.ResponseWriter, *http.Request) {}), func(t *testing.T, url string, client *http.Client) {
		var served, denied atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				for range 10 {
					resp, err := client.Get(url)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, resp.Body)
					_ = resp.Body.Close()
					switch {
					case resp.StatusCode == 200 && resp.Header.Get("RateLimit") != "":
						served.Add(1)
					case resp.StatusCode == 429 && resp.Header.Get("RateLimit") != "" && resp.Header.Get("Retry-After") != "":
						denied.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if served.Load() != 10 || denied.Load() != 70 {
			t.Errorf("served %d, denied %d of 80", served.Load(), denied.Load())
		}
	})
}

// What the handler gets is what the middleware got.
func TestMiddlewareWrapsNothing(t *testing.T) {
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
	ratelimit.Middleware(mustNew(t, ratelimit.PerSecond(1)), ratelimit.MiddlewareConfig{Key: one})(http.HandlerFunc(
		func(w2 http.ResponseWriter, r2 *http.Request) {
			if w2 != w || r2 != r {
				t.Error("the handler got something else")
			}
		})).ServeHTTP(w, r)
}

// A panic goes through, and what was taken stays taken.
func TestMiddlewarePanics(t *testing.T) {
	h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(2)), ratelimit.MiddlewareConfig{Key: one})(http.HandlerFunc(
		func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	for range 2 {
		func() {
			defer func() {
				if v := recover(); v != http.ErrAbortHandler {
					t.Errorf("recovered %v", v)
				}
			}()
			get(h, httptest.NewRequest("GET", "/", nil))
		}()
	}
	if w := get(h, httptest.NewRequest("GET", "/", nil)); w.Code != 429 {
		t.Errorf("the third request got %d", w.Code)
	}
}

// The empty key and a megabyte of one are keys like others.
func TestMiddlewareOddKeys(t *testing.T) {
	huge := strings.Repeat("k", 1<<20)
	h := ratelimit.Middleware(mustNew(t, ratelimit.PerHour(1)), ratelimit.MiddlewareConfig{
		Key: func(r *http.Request) string { return r.Header.Get("X-Key") },
	})(ok)
	for _, key := range []string{"", huge, huge + "2", "\x00", "\xff", "a\x00"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("X-Key", key)
		if first, second := get(h, r).Code, get(h, r).Code; first != 204 || second != 429 {
			t.Errorf("key of %d bytes: %d and %d", len(key), first, second)
		}
	}
}

// A limiter hears of the request's end.
func TestMiddlewarePassesTheContext(t *testing.T) {
	type key struct{}
	l := limiterFunc(func(ctx context.Context) (ratelimit.Decision, error) {
		return ratelimit.Decision{OK: ctx.Value(key{}) == "request's"}, nil
	})
	r := httptest.NewRequest("GET", "/", nil).WithContext(context.WithValue(t.Context(), key{}, "request's"))
	if w := get(ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: one})(ok), r); w.Code != 204 {
		t.Errorf("the limiter got another context: %d", w.Code)
	}
}

type limiterFunc func(context.Context) (ratelimit.Decision, error)

func (f limiterFunc) AllowN(ctx context.Context, _ string, _ int) (ratelimit.Decision, error) {
	return f(ctx)
}
func (f limiterFunc) Return(context.Context, string, int) error { return nil }
