package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// Bodies of 32 bytes, which is taken for 8 tokens, and what they reserve.
const (
	streamed = `{"stream":true,"max_tokens":100}` // 108
	whole    = `{"stream":null,"max_tokens":100}` // 108
)

// What is charged is what the upstream says that it was, and nothing more.
func TestStreamIsChargedItsUsage(t *testing.T) {
	heardFirst := make(chan struct{})
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "the operator's own")
		w.Header().Set("RateLimit", "the upstream's")
		beginStream(w)
		say(w, word("one"))
		<-heardFirst // each word comes through at once
		say(w, word("two"))
		say(w, finish)
		say(w, usageChunk(20, 0, 2))
		say(w, "[DONE]")
	}, nil)
	resp, err := f.ask(t.Context(), streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	f.used(108, 1) // the estimate, meanwhile
	body := bufio.NewReader(resp.Body)
	var text strings.Builder
	for !strings.Contains(text.String(), "one") {
		line, err := body.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		text.WriteString(line)
	}
	close(heardFirst)
	rest, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	text.Write(rest)
	if got := hear(t, text.String()); got != (heard{words: 2, finish: "stop", done: true}) {
		t.Errorf("the client got %+v", got) // and no usage, for which it did not ask
	}
	f.used(22, 1)
	f.settled("usage")
	if got := f.metric(`gateway_tokens_total{kind="input"}`); got != "20" {
		t.Errorf("%s tokens of input are counted", got)
	}
	if h := resp.Header; h.Get("RateLimit-Policy") == "" || !strings.HasPrefix(h.Get("RateLimit"), `"tokens";r=892;`) || len(h.Values("RateLimit")) != 1 || h.Get("X-Ratelimit-Remaining-Tokens") != "" {
		t.Errorf("the header is %v", h)
	}
	if _, body, _ := f.upstream.asked(); body != `{"stream_options":{"include_usage":true},"stream":true,"max_tokens":100}` {
		t.Errorf("the upstream got %s", body)
	}
}

// Who asks for usage gets it, and its body goes upstream as it came.
func TestClientAsksForUsage(t *testing.T) {
	f := start(t, 1000, words(3), nil)
	asked := ` {"max_tokens":100, "stream":true ,"stream_options": {"include_usage" :true},"seed":1.0} `
	_, text := f.must(asked)
	if got := hear(t, text); got.usage == nil || got.usage.Completion != 3 || got.words != 3 {
		t.Errorf("the client got %+v", got)
	}
	if _, body, _ := f.upstream.asked(); body != asked {
		t.Errorf("the upstream got %s", body)
	}
	f.used(13, 1)
}

func TestWholeAnswer(t *testing.T) {
	const answer = `{"id":"c1","choices":[{"message":{"content":"four words or so"},"finish_reason":"stop"}],"usage":{"prompt_tokens":50,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":40}}}`
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, answer)
	}, func(c *config) { c.weights.CachedInput, c.weights.Output = 0.25, 4 })
	resp, text := f.must(whole)
	if text != answer || resp.Header.Get("Content-Length") != strconv.Itoa(len(answer)) {
		t.Errorf("the client got %v %s", resp.Header, text)
	}
	if !strings.HasPrefix(resp.Header.Get("RateLimit"), `"tokens";r=592;`) { // 8 + 4·100
		t.Errorf("RateLimit: %s", resp.Header.Get("RateLimit"))
	}
	f.used(10+40/4+7*4, 1)
	if _, body, _ := f.upstream.asked(); body != whole {
		t.Errorf("the upstream got %s", body)
	}
	for kind, want := range map[string]string{"input": "10", "cached_input": "40", "output": "7"} {
		if got := f.metric(`gateway_tokens_total{kind="` + kind + `"}`); got != want {
			t.Errorf("%s tokens of %s are counted, want %s", got, kind, want)
		}
	}
}

