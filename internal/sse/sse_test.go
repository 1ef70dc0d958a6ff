package sse

import (
	"regexp"
	"strings"
	"testing"
)

var errorLine = regexp.MustCompile(`(?s)^(event: ?error$|data: ?\{ *"error" *: *(\{ *($|[^ }])|"($|[^"])|t|[1-9]))`)

// hasErrorEvent is the naive reference: all the lines at once. Like the
// scanner it looks at no more than the first 32 bytes of a line.
func hasErrorEvent(stream string) bool {
	stream = strings.TrimPrefix(stream, "\ufeff")
	for _, line := range strings.FieldsFunc(stream, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if len(line) > 32 {
			line = line[:32]
		}
		if errorLine.MatchString(line) {
			return true
		}
	}
	return false
}

func scanned(stream string, cut int) bool {
	var s Scanner
	for len(stream) > 0 {
		n := min(cut, len(stream))
		if cut%2 == 0 {
			s.Scan(stream[:n])
		} else {
			s.ScanBytes([]byte(stream[:n]))
		}
		stream = stream[n:]
	}
	s.Finish()
	return s.Found()
}

var streams = map[string]bool{
	"":                                                       false,
	"data: token\n\n":                                        false,
	"event: error\ndata: {}\n\n":                             true,
	"event:error\n\n":                                        true,
	"event: error\r\n\r\n":                                   true,
	"id: 1\revent: error\r\r":                                true,
	"event: errors\n\n":                                      false,
	"event: an error\n\n":                                    false,
	"data: event: error\n\n":                                 false,
	"data: {\"error\":{\"code\":1}}\n\n":                     true,
	"data:{ \"error\" : \"oom\"}\n\n":                        true,
	"data: {\"error\": true}\n\n":                            true,
	"data: {\"error\": 500}\n\n":                             true,
	"data: {\"error\": {\ndata: }\n\n":                       true,
	"data: {\"error\":{}}\n\n":                               false,
	"data:{ \"error\" : { }}\n\n":                            false,
	"data: {\"error\": \"\"}\n\n":                            false,
	"data: {\"error\": null}\n\n":                            false,
	"data: {\"error\":false}\n\n":                            false,
	"data: {\"error\": 0}\n\n":                               false,
	"data: {\"error\"\n\n":                                   false,
	"\ufeffevent: error\n\n":                                 true,
	"data\n\ufeffevent: error\n\n":                           false,
	"data: {\"error_rate\":1}\n\n":                           false,
	"data: {\"text\":\"error\"}\n\n":                         false,
	": a comment on error\n\nevent: done":                    false,
	"data: x\n\nevent: error":                                true,
	strings.Repeat("x", 100) + "event: error\n":              false,
	"data: " + strings.Repeat("x", 100) + "\nevent: error\n": true,
}

func TestScanner(t *testing.T) {
	for stream, want := range streams {
		if hasErrorEvent(stream) != want {
			t.Errorf("the reference misjudges %q", stream)
		}
		for cut := 1; cut <= len(stream); cut++ {
			if scanned(stream, cut) != want {
				t.Errorf("%q in pieces of %d: want %v", stream, cut, want)
			}
		}
	}
}

func FuzzScanner(f *testing.F) {
	for stream := range streams {
		f.Add(stream, 3)
	}
	f.Fuzz(func(t *testing.T, stream string, cut int) {
		if cut < 1 {
			cut = 1
		}
		if got, want := scanned(stream, cut), hasErrorEvent(stream); got != want {
			t.Errorf("%q in pieces of %d: got %v, want %v", stream, cut, got, want)
		}
	})
}

func TestIsStream(t *testing.T) {
	for kind, want := range map[string]bool{
		"text/event-stream":               true,
		"Text/Event-Stream;charset=utf-8": true,
		"text/event":                      false,
		"application/json":                false,
		"":                                false,
	} {
		if got := IsStream(map[string][]string{"Content-Type": {kind}}); got != want {
			t.Errorf("%q: %v", kind, got)
		}
	}
	if IsStream(nil) {
		t.Error("without a header")
	}
}
