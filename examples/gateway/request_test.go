package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"
)

func TestParsePrompt(t *testing.T) {
	for _, tt := range []struct {
		body, sent         string // sent "" is body
		output, choices    int
		stream, hidesUsage bool
	}{
		{`{}`, "", 0, 1, false, false},
		{`{"max_tokens":7}`, "", 7, 1, false, false},
		{`{"max_tokens":7,"max_completion_tokens":9}`, "", 9, 1, false, false},
		{`{"max_tokens":7,"n":3}`, "", 21, 3, false, false},
		{`{"max_tokens":7,"n":3,"best_of":5}`, "", 35, 5, false, false},
		{`{"max_tokens":1e300,"n":1e300}`, "", maxTokens, maxTokens, false, false},
		{`{"max_tokens":7,"n":3,"prompt":["a","b"]}`, "", 42, 6, false, false},
		{`{"max_tokens":7,"prompt":[[1,2],[3],[4]]}`, "", 21, 3, false, false},
		{`{"max_tokens":7,"prompt":[ 1,2,3]}`, "", 7, 1, false, false},
		{`{"max_tokens":7,"prompt":"[1,2]"}`, "", 7, 1, false, false},
		{`{"max_tokens":7,"prompt":[]}`, "", 7, 1, false, false},
		{`{"MAX_TOKENS":7,"N":3}`, "", 21, 3, false, false},
		{`{"max_tokens":-7,"n":0}`, "", 0, 1, false, false},
		{`{"max_tokens":null,"n":null,"stream":null}`, "", 0, 1, false, false},
		{`{"stream":false}`, "", 0, 1, false, false},
		{`{"a":{"stream":true,"max_tokens":5,"b":[{"n":6}]}}`, "", 0, 1, false, false},
		{`{"stream":true}`, `{"stream_options":{"include_usage":true},"stream":true}`, 0, 1, true, true},
		{" {\n\"stre\\u0061m\" :\ttrue }\n", " {" + `"stream_options":{"include_usage":true},` + "\n\"stre\\u0061m\" :\ttrue }\n", 0, 1, true, true},
		{`{"stream":true,"stream_options":null}`, `{"stream":true,"stream_options":{"include_usage":true}}`, 0, 1, true, true},
		{`{"stream":true,"stream_options":{}}`, `{"stream":true,"stream_options":{"include_usage":true}}`, 0, 1, true, true},
		{`{"stream":true,"stream_options" : {"include_usage":false} , "z":"ü<"}`, `{"stream":true,"stream_options" : {"include_usage":true} , "z":"ü<"}`, 0, 1, true, true},
		{`{"stream_options":{"include_obfuscation":false},"stream":true}`, `{"stream_options":{"include_obfuscation":false,"include_usage":true},"stream":true}`, 0, 1, true, true},
		{`{"stream_options":{"include_usage":true},"stream":true}`, "", 0, 1, true, false},
		{`{"stream_options":{"include_usage":true}}`, "", 0, 1, false, false},
	} {
		p, err := parsePrompt([]byte(tt.body))
		if err != nil {
			t.Errorf("%s: %v", tt.body, err)
			continue
		}
		if tt.sent == "" {
			tt.sent = tt.body
		}
		if string(p.body) != tt.sent || p.maxOutput != tt.output || p.choices != tt.choices || p.stream != tt.stream || p.hideUsage != tt.hidesUsage {
			t.Errorf("%s: %+v, and %s goes upstream", tt.body, p, p.body)
		}
		if want := (len(tt.body) + 3) / 4; p.tokens != want {
			t.Errorf("%s: %d tokens, want %d", tt.body, p.tokens, want)
		}
	}
}