// An upstream that does not say what it was is counted.
func TestWithoutUsage(t *testing.T) {
	t.Run("stream", func(t *testing.T) {
		f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
			beginStream(w)
			say(w, word("one"))
			say(w, word("two"))
			say(w, word("rather more than a token")) // 24 bytes
			say(w, finish)
			say(w, "[DONE]")
		}, nil)
		f.must(streamed)
		f.used(8+2+6, 1)
		f.settled("counted")
	})
	t.Run("odd stream", func(t *testing.T) {
		f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			say(w, `{"created":7.5,"choices":[{"index":0,"delta":{"content":"one"}}]}`)
			say(w, `{"choices":"sixty bytes that could be anything, or text at last"}`)
		}, nil)
		f.must(streamed)
		f.used(8+1+17, 1) // 65 bytes
	})
	t.Run("whole", func(t *testing.T) {
		f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			io.WriteString(w, `{"choices":[{"message":{"content":"rather more than a token"}},{"text":"one"}]}`)
		}, nil)
		f.must(whole)
		f.used(8+6+1, 1)
	})
	t.Run("something else", func(t *testing.T) {
		f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "forty bytes that are no JSON object at all")
		}, nil)
		f.must(whole)
		f.used(8+11, 1)
	})
}

// A call that outgrows its estimate is charged more while it streams.
func TestExtend(t *testing.T) {
	midway, goOn := make(chan struct{}), make(chan struct{})
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		for range 200 {
			say(w, word("tok"))
		}
		close(midway)
		<-goOn
		say(w, usageChunk(10, 0, 200))
		say(w, "[DONE]")
	}, func(c *config) { c.defaultOutput = 10 })
	done := make(chan heard, 1)
	go func() {
		_, text := f.must(`{"stream":true,"prompt":"0123456"}`) // 34 bytes
		done <- hear(t, text)
	}()
	<-midway
	// 9 + 10 reserved, then 65 a time: 84, 149, 214.
	until(t, "all chunks are charged", func() bool { left, _ := f.left(); return left == 1000-214 })
	close(goOn)
	if got := <-done; got.words != 200 || !got.done {
		t.Errorf("the client got %+v", got)
	}
	f.used(210, 1)
}

// One that may have no more is ended as a model ends it, and the upstream stops.
func TestOutOfTokens(t *testing.T) {
	for _, asked := range []bool{false, true} {
		ended := make(chan struct{})
		f := start(t, 100, func(w http.ResponseWriter, r *http.Request) {
			defer close(ended)
			beginStream(w)
			for r.Context().Err() == nil {
				say(w, word("tok"))
			}
		}, func(c *config) { c.defaultOutput = 10 })
		body := `{"stream":true,"prompt":"0123456"}` // 9 tokens
		if asked {
			body = `{"stream":true,"stream_options":{"include_usage":true}}` // 14
		}
		resp, text := f.must(body)
		<-ended
		got := hear(t, text)
		if resp.StatusCode != 200 || got.finish != "length" || !got.done || (got.usage != nil) != asked {
			t.Errorf("the client got %+v:\n%s", got, text)
		}
		input := (len(body) + 3) / 4
		// 10 reserved and 65 more; another 65 are not to be had.
		if got.words != 75 {
			t.Errorf("the client got %d words", got.words)
		}
		if asked && (*got.usage != usage{Prompt: input, Completion: 75, Total: input + 75}) {
			t.Errorf("the usage is %+v", *got.usage)
		}
		if !strings.Contains(text, `"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"length"}]`) || !strings.Contains(text, `data: {"id":"c1","object":"chat.completion.chunk","created":7,"model":"m",`) {
			t.Errorf("the end is not a chunk of the stream:\n%s", text)
		}
		f.used(input+75, 1)
		f.settled("limited")
	}
}

// A stream of which the upstream knows the length gets another.
func TestStreamWithLength(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		all := "data: " + word("tok") + "\n\ndata: " + usageChunk(10, 0, 1) + "\n\ndata: [DONE]\n\n"
		w.Header().Set("Content-Type", "text/event-stream; charset=utf-8")
		w.Header().Set("Content-Length", strconv.Itoa(len(all)))
		io.WriteString(w, all)
	}, nil)
	_, text := f.must(streamed)
	if got := hear(t, text); got != (heard{words: 1, done: true}) {
		t.Errorf("the client got %+v", got)
	}
	f.used(11, 1)
}

