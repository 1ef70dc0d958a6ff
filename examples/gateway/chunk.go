package main

import (
	"encoding/json"
	"errors"
)

// chunk is one event of a stream, as OpenAI has it for chats and for the older
// completions.
type chunk struct {
	ID      string
	Object  string
	Created int64
	Model   string
	Choices []choice
	Usage   *usage

	unknown int // tokens, if it is something else
}

// parse reports whether data is a chunk. A member of another type, such as a
// created with a fraction, is left out and makes it no less of one.
func (c *chunk) parse(data []byte) bool {
	err := json.Unmarshal(data, c)
	if _, odd := errors.AsType[*json.UnmarshalTypeError](err); odd {
		return len(c.Choices) > 0 || c.Usage != nil
	}
	return err == nil
}

// choice is of a chunk or of an answer in one piece.
type choice struct {
	Index   int
	Finish  *string `json:"finish_reason"`
	Delta   content
	Message content
	Text    length
}

type content struct {
	Content, Refusal, Reasoning length
	ReasoningContent            length                        `json:"reasoning_content"`
	ToolCalls                   []struct{ Function function } `json:"tool_calls"`
	FunctionCall                function                      `json:"function_call"`
}

type function struct{ Name, Arguments length }

// tokens is how many of output a chunk brings.
func (c *chunk) tokens() int {
	n := c.unknown
	for i := range c.Choices {
		n += c.Choices[i].tokens()
	}
	return n
}

func (c *choice) tokens() int {
	n := tokens(int(c.Text))
	for _, part := range []*content{&c.Delta, &c.Message} {
		bytes := part.Content + part.Refusal + part.Reasoning + part.ReasoningContent
		bytes += part.FunctionCall.Name + part.FunctionCall.Arguments
		for _, tool := range part.ToolCalls {
			bytes += tool.Function.Name + tool.Function.Arguments
		}
		n += tokens(int(bytes))
	}
	return n
}

// tokens is how many a text of so many bytes is taken for. Servers send a token
// a chunk, and few have more than 16 bytes; what is longer is more than one.
func tokens(bytes int) int {
	switch {
	case bytes == 0:
		return 0
	case bytes <= 16:
		return 1
	}
	return (bytes + bytesPerToken - 1) / bytesPerToken
}

// length is how long a text is, in bytes. What is not a text, such as a list of
// parts, is as long as its JSON.
type length int

func (l *length) UnmarshalJSON(text []byte) error {
	var s *string
	switch err := json.Unmarshal(text, &s); {
	case err != nil:
		*l = length(len(text))
	case s != nil:
		*l = length(len(*s))
	}
	return nil
}
