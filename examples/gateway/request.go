package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"slices"
	"strings"
)

// prompt is what a request's body asks for.
type prompt struct {
	body      []byte // as it goes upstream
	tokens    int    // of the input, by the body's length
	maxOutput int    // tokens, of all choices together; 0 if it does not say
	choices   int    // of all prompts, at least 1
	stream    bool
	hideUsage bool // the client did not ask for the usage of a stream
}

const (
	// bytesPerToken is how long a token of English is, in OpenAI's own rule of
	// thumb. JSON around it makes an estimate rather too high.
	bytesPerToken = 4
	// maxTokens keeps estimates, and their products, far from overflow.
	maxTokens = 1 << 30
)

// A refusal is a client's mistake. detail is for the client.
type refusal struct {
	status int
	detail string
}

func (e *refusal) Error() string { return e.detail }

var errNotJSON = &refusal{http.StatusBadRequest, "The body is not one JSON object, or broke off."}

// readPrompt reads a request's body, of at most most bytes. Its errors are of
// type *refusal. A stream is asked for its usage, whether the client did or not;
// nothing else of the body is changed.
func readPrompt(w http.ResponseWriter, r *http.Request, most int64) (*prompt, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" || !plain(r.Header) {
		return nil, &refusal{http.StatusUnsupportedMediaType, "The body must be application/json, and not compressed."}
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, most))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, &refusal{http.StatusRequestEntityTooLarge, fmt.Sprintf("The body may have %d bytes.", most)}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) { // the server's ReadTimeout
		return nil, &refusal{http.StatusRequestTimeout, "The body did not arrive in time."}
	}
	if err != nil {
		return nil, errNotJSON
	}
	return parsePrompt(body)
}

// plain reports whether a message's body is as its Content-Type says.
func plain(h http.Header) bool {
	e := h.Get("Content-Encoding")
	return e == "" || strings.EqualFold(e, "identity")
}

// A member of the body's object.
type member struct {
	value      json.RawMessage
	start, end int // of value in the body
}

func parsePrompt(body []byte) (*prompt, error) {
	members, open, err := parseMembers(body)
	if err != nil {
		return nil, err
	}
	if err := checkTypes(members); err != nil {
		return nil, err
	}
	p := &prompt{body: body, tokens: (len(body) + bytesPerToken - 1) / bytesPerToken}
	p.choices = times(members["prompt"].prompts(), max(1, members["n"].number(), members["best_of"].number()))
	limit := max(members["max_tokens"].number(), members["max_completion_tokens"].number())
	p.maxOutput = times(limit, p.choices)
	p.stream = string(members["stream"].value) == "true"
	if p.stream {
		return p, p.askForUsage(members["stream_options"], open)
	}
	return p, nil
}

// matters are the members that matter. Some servers, such as those in Go, do not
// mind the case of names.
var matters = []string{"stream", "stream_options", "max_tokens", "max_completion_tokens", "n", "best_of", "prompt"}

// parseMembers returns the members that matter, and where the object's brace is
// open. Whichever of two with one name a server took, it might be the other.
func parseMembers(body []byte) (members map[string]member, open int, err error) {
	dec := json.NewDecoder(bytes.NewReader(body))
	if brace, err := dec.Token(); err != nil || brace != json.Delim('{') {
		return nil, 0, errNotJSON
	}
	open = int(dec.InputOffset())
	members = make(map[string]member)
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, 0, errNotJSON
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, 0, errNotJSON
		}
		at := slices.IndexFunc(matters, func(m string) bool { return strings.EqualFold(m, name.(string)) })
		if at >= 0 {
			name := matters[at]
			if _, twice := members[name]; twice {
				return nil, 0, &refusal{http.StatusBadRequest, "The body has " + name + " twice."}
			}
			end := int(dec.InputOffset())
			members[name] = member{value, end - len(value), end}
		}
	}
	if _, err := dec.Token(); err != nil { // the closing brace
		return nil, 0, errNotJSON
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, 0, errNotJSON
	}
	return members, open, nil
}

// checkTypes refuses what another server might take for a number, or for true,
// such as "1000" and 1.
func checkTypes(members map[string]member) error {
	for name, m := range members {
		var to any
		kind := "a number"
		switch name {
		case "stream":
			to, kind = new(*bool), "true or false"
		case "max_tokens", "max_completion_tokens", "n", "best_of":
			to = new(*float64)
		default:
			continue
		}
		if json.Unmarshal(m.value, to) != nil {
			return &refusal{http.StatusBadRequest, name + " must be " + kind + "."}
		}
	}
	return nil
}

// number is a count, or 0 if it is none: that the upstream may refuse.
func (m member) number() int {
	var n float64
	if json.Unmarshal(m.value, &n) != nil || !(n > 0) {
		return 0
	}
	return int(min(n, maxTokens))
}

// prompts is how many there are: the older completions may have a list of them,
// each a text or a list of tokens, where a list of numbers is one.
func (m member) prompts() int {
	var list []json.RawMessage
	if json.Unmarshal(m.value, &list) != nil || len(list) == 0 || !strings.ContainsRune(`"[`, rune(list[0][0])) {
		return 1
	}
	return len(list)
}

// times is a·b, of numbers up to maxTokens.
func times(a, b int) int { return int(min(maxTokens, int64(a)*int64(b))) }

// askForUsage sets stream_options.include_usage, without which a stream ends
// and nobody knows what it was.
func (p *prompt) askForUsage(options member, open int) error {
	var fields map[string]json.RawMessage
	if options.value != nil && json.Unmarshal(options.value, &fields) != nil {
		return &refusal{http.StatusBadRequest, "stream_options must be an object."}
	}
	if string(fields["include_usage"]) == "true" {
		return nil
	}
	p.hideUsage = true
	if fields == nil {
		fields = make(map[string]json.RawMessage)
	}
	fields["include_usage"] = json.RawMessage("true")
	text, err := json.Marshal(fields)
	if err != nil {
		return err
	}
	if options.value == nil { // there is a member behind it: stream
		text = fmt.Appendf(nil, `"stream_options":%s,`, text)
		options.start, options.end = open, open
	}
	p.body = bytes.Join([][]byte{p.body[:options.start], text, p.body[options.end:]}, nil)
	return nil
}

// send gives r the body that goes upstream.
func (p *prompt) send(r *http.Request) {
	r.ContentLength = int64(len(p.body))
	r.TransferEncoding = nil
	// With GetBody the transport can try again when a connection turns out to
	// have been closed while it was idle.
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(p.body)), nil }
	r.Body, _ = r.GetBody()
}