// What belongs to the connection with the gateway, or names the client, stays
// there.
func TestHeadersGoUpstream(t *testing.T) {
	f := start(t, 1000, words(1), nil)
	req, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/chat/completions?x=1", strings.NewReader(streamed))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"Authorization": "Bearer sk-ann", "Content-Type": "application/json", "Cookie": "a=b", "X-Api-Key": "sk-other", "Expect": "100-continue", "X-Forwarded-For": "192.0.2.1", "X-Custom": "1"} {
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	_, _, header := f.upstream.asked()
	for _, name := range []string{"Authorization", "Cookie", "X-Api-Key", "Expect", "X-Forwarded-For"} {
		if got := header.Get(name); got != "" {
			t.Errorf("the upstream got %s: %s", name, got)
		}
	}
	if header.Get("X-Custom") != "1" || header.Get("Content-Type") != "application/json" {
		t.Errorf("the upstream got %v", header)
	}
}

// What comes before an answer does not take the answer's fields along.
func TestInformational(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "the operator's own")
		w.WriteHeader(http.StatusEarlyHints)
		words(1)(w, r)
	}, nil)
	resp, text := f.must(streamed)
	if h := resp.Header; h.Get("RateLimit") == "" || h.Get("RateLimit-Policy") == "" || h.Get("X-Request-Id") == "" || h.Get("X-Ratelimit-Remaining-Tokens") != "" {
		t.Errorf("the header is %v", h)
	}
	if got := hear(t, text); got != (heard{words: 1, finish: "stop", done: true}) {
		t.Errorf("the client got %+v", got)
	}
}

// Nothing leads to the upstream's other endpoints, past the budget and with the
// operator's key: no path that only it resolves, and no other protocol.
func TestOnlyModels(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" && r.Header.Get("Connection") == "" {
			return
		}
		w.Header().Set("Connection", "Upgrade")
		w.Header().Set("Upgrade", "h2c")
		w.WriteHeader(http.StatusSwitchingProtocols)
	}, nil)
	for path, status := range map[string]int{
		"/v1/models/m":                       200,
		"/v1/models/org/m..1":                200,
		"/v1/models/org%2fm":                 200,
		"/v1/models/%2e%2e/files":            404,
		"/v1/models/%2e/%2e%2e/files":        404,
		"/v1/models/..%2ffiles":              404,
		"/v1/models/%5c..%5cfiles":           404,
		"/v1/models/..;x/files":              404,
		"/v1/models/m/%2E%2E%2f%2e%2e/files": 404,
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", f.url+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer sk-ann")
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", "h2c")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != status {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
	if calls, _, _ := f.upstream.asked(); calls != 3 {
		t.Errorf("the upstream was asked %d times", calls)
	}
}

// What a request does not say is reserved for each of its choices.
func TestDefaultOutput(t *testing.T) {
	f := start(t, 1000, words(1), func(c *config) { c.defaultOutput = 100 })
	resp, _ := f.must(`{"n":3}`)
	if got := resp.Header.Get("RateLimit"); !strings.HasPrefix(got, `"tokens";r=698;`) {
		t.Errorf("RateLimit: %s", got)
	}
}

// All choices that go on get an end, and those of the older endpoint theirs.
func TestOutOfTokensInManyChoices(t *testing.T) {
	f := start(t, 100, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			say(w, fmt.Sprintf(`{"object":"text_completion","choices":[{"index":%d,"text":"tok","finish_reason":null}]}`, i))
		}
		say(w, `{"object":"text_completion","choices":[{"index":1,"text":"","finish_reason":"stop"}]}`)
		for r.Context().Err() == nil {
			say(w, `{"object":"text_completion","choices":[{"index":2,"text":"tok","finish_reason":null}]}`)
		}
	}, nil)
	_, text := f.must(`{"stream":true,"n":3,"max_tokens":10}`)
	want := `"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"length"},{"index":2,"text":"","logprobs":null,"finish_reason":"length"}]`
	if !strings.Contains(text, want) {
		t.Errorf("the client got\n%s", text)
	}
	f.used(10+30, 1) // 37 bytes, three times 10, and 65 more are not to be had
}

