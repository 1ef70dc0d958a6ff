package reqstate

import "strings"

// An eventScanner watches the bytes of a text/event-stream for an error: an
// event named error (WHATWG HTML §9.2, "event: error"), or a data line that
// opens with {"error": and a value that says something, which is how
// OpenAI-compatible servers report one inside a 200. It keeps the first bytes
// of the current line, so that it does not matter how writes split the stream.
type eventScanner struct {
	on    bool
	found bool
	begun bool     // past the first line, which may have a byte order mark
	n     int      // bytes of the current line kept in line
	line  [32]byte // more than any line of interest needs
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
		e.n += copy(e.line[e.n:], p[:i])
		if i == len(p) {
			return
		}
		e.endLine()
		p = p[i+1:]
	}
}

// endLine judges the line that is complete.
func (e *eventScanner) endLine() {
	line := e.line[:e.n]
	if !e.begun {
		line = []byte(strings.TrimPrefix(string(line), "\ufeff"))
		e.begun = true
	}
	e.found = e.found || isErrorLine(string(line))
	e.n = 0
}

// finish judges a last line that no newline ended.
func (e *eventScanner) finish() {
	if e.on {
		e.endLine()
	}
}

func isErrorLine(line string) bool {
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch field {
	case "event":
		return value == "error"
	case "data":
		rest, ok := strings.CutPrefix(value, "{")
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
	return false
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