func TestBadBodies(t *testing.T) {
	f := start(t, 1000, words(1), func(c *config) { c.maxBody, c.defaultOutput = 50, 100 })
	for _, tt := range []struct {
		kind, encoding, body string
		status               int
		detail               string
	}{
		{"application/json", "", ``, 400, "not one JSON object"},
		{"application/json", "", `[]`, 400, "not one JSON object"},
		{"application/json", "", `{"stream":true`, 400, "broke off"},
		{"application/json", "", `{"stream":}`, 400, "not one JSON object"},
		{"application/json", "", `{"a":1,}`, 400, "not one JSON object"},
		{"application/json", "", `{} {}`, 400, "not one JSON object"},
		{"application/json", "", `{"max_tokens":1,"n":1,"max_tokens":9}`, 400, "max_tokens twice"},
		{"application/json", "", `{"max_tokens":"9000"}`, 400, "max_tokens must be a number"},
		{"application/json", "", `{"max_tokens":1,"n":[9000]}`, 400, "n must be a number"},
		{"application/json", "", `{"max_completion_tokens":1e999}`, 400, "must be a number"},
		{"application/json", "", `{"stream":1}`, 400, "stream must be true or false"},
		{"application/json", "", `{"max_tokens":1,"Max_Tokens":9}`, 400, "max_tokens twice"},
		{"application/json", "", `{"stream":true,"stream_options":1}`, 400, "stream_options"},
		{"application/json", "", `{"a":"` + strings.Repeat("x", 50) + `"}`, 413, "50 bytes"},
		{"text/plain", "", `{}`, 415, "application/json"},
		{"", "", `{}`, 415, "application/json"},
		{"application/json", "gzip", `{}`, 415, "not compressed"},
		{"application/json; charset=utf-8", "identity", `{}`, 200, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/completions", strings.NewReader(tt.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "bearer sk-ann")
		if tt.kind != "" {
			req.Header.Set("Content-Type", tt.kind)
		}
		if tt.encoding != "" {
			req.Header.Set("Content-Encoding", tt.encoding)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status || !strings.Contains(string(text), tt.detail) || tt.status != 200 && resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s: %d %v %s", tt.body, resp.StatusCode, resp.Header, text)
		}
	}
	if calls, _, _ := f.upstream.asked(); calls != 1 {
		t.Errorf("the upstream was asked %d times", calls)
	}
	f.used(11, 1)
}

func TestBodyDoesNotArrive(t *testing.T) {
	for status, bad := range map[int]error{408: os.ErrDeadlineExceeded, 400: errors.New("reset")} {
		r := httptest.NewRequest("POST", "/", iotest.ErrReader(bad))
		r.Header.Set("Content-Type", "application/json")
		_, err := readPrompt(httptest.NewRecorder(), r, 100)
		if got, ok := errors.AsType[*refusal](err); !ok || got.status != status {
			t.Errorf("%v: %+v", bad, err)
		}
	}
}

// Whatever a body is, what goes upstream means the same but for
// stream_options.include_usage.
func FuzzParsePrompt(f *testing.F) {
	f.Add([]byte(`{"model":"m","stream":true,"messages":[{"content":"x"}],"stream_options":{"a":1}}`))
	f.Add([]byte(`{"stream":true,"n":2,"max_tokens":5}`))
	f.Add([]byte(`{"stream_options":null , "stream" : true}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parsePrompt(body)
		if err != nil {
			if _, ok := errors.AsType[*refusal](err); !ok {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		if p.tokens < 0 || p.maxOutput < 0 || p.maxOutput > maxTokens || p.choices < 1 {
			t.Errorf("%q: %+v", body, p)
		}
		if !p.hideUsage {
			if !bytes.Equal(p.body, body) {
				t.Errorf("%q became %q", body, p.body)
			}
			return
		}
		var before, after map[string]any
		if json.Unmarshal(body, &before) != nil || json.Unmarshal(p.body, &after) != nil {
			t.Fatalf("%q became %q", body, p.body)
		}
		options, _ := before["stream_options"].(map[string]any)
		if options == nil {
			options = make(map[string]any)
		}
		options["include_usage"] = true
		before["stream_options"] = options
		if !reflect.DeepEqual(before, after) {
			t.Errorf("%q became %q", body, p.body)
		}
	})
}