// What goes beyond the estimate is taken all the same, and paid for later.
func TestDebt(t *testing.T) {
	f := start(t, 120, func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		say(w, usageChunk(500, 0, 1))
		say(w, "[DONE]")
	}, nil)
	f.must(streamed)
	f.used(120, 1)
	d, err := f.tokens.AllowN(t.Context(), "name:ann", 1)
	// 501 − 120 in debt, and one more, at a million seconds each.
	if err != nil || d.OK || d.RetryAfter < 381e6*time.Second || d.RetryAfter > 382e6*time.Second {
		t.Errorf("%+v %v", d, err)
	}
}

// A client that leaves takes its call along, and is charged what it had.
func TestClientLeaves(t *testing.T) {
	ended := make(chan struct{})
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		for range 5 {
			say(w, word("tok"))
		}
		<-r.Context().Done()
		close(ended)
	}, nil)
	ctx, leave := context.WithCancel(t.Context())
	resp, err := f.ask(ctx, streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	for n := 0; n < 5 && lines.Scan(); {
		n += strings.Count(lines.Text(), "tok")
	}
	f.used(108, 1)
	leave()
	<-ended
	until(t, "the rest is returned", func() bool { left, _ := f.left(); return left != 1000-108 })
	f.used(8+5, 1)
	until(t, "the log has it", func() bool { return strings.Contains(f.log.String(), `"outcome":"client-gone"`) })
}

// Who leaves before there is an answer has had the prompt read, and, of an
// answer in one piece, perhaps all of it computed.
func TestClientLeavesEarly(t *testing.T) {
	for body, charged := range map[string]int{streamed: 8, whole: 108} {
		begun, ended := make(chan struct{}), make(chan struct{})
		f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
			close(begun)
			<-r.Context().Done()
			close(ended)
		}, nil)
		ctx, leave := context.WithCancel(t.Context())
		go func() {
			<-begun
			leave()
		}()
		if _, err := f.ask(ctx, body); err == nil {
			t.Fatal("there was an answer")
		}
		<-ended
		until(t, "it is settled", func() bool { return f.metric(`gateway_calls_settled_total{how="abandoned"}`) == "1" })
		f.used(charged, 1)
	}
}

// What the upstream did not do costs nothing.
func TestUpstreamFails(t *testing.T) {
	hangUp := func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }
	for _, tt := range []struct {
		name     string
		upstream http.HandlerFunc
		change   func(*config)
		status   int
		how      string
		requests int
	}{
		{"500", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "oh", 500) }, nil, 500, "cancelled", 0},
		{"503", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "oh", http.StatusServiceUnavailable) }, nil, 503, "cancelled", 0},
		{"302", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/", http.StatusFound) }, nil, 404, "cancelled", 0},
		{"hangs up", hangUp, nil, 502, "cancelled", 0},
		{"is not there", hangUp, func(c *config) { c.upstream = &url.URL{Scheme: "http", Host: "127.0.0.1:1"} }, 502, "cancelled", 0},
		{"400", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no such model", 400) }, nil, 400, "refused", 1},
		{"429", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "busy", http.StatusTooManyRequests) }, nil, 429, "refused", 1},
		{"br", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "br")
			beginStream(w)
		}, nil, 502, "cancelled", 0},
		{"cut", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, "{")
		}, nil, 502, "cancelled", 0},
		{"switches protocols", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "Upgrade")
			w.Header().Set("Upgrade", "anything")
			w.WriteHeader(101)
		}, nil, 502, "cancelled", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, 1000, tt.upstream, tt.change)
			resp, text := f.must(whole)
			if resp.StatusCode != tt.status || tt.status == 502 && resp.Header.Get("Content-Type") != "application/problem+json" {
				t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
			}
			f.used(0, tt.requests)
			f.settled(tt.how)
		})
	}
}

// An answer that is too long to be read, which clients can ask for, was computed
// all the same: for how many tokens it does not say.
func TestEndlessAnswer(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			w.Write(make([]byte, 1<<16))
		}
	}, nil)
	resp, text := f.must(whole)
	if resp.StatusCode != 502 || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	f.used(108, 1)
	f.settled("abandoned")
}

