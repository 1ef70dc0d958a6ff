// Package sse finds errors in streams of server-sent events (WHATWG HTML §9.2),
// which are answers of 200 that fail all the same.
package sse

import (
	"strings"
	"unsafe"
)

// IsStream reports whether the header h is that of a text/event-stream.
func IsStream(h map[string][]string) bool {
	const kind = "text/event-stream"
	v := h["Content-Type"]
	return len(v) > 0 && len(v[0]) >= len(kind) && strings.EqualFold(v[0][:len(kind)], kind)
}

// A Scanner watches the bytes of a text/event-stream for an error: an event
// named error ("event: error"), or a data line that opens with {"error": and a
// value that says something, which is how OpenAI-compatible servers report one
// inside a 200. It keeps the first bytes of the current line, so that it does
// not matter how the stream is split. Its zero value is ready. It must not be
// used by two goroutines at a time.
type Scanner struct {
	found bool
	begun bool     // past the first line, which may have a byte order mark
	n     uint8    // bytes of the current line kept in line
	line  [32]byte // more than any line of interest needs
}

// Found reports whether a line was one of an error.
func (s *Scanner) Found() bool { return s.found }

// Scan looks at the next piece of the stream.
func (s *Scanner) Scan(p string) {
	for len(p) > 0 && !s.found {
		// Two searches, for IndexAny is a loop over bytes.
		i := strings.IndexByte(p, '\n')
		if i < 0 {
			i = len(p)
		}
		if j := strings.IndexByte(p[:i], '\r'); j >= 0 {
			i = j
		}
		s.n += uint8(copy(s.line[s.n:], p[:i]))
		if i == len(p) {
			return
		}
		s.endLine()
		p = p[i+1:]
	}
}

// ScanBytes is Scan of bytes, which it does not keep.
func (s *Scanner) ScanBytes(p []byte) {
	s.Scan(unsafe.String(unsafe.SliceData(p), len(p)))
}

// Finish looks at a last line that no newline ended: the stream is over.
func (s *Scanner) Finish() { s.endLine() }

// endLine judges the line that is complete.
func (s *Scanner) endLine() {
	line := s.line[:s.n]
	if !s.begun {
		line = []byte(strings.TrimPrefix(string(line), "\ufeff"))
		s.begun = true
	}
	s.found = s.found || isErrorLine(string(line))
	s.n = 0
}

func isErrorLine(line string) bool {
	// Not strings.Cut, which took a fifth of what a chunk costs.
	if value, ok := strings.CutPrefix(line, "event:"); ok {
		return strings.TrimPrefix(value, " ") == "error"
	}
	value, ok := strings.CutPrefix(line, "data:")
	if !ok {
		return false
	}
	rest, ok := strings.CutPrefix(strings.TrimPrefix(value, " "), "{")
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), `"error"`)
	if !ok {
		return false
	}
	rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), ":")
	return ok && saysSomething(strings.TrimLeft(rest, " "))
}

// saysSomething reports whether a JSON value begins that is not null, false,
// 0, "" or {}.
func saysSomething(value string) bool {
	if value == "" {
		return false
	}
	rest := strings.TrimLeft(value[1:], " ")
	switch value[0] {
	case '{':
		return !strings.HasPrefix(rest, "}")
	case '"':
		return !strings.HasPrefix(value[1:], `"`)
	case 't':
		return true
	}
	return '1' <= value[0] && value[0] <= '9'
}
