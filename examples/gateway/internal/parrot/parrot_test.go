package parrot

import (
	"context"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func ask(method, path, body string) (int, string) {
	w := httptest.NewRecorder()
	Handler{}.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Code, w.Body.String()
}

func TestParrot(t *testing.T) {
	const path = "/v1/chat/completions"
	for _, tt := range []struct {
		name, method, path, body string
		status                   int
		want                     []string
	}{
		{"models", "GET", "/v1/models", "", 200, []string{`"id":"parrot"`}},
		{"whole", "POST", path, `{"messages":[{"content":"be brief"},{"content":"a b"}]}`, 200,
			[]string{`"content":"a b"`, `"finish_reason":"stop"`, `"prompt_tokens":4,"completion_tokens":2,"total_tokens":6`}},
		{"cut", "POST", path, `{"max_tokens":1,"messages":[{"content":"a b"}]}`, 200, []string{`"content":"a"`, `"finish_reason":"length"`}},
		{"stream", "POST", path, `{"stream":true,"stream_options":{"include_usage":true},"messages":[{"content":"a b"}]}`, 200,
			[]string{`{"content":"a"}`, `{"content":" b"}`, `"finish_reason":"stop"`, `"choices":[],"usage":{"prompt_tokens":2`, "data: [DONE]\n\n"}},
		{"nothing to say", "POST", path, `{}`, 400, []string{"messages is required"}},
		{"elsewhere", "GET", path, "", 404, []string{"no such endpoint"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				status, body := ask(tt.method, tt.path, tt.body)
				if status != tt.status {
					t.Errorf("status %d, want %d", status, tt.status)
				}
				for _, want := range tt.want {
					if !strings.Contains(body, want) {
						t.Errorf("no %s in %s", want, body)
					}
				}
			})
		})
	}
}

// Who leaves at the first word is spared the rest.
func TestParrotStops(t *testing.T) {
	ctx, leave := context.WithCancel(t.Context())
	r := httptest.NewRequestWithContext(ctx, "POST", "/v1/chat/completions",
		strings.NewReader(`{"stream":true,"messages":[{"content":"a b c"}]}`))
	w := &leaver{httptest.NewRecorder(), leave}
	Handler{Pace: time.Hour}.ServeHTTP(w, r)
	if body := w.Body.String(); strings.Contains(body, "content") || !strings.Contains(body, `"role":"assistant"`) {
		t.Errorf("it said %s", body)
	}
}

type leaver struct {
	*httptest.ResponseRecorder
	leave func()
}

func (l *leaver) Write(p []byte) (int, error) {
	l.leave()
	return l.ResponseRecorder.Write(p)
}