// A stream that the upstream cuts reaches the client as one that is cut.
func TestUpstreamCut(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		for range 5 {
			say(w, word("tok"))
		}
		panic(http.ErrAbortHandler)
	}, nil)
	resp, err := f.ask(t.Context(), streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err == nil {
		t.Error("it looks complete")
	}
	if got := strings.Count(string(text), "tok"); got != 5 {
		t.Errorf("the client got %d words", got)
	}
	until(t, "the rest is returned", func() bool { left, _ := f.left(); return left != 1000-108 })
	f.used(8+5, 1)
	f.settled("counted")
}

// A reader that stalls ends the call: it is settled, and the upstream stops.
func TestReaderStalls(t *testing.T) {
	ended := make(chan struct{})
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		defer close(ended)
		beginStream(w)
		for r.Context().Err() == nil {
			say(w, word(strings.Repeat("x", 1<<16)))
		}
	}, func(c *config) {
		c.writeTimeout = 50 * time.Millisecond
		c.tokens = ratelimit.PerMinute(1e10)
	})
	resp, err := f.ask(t.Context(), streamed)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	<-ended
	until(t, "it is settled", func() bool { return f.metric(`gateway_calls_settled_total{how="counted"}`) == "1" })
}

// Over its budget a client is told so before anything goes upstream.
func TestOverBudget(t *testing.T) {
	f := start(t, 200, words(92), nil) // 102 with its prompt
	f.must(streamed)
	f.used(102, 1)
	resp, text := f.must(streamed)
	var problem struct {
		Status int
		Reason string
	}
	if err := json.Unmarshal([]byte(text), &problem); err != nil || resp.StatusCode != 429 || problem.Status != 429 || problem.Reason != "rate-limited" || resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
	if h := resp.Header; !strings.HasPrefix(h.Get("RateLimit"), `"tokens";r=98;`) || !strings.Contains(h.Get("RateLimit-Policy"), `"tokens";q=200;`) {
		t.Errorf("the header is %v", h)
	}
	if after, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || after < 9e6 {
		t.Errorf("Retry-After is %d, %v", after, err) // ten tokens short
	}
	if calls, _, _ := f.upstream.asked(); calls != 1 {
		t.Errorf("the upstream was asked %d times", calls)
	}
	f.used(102, 1) // the request was given back

	resp, text = f.must(`{"max_tokens":1000}`)
	if resp.StatusCode != 429 || !strings.Contains(text, "cost-exceeds-limit") || resp.Header.Get("Retry-After") != "" {
		t.Errorf("%d %v %s", resp.StatusCode, resp.Header, text)
	}
}

// Requests have a limit of their own, which those without tokens use, too.
func TestRequestsAreLimited(t *testing.T) {
	f := start(t, 1000, words(1), func(c *config) { c.requests.Burst = 3 })
	models := func() *http.Response {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/models", nil)
		req.Header.Set("Authorization", "Bearer sk-ann")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp
	}
	f.must(streamed)
	if resp := models(); resp.StatusCode != 200 {
		t.Errorf("%s", resp.Status)
	}
	f.must(streamed)
	resp, _ := f.must(streamed)
	if resp.StatusCode != 429 || !strings.HasPrefix(resp.Header.Get("RateLimit"), `"requests";r=0;`) {
		t.Errorf("%d %v", resp.StatusCode, resp.Header)
	}
	if resp := models(); resp.StatusCode != 429 || !strings.HasPrefix(resp.Header.Get("RateLimit"), `"requests";r=0;`) {
		t.Errorf("%s %v", resp.Status, resp.Header)
	}
	f.used(22, 3)
}

// However many calls one key makes at a time, they share its budget.
func TestManyCalls(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		beginStream(w)
		for range 1000 {
			if r.Context().Err() != nil {
				return
			}
			say(w, word("tok"))
		}
		say(w, "[DONE]")
	}, func(c *config) { c.defaultOutput = 20 })
	var got, refused atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			resp, text := f.must(`{"stream":true,"prompt":"0123456"}`) // 9 tokens
			if resp.StatusCode == 429 {
				refused.Add(1)
				return
			}
			got.Add(int64(9 + hear(t, text).words))
		})
	}
	wg.Wait()
	if got.Load() > 1000 || got.Load() == 0 {
		t.Errorf("clients got %d tokens of 1000", got.Load())
	}
	f.used(int(got.Load()), 50-int(refused.Load()))
	t.Logf("%d tokens in %d calls", got.Load(), 50-refused.Load())
}

