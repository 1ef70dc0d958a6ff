package main

import (
	"bytes"
	"io"
)

// maxEvent is how long an event may be, in bytes, before it is passed on in
// pieces that nobody looks into. OpenAI's have a few hundred.
const maxEvent = 1 << 18

// An event is a piece of an event stream. The pieces together are the stream,
// byte for byte.
type event struct {
	raw  []byte // good until the next call of next, as data is
	data []byte // its lines of data, with a newline after each
	cut  bool   // it belongs to an event that is longer than most: no data
}

// events cuts a stream into its events. Lines end with LF, CR or CRLF, and a
// blank line ends an event (HTML, "Server-sent events", 9.2.5 and 9.2.6).
type events struct {
	r    io.Reader
	most int
	err  error // what r ended with

	buf   []byte
	start int  // of buf: where what was not returned begins
	line  int  // where the line begins that is being scanned
	at    int  // where scanning goes on
	cr    bool // the last line ended with CR: an LF next would be part of that

	data   []byte
	fields bool // the event has a line besides comments
	broken bool // a part of the line was returned already
	cut    bool // a part of the event was
}

func newEvents(r io.Reader, most int) *events { return &events{r: r, most: most} }

// next returns the next event with the blank line that ends it, or a comment
// outside an event: what keeps a connection alive is not kept back. At the end
// comes what is left, as if a blank line followed, which some servers save, and
// then the stream's error.
func (e *events) next() (event, error) {
	e.data = e.data[:0]
	for {
		for e.at < len(e.buf) {
			if e.scanLine() {
				return e.take(false), nil
			}
		}
		switch held := len(e.buf) - e.start; {
		case held > 0 && e.err != nil:
			e.field(e.buf[e.line:])
			return e.take(false), nil
		case e.err != nil:
			return event{}, e.err
		case held >= e.most:
			return e.take(true), nil
		}
		e.read()
	}
}

// scanLine goes on to the end of the line, or of what was read, and reports
// whether there is something to return.
func (e *events) scanLine() bool {
	if e.cr && e.buf[e.at] == '\n' {
		e.at++
		e.line = e.at
		e.cr = false
		return false
	}
	e.cr = false
	n := bytes.IndexAny(e.buf[e.at:], "\r\n")
	if n < 0 {
		e.at = len(e.buf)
		return false
	}
	end := e.at + n
	text := e.buf[e.line:end]
	e.at = end + 1
	if e.buf[end] == '\r' {
		if e.cr = true; e.at < len(e.buf) && e.buf[e.at] == '\n' {
			e.at++
			e.cr = false
		}
	}
	e.line = e.at
	blank := len(text) == 0 && !e.broken
	comment := len(text) > 0 && text[0] == ':' && !e.fields && !e.cut
	if !blank && !comment {
		e.field(text)
	}
	e.broken = false
	return blank || comment
}

// field keeps a line's data.
func (e *events) field(line []byte) {
	if e.cut || len(line) == 0 {
		return
	}
	e.fields = true
	value, ok := bytes.CutPrefix(line, []byte("data"))
	if ok && (len(value) == 0 || value[0] == ':') {
		value = bytes.TrimPrefix(value, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		e.data = append(append(e.data, value...), '\n')
	}
}

// take returns what was scanned. If the event goes on, nobody looks into it.
func (e *events) take(goesOn bool) event {
	ev := event{raw: e.buf[e.start:e.at], data: e.data, cut: e.cut || goesOn}
	if ev.cut {
		ev.data = nil
	}
	e.broken = goesOn && (e.broken || e.line < e.at)
	e.start, e.line, e.cut, e.fields = e.at, e.at, goesOn, false
	return ev
}

// read adds what r has to buf.
func (e *events) read() {
	const least = 4 << 10
	if e.start > 0 {
		e.buf = e.buf[:copy(e.buf, e.buf[e.start:])]
		e.line, e.at, e.start = e.line-e.start, e.at-e.start, 0
	}
	if cap(e.buf)-len(e.buf) < least {
		e.buf = append(make([]byte, 0, 2*len(e.buf)+least), e.buf...)
	}
	n, err := e.r.Read(e.buf[len(e.buf) : len(e.buf)+least])
	e.buf, e.err = e.buf[:len(e.buf)+n], err
}
