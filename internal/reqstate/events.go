package reqstate

import "strings"

// An eventScanner watches the bytes of a text/event-stream for an error: an
// event named error (WHATWG HTML §9.2, "event: error"), or a data line that
// opens with {"error": , which is how OpenAI-compatible servers report one
// inside a 200. It keeps the first bytes of the current line, so that it does
// not matter how writes split the stream.
type eventScanner struct {
	on    bool
	found bool
	n     int      // bytes of the current line kept in line; over when it is full
	line  [24]byte // longer than any line of interest needs
}

func (e *eventScanner) scan(p string) {
	for len(p) > 0 && !e.found {
		// Two searches, for IndexAny is a loop over bytes.
		i := strings.IndexByte(p, '\n')
		if i < 0 {
			i = len(p)
		}
		if j := strings.IndexByte(p[:i], '\r'); j >= 0 {
			i = j
		}
		end := i < len(p)
		e.n += copy(e.line[e.n:], p[:i])
		if end {
			i++
		}
		p = p[i:]
		if end || e.n == len(e.line) {
			e.found = isErrorLine(e.line[:e.n], end)
		}
		if end {
			e.n = 0
		}
	}
}

// finish judges a last line that no newline ended.
func (e *eventScanner) finish() {
	if e.on && !e.found {
		e.found = isErrorLine(e.line[:e.n], true)
	}
}

func isErrorLine(line []byte, whole bool) bool {
	field, value, ok := strings.Cut(string(line), ":")
	if !ok {
		return false
	}
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "event":
		return whole && value == "error"
	case "data":
		rest, ok := strings.CutPrefix(value, "{")
		if !ok {
			return false
		}
		rest, ok = strings.CutPrefix(strings.TrimLeft(rest, " "), `"error"`)
		return ok && strings.HasPrefix(strings.TrimLeft(rest, " "), ":")
	}
	return false
}
