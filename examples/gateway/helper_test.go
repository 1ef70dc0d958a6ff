package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// fixture is a gateway between real servers. Its limits do not recover while a
// test runs, so that what is left can be compared to the token.
type fixture struct {
	*gateway
	t        *testing.T
	url      string
	log      *lockedBuffer
	upstream *upstream
}

// start runs a gateway in front of h, with budgets of so many tokens and 1,000
// requests. Change, if not nil, has the configuration before.
func start(t *testing.T, tokens int, h http.HandlerFunc, change func(*config)) *fixture {
	t.Helper()
	up := &upstream{t: t, handler: h, gone: make(chan struct{})}
	server := httptest.NewServer(up)
	t.Cleanup(server.Close)
	cfg, err := parseConfig([]string{"-upstream", server.URL}, func(name string) string {
		return map[string]string{keysVariable: "ann=sk-ann,bob=sk-bob"}[name]
	}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	cfg.tokens = ratelimit.Limit{Rate: 1e-6, Burst: tokens}
	cfg.requests = ratelimit.Limit{Rate: 1e-6, Burst: 1000}
	if change != nil {
		change(cfg)
	}
	f := &fixture{t: t, log: new(lockedBuffer), upstream: up}
	if f.gateway, err = newGateway(cfg, f.log); err != nil {
		t.Fatal(err)
	}
	front := httptest.NewServer(f.handler())
	t.Cleanup(front.Close) // which waits for requests: of a client that left, too
	f.url = front.URL
	return f
}

// upstream is an OpenAI-compatible server, as far as a test's handler is one. It
// keeps what it was last asked.
type upstream struct {
	t       *testing.T
	handler http.HandlerFunc
	gone    chan struct{} // closed when a handler's context ended before it

	mu     sync.Mutex
	calls  int
	body   []byte
	header http.Header
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		u.t.Error(err)
	}
	u.mu.Lock()
	u.calls++
	u.body, u.header = body, r.Header
	u.mu.Unlock()
	u.handler(w, r)
}

func (u *upstream) asked() (calls int, body string, header http.Header) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls, string(u.body), u.header
}

// left is what ann has.
func (f *fixture) left() (tokens, requests int) {
	f.t.Helper()
	get := func(l ratelimit.Limiter) int {
		d, err := l.AllowN(f.t.Context(), "name:ann", 0)
		if err != nil {
			f.t.Fatal(err)
		}
		return d.Remaining
	}
	return get(f.tokens), get(f.requests)
}

// used fails the test unless ann has used so many tokens and requests.
func (f *fixture) used(tokens, requests int) {
	f.t.Helper()
	t, r := f.left()
	if t, r := f.cfg.tokens.Burst-t, f.cfg.requests.Burst-r; t != tokens || r != requests {
		f.t.Errorf("%d tokens and %d requests are charged, want %d and %d", t, r, tokens, requests)
	}
}

// ask sends a body as ann.
func (f *fixture) ask(ctx context.Context, body string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, "POST", f.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer sk-ann")
	req.Header.Set("Content-Type", "application/json")
	return http.DefaultClient.Do(req)
}

// must is ask, to its end.
func (f *fixture) must(body string) (*http.Response, string) {
	f.t.Helper()
	resp, err := f.ask(f.t.Context(), body)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(text)
}

// metric returns a line of /metrics' value.
func (f *fixture) metric(name string) string {
	f.t.Helper()
	resp, err := http.Get(f.url + "/metrics")
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			return value
		}
	}
	return "none"
}

// settled fails the test unless one call was settled so.
func (f *fixture) settled(how string) {
	f.t.Helper()
	if n := f.metric(`gateway_calls_settled_total{how="` + how + `"}`); n != "1" {
		f.t.Errorf("%s calls are settled as %s, want 1", n, how)
	}
}

// until waits for what must come, but not for ever.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	again := time.NewTicker(time.Millisecond)
	defer again.Stop()
	for !ok() {
		select {
		case <-again.C:
		case <-ctx.Done():
			t.Fatalf("waiting until %s: %v", what, ctx.Err())
		}
	}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// What an upstream sends.

func beginStream(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/event-stream")
	say(w, `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}],"usage":null}`)
}

func say(w http.ResponseWriter, data string) {
	fmt.Fprintf(w, "data: %s\n\n", data)
	_ = http.NewResponseController(w).Flush()
}

func word(text string) string {
	return `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"` + text + `"},"finish_reason":null}],"usage":null}`
}

const finish = `{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}`

func usageChunk(prompt, cached, completion int) string {
	return fmt.Sprintf(`{"id":"c1","object":"chat.completion.chunk","created":7,"model":"m","choices":[],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d}}}`, prompt, completion, prompt+completion, cached)
}

// words streams n of them and says what that was.
func words(n int) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		for range n {
			say(w, word("tok"))
		}
		say(w, finish)
		say(w, usageChunk(10, 0, n))
		say(w, "[DONE]")
	}
}

// heard is what a client makes of a stream.
type heard struct {
	words  int
	finish string
	done   bool
	usage  *usage
}

func hear(t *testing.T, text string) heard {
	t.Helper()
	var h heard
	for part := range strings.SplitSeq(text, "\n\n") {
		data, ok := strings.CutPrefix(part, "data: ")
		switch {
		case part == "":
			continue
		case !ok || h.done:
			t.Errorf("the stream has %q", part)
		case data == "[DONE]":
			h.done = true
			continue
		}
		var c chunk
		if err := json.Unmarshal([]byte(data), &c); err != nil {
			t.Errorf("%v in %q", err, part)
		}
		if c.Usage != nil {
			h.usage = c.Usage
		}
		h.words += c.tokens()
		for _, choice := range c.Choices {
			if choice.Finish != nil {
				h.finish = *choice.Finish
			}
		}
	}
	return h
}