func TestCompressedUpstream(t *testing.T) {
	f := start(t, 1000, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "gzip" {
			t.Errorf("the upstream is asked for %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		zip := gzip.NewWriter(w)
		defer zip.Close()
		words(4)(&zipped{w, zip}, r)
	}, nil)
	_, text := f.must(streamed)
	if got := hear(t, text); got.words != 4 || !got.done {
		t.Errorf("the client got %+v", got)
	}
	f.used(14, 1)
}

type zipped struct {
	http.ResponseWriter
	zip *gzip.Writer
}

func (z *zipped) Write(p []byte) (int, error) { return z.zip.Write(p) }

func (z *zipped) FlushError() error {
	if err := z.zip.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(z.ResponseWriter).Flush()
}

// A panic between the reservation and the answer returns all of it.
func TestPanicIsSettled(t *testing.T) {
	f := start(t, 1000, nil, nil)
	h := f.budget(&httputil.ReverseProxy{
		Rewrite:   func(*httputil.ProxyRequest) {},
		Transport: panics{},
	}, f.requests, f.tokens, f.cfg.keys.nameOf)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic did not go on")
			}
		}()
		r := httptest.NewRequest("POST", "/", strings.NewReader(whole))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer sk-ann")
		h.ServeHTTP(httptest.NewRecorder(), r)
	}()
	f.used(0, 0)
	f.settled("cancelled")
}

type panics struct{}

func (panics) RoundTrip(*http.Request) (*http.Response, error) { panic("oh") }

// trip is a transport that is a function.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A reservation lasts as long as the stream does, even if that is silent for
// almost as long as reservations last.
func TestLongStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg, err := parseConfig(nil, func(string) string { return "" }, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		cfg.tokens = ratelimit.Limit{Rate: 1e-6, Burst: 1000}
		g, err := newGateway(cfg, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		body, upstream := io.Pipe()
		go func() {
			for _, piece := range []string{word("a"), word("b"), usageChunk(10, 0, 2)} {
				<-time.After(ratelimit.ReservationTTL * 9 / 10)
				fmt.Fprintf(upstream, "data: %s\n\n", piece)
			}
			upstream.Close()
		}()
		h := g.budget(&httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: trip(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Request: r, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: body}, nil
		})}, g.requests, g.tokens, g.cfg.keys.nameOf)
		r := httptest.NewRequest("POST", "/", strings.NewReader(streamed))
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("Authorization", "Bearer me")
		h.ServeHTTP(httptest.NewRecorder(), r)
		if d, err := g.tokens.AllowN(t.Context(), g.cfg.keys.nameOf(r), 0); err != nil || d.Remaining != 1000-12 {
			t.Errorf("%d tokens are left, %v", d.Remaining, err)
		}
	})
}

// Whatever an upstream streams, it reaches the client as it was, unless it is
// ended.
func FuzzStream(f *testing.F) {
	f.Add([]byte("data: "+word("one")+"\n\ndata: "+usageChunk(1, 0, 1)+"\r\n\r\ndata: [DONE]\n\n"), 1)
	f.Add([]byte(": ping\n\ndata: {\"choices\":[{\"index\":3,\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}}]}\n\n"), 0)
	f.Fuzz(func(t *testing.T, sent []byte, most int) {
		cfg := &config{weights: ratelimit.Weights{Input: 1, Output: 1}, defaultOutput: 1}
		c := &call{prompt: &prompt{stream: true, choices: 1}, gateway: &gateway{cfg: cfg}}
		c.extend = func(n int) error {
			if most -= n; most < 0 && n > 0 {
				return ratelimit.ErrLimited
			}
			return nil
		}
		got, err := io.ReadAll(&stream{call: c, events: newEvents(bytes.NewReader(sent), 200)})
		if err != nil {
			t.Fatal(err)
		}
		if c.cost(c.output) < 0 || !c.limited && !bytes.Equal(got, sent) || c.limited && !bytes.HasSuffix(got, []byte("data: [DONE]\n\n")) {
			t.Errorf("%q became %q, and costs %d", sent, got, c.cost(c.output))
		}
	})
}
