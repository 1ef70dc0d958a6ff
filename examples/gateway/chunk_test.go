package main

import (
	"encoding/json"
	"testing"
)

func TestTokens(t *testing.T) {
	for text, want := range map[string]int{
		`{}`:             0,
		`{"choices":[]}`: 0,
		`{"choices":[{"delta":{"role":"assistant","content":""}}]}`:                                                                   0,
		`{"choices":[{"delta":{"content":null,"refusal":null},"finish_reason":"stop"}]}`:                                              0,
		`{"choices":[{"delta":{"content":"a"}}]}`:                                                                                     1,
		`{"choices":[{"delta":{"content":"sixteen bytes, so"}}]}`:                                                                     5,
		`{"choices":[{"delta":{"content":"sixteen bytes, s"}}]}`:                                                                      1,
		`{"choices":[{"delta":{"refusal":"no"}},{"index":1,"text":"b"}]}`:                                                             2,
		`{"choices":[{"delta":{"reasoning_content":"hm"}}]}`:                                                                          1,
		`{"choices":[{"delta":{"reasoning":"hm"}}]}`:                                                                                  1,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}`: 1,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a"}}]}}]}`:                                        1,
		`{"choices":[{"delta":{"function_call":{"arguments":"{"}}}]}`:                                                                 1,
		`{"choices":[{"message":{"content":[{"type":"text","text":"list"}]}}]}`:                                                       8,
		`{"choices":[{"delta":{"content":"\u00fc\u00fc\u00fc"}}]}`:                                                                    1,
	} {
		var c chunk
		if err := json.Unmarshal([]byte(text), &c); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := c.tokens(); got != want {
			t.Errorf("%s: %d tokens, want %d", text, got, want)
		}
	}
}
