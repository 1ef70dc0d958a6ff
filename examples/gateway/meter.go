package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// maxAnswer is how long an answer that is no stream may be, in bytes. It is read
// before any of it is passed on, so that its usage is known however early the
// client leaves.
const maxAnswer = 8 << 20

// meter is the proxy's ModifyResponse: what a completion was is read from its
// answer.
func meter(resp *http.Response) error {
	// These are about the account of whoever runs the gateway.
	for name := range resp.Header {
		if strings.HasPrefix(name, "X-Ratelimit-") || strings.HasPrefix(name, "Ratelimit") {
			resp.Header.Del(name)
		}
	}
	if resp.StatusCode < 200 { // 101: nobody would see what goes over it
		return fmt.Errorf("the upstream answers %s", resp.Status)
	}
	c, ok := resp.Request.Context().Value(callKey{}).(*call)
	if !ok || resp.StatusCode >= 300 {
		if ok {
			c.status = resp.StatusCode
		}
		return nil
	}
	if !plain(resp.Header) { // gzip the transport asks for, and undoes, itself
		return fmt.Errorf("the upstream answers in the encoding %q, which nobody asked for", resp.Header.Get("Content-Encoding"))
	}
	if kind, _, _ := mime.ParseMediaType(resp.Header.Get("Content-Type")); kind == "text/event-stream" {
		c.status = resp.StatusCode
		resp.Body = &stream{call: c, body: resp.Body, events: newEvents(resp.Body, maxEvent)}
		resp.ContentLength = -1
		resp.Header.Del("Content-Length")
		return nil
	}
	return c.meterAnswer(resp)
}

// meterAnswer reads an answer that comes in one piece.
func (c *call) meterAnswer(resp *http.Response) error {
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err == nil && len(text) > maxAnswer {
		c.unread = true
		err = errors.New("the upstream's answer is too long")
	}
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	c.status = resp.StatusCode
	resp.Body = io.NopCloser(bytes.NewReader(text))
	var answer struct {
		Choices []choice
		Usage   *usage
	}
	if json.Unmarshal(text, &answer) != nil {
		c.output = tokens(len(text))
	}
	for _, choice := range answer.Choices {
		c.output += choice.tokens()
	}
	c.measure(answer.Usage)
	return nil
}

// usage is what the upstream says that a call was. Of a stream some servers say
// it with each chunk, up to there.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"` // a part of Prompt
	} `json:"prompt_tokens_details"`
}

// measure puts a usage, if there is one, in the place of what was counted.
func (c *call) measure(u *usage) {
	if u == nil || u.Prompt <= 0 && u.Completion <= 0 {
		return
	}
	bounded := func(n int) int { return max(0, min(n, maxTokens)) }
	c.cached = min(bounded(u.Details.Cached), bounded(u.Prompt))
	c.input = bounded(u.Prompt) - c.cached
	c.output = bounded(u.Completion)
	c.exact = true
}

// stream passes an event stream on, and ends it when it may have no more.
type stream struct {
	*call
	body   io.Closer
	events *events
	out    []byte // to be read
	err    error  // after that
	last   chunk  // the last that had choices
	open   []int  // the choices that have not finished
}

func (s *stream) Close() error { return s.body.Close() }

func (s *stream) Read(p []byte) (int, error) {
	for len(s.out) == 0 && s.err == nil {
		s.out, s.err = s.step()
	}
	if len(s.out) == 0 {
		return 0, s.err
	}
	n := copy(p, s.out)
	s.out = s.out[n:]
	return n, nil
}

// step returns what the client gets of the next event, and what the stream ends
// with if it ends with that.
func (s *stream) step() ([]byte, error) {
	ev, err := s.events.next()
	if err != nil {
		return nil, err
	}
	_ = s.extend(0) // a stream may last longer than a reservation does
	data := bytes.TrimSpace(ev.data)
	var c chunk
	switch {
	case ev.cut:
		s.output += tokens(len(ev.raw)) // the next event asks for them
		return ev.raw, nil
	case len(data) == 0 || string(data) == "[DONE]":
		return ev.raw, nil
	case !c.parse(data):
		c = chunk{unknown: tokens(len(data))}
	}
	output := s.output + c.tokens()
	if !s.mayHave(output) {
		return s.cutOff(), io.EOF
	}
	s.output = output
	s.measure(c.Usage)
	s.follow(&c)
	if s.hideUsage && c.Usage != nil && len(c.Choices) == 0 {
		return nil, nil
	}
	return ev.raw, nil
}

// follow remembers what cutOff needs.
func (s *stream) follow(c *chunk) {
	if len(c.Choices) == 0 {
		return
	}
	s.last = *c
	for _, choice := range c.Choices {
		at := slices.Index(s.open, choice.Index)
		switch {
		case choice.Finish != nil && at >= 0:
			s.open = slices.Delete(s.open, at, at+1)
		case choice.Finish == nil && at < 0 && len(s.open) < s.choices:
			s.open = append(s.open, choice.Index)
		}
	}
}

// cutOff is the end of a stream that is out of tokens, as a model ends one that
// has reached its max_tokens. The proxy then closes the upstream's body, which
// tells the upstream to stop.
func (s *stream) cutOff() []byte {
	type end struct {
		Index  int       `json:"index"`
		Delta  *struct{} `json:"delta,omitempty"`
		Text   *string   `json:"text,omitempty"`
		Logs   *struct{} `json:"logprobs"`
		Finish string    `json:"finish_reason"`
	}
	type head struct {
		ID      string `json:"id"`
		Object  string `json:"object"`
		Created int64  `json:"created"`
		Model   string `json:"model"`
		Choices []end  `json:"choices"`
		Usage   *usage `json:"usage,omitempty"`
	}
	h := head{ID: s.last.ID, Object: s.last.Object, Created: s.last.Created, Model: s.last.Model}
	if len(s.open) == 0 {
		s.open = []int{0}
	}
	for _, index := range s.open {
		e := end{Index: index, Finish: "length"}
		if h.Object == "text_completion" {
			e.Text = new(string)
		} else {
			e.Delta = new(struct{})
		}
		h.Choices = append(h.Choices, e)
	}
	text, _ := json.Marshal(h) // texts and numbers
	out := fmt.Appendf(nil, "data: %s\n\n", text)
	if s.stream && !s.hideUsage {
		h.Choices = []end{}
		h.Usage = &usage{Prompt: s.input + s.cached, Completion: s.output, Total: s.input + s.cached + s.output}
		h.Usage.Details.Cached = s.cached
		text, _ = json.Marshal(h)
		out = fmt.Appendf(out, "data: %s\n\n", text)
	}
	return append(out, "data: [DONE]\n\n"...)
}
