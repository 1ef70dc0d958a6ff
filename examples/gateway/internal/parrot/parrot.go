// Package parrot is a small server that speaks OpenAI's chat completions: it
// says the last message again, a word at a time, and calls a word a token.
package parrot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Handler answers POST /v1/chat/completions and GET /v1/models.
type Handler struct {
	Pace time.Duration // between two words
}

type request struct {
	Model    string
	Messages []struct{ Role, Content string }
	Stream   bool
	Options  struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	MaxTokens           int `json:"max_tokens"`
	MaxCompletionTokens int `json:"max_completion_tokens"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

type message struct {
	Role    string `json:"role,omitempty"`
	Content string `json:"content,omitempty"`
}

type choice struct {
	Index   int      `json:"index"`
	Message *message `json:"message,omitempty"`
	Delta   *message `json:"delta,omitempty"`
	Finish  *string  `json:"finish_reason"`
}

type answer struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

func (h Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /v1/models":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintln(w, `{"object":"list","data":[{"id":"parrot","object":"model","created":0,"owned_by":"ballast"}]}`)
	case "POST /v1/chat/completions":
		h.complete(w, r)
	default:
		http.Error(w, `{"error":{"message":"no such endpoint","type":"invalid_request_error"}}`, http.StatusNotFound)
	}
}

func (h Handler) complete(w http.ResponseWriter, r *http.Request) {
	var req request
	if err := json.NewDecoder(r.Body).Decode(&req); err != nil || len(req.Messages) == 0 {
		http.Error(w, `{"error":{"message":"messages is required","type":"invalid_request_error"}}`, http.StatusBadRequest)
		return
	}
	used := new(usage)
	for _, m := range req.Messages {
		used.Prompt += len(strings.Fields(m.Content))
	}
	words, finish := strings.Fields(req.Messages[len(req.Messages)-1].Content), "stop"
	if most := max(req.MaxTokens, req.MaxCompletionTokens); most > 0 && most < len(words) {
		words, finish = words[:most], "length"
	}
	used.Completion = len(words)
	used.Total = used.Prompt + used.Completion
	a := answer{ID: "chatcmpl-parrot", Object: "chat.completion", Created: time.Now().Unix(), Model: req.Model}
	if req.Stream {
		a.Object = "chat.completion.chunk"
		h.stream(w, r, a, words, finish)
		if req.Options.IncludeUsage {
			a.Choices, a.Usage = []choice{}, used
			send(w, a)
		}
		fmt.Fprint(w, "data: [DONE]\n\n")
		return
	}
	a.Choices = []choice{{Message: &message{"assistant", strings.Join(words, " ")}, Finish: &finish}}
	a.Usage = used
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(a)
}

// stream says the words, until the client has heard enough.
func (h Handler) stream(w http.ResponseWriter, r *http.Request, a answer, words []string, finish string) {
	w.Header().Set("Content-Type", "text/event-stream")
	say := func(m message, finish *string) {
		a.Choices = []choice{{Delta: &m, Finish: finish}}
		send(w, a)
	}
	say(message{Role: "assistant"}, nil)
	for i, word := range words {
		if i > 0 {
			word = " " + word
		}
		select {
		case <-time.After(h.Pace):
		case <-r.Context().Done():
			return
		}
		say(message{Content: word}, nil)
	}
	say(message{}, &finish)
}

func send(w http.ResponseWriter, a answer) {
	text, _ := json.Marshal(a) // texts and numbers
	fmt.Fprintf(w, "data: %s\n\n", text)
	_ = http.NewResponseController(w).Flush()
}
