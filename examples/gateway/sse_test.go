package main

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// cut returns what newEvents makes of a stream: the pieces, and the data of
// those that are whole events with any.
func cut(t *testing.T, r io.Reader, most int) (pieces, data []string) {
	t.Helper()
	for e := newEvents(r, most); ; {
		ev, err := e.next()
		if err == io.EOF {
			return pieces, data
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(ev.raw) == 0 || ev.cut && len(ev.data) > 0 || cap(e.buf) > 2*most+8<<10 {
			t.Fatalf("%+v in a buffer of %d bytes", ev, cap(e.buf))
		}
		pieces = append(pieces, string(ev.raw))
		if len(ev.data) > 0 {
			data = append(data, string(ev.data))
		}
	}
}

func TestEvents(t *testing.T) {
	for _, tt := range []struct{ name, stream, data string }{
		{"nothing", "", ""},
		{"OpenAI's", "data: {}\n\ndata: [DONE]\n\n", "{}\n|[DONE]\n"},
		{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "a\n|b\n"},
		{"CR", "data: a\r\rdata: b\r\r", "a\n|b\n"},
		{"all kinds", "data: a\r\n\ndata: b\n\r\ndata: c\r\r\n", "a\n|b\n|c\n"},
		{"many lines", "data: a\ndata: b\ndata:\ndata\n\n", "a\nb\n\n\n"},
		{"spaces", "data:a\n\ndata:  b \n\n", "a\n| b \n"},
		{"other fields", "event: x\nid: 1\ndata: a\nretry: 5\ndatabase: no\nDATA: no\n data: no\n\n", "a\n"},
		{"comments", ": hi\n\n: ping\ndata: a\n: in between\ndata: b\n\n", "a\nb\n"},
		{"no blank line at the end", "data: a\n\ndata: b\ndata: c", "a\n|b\nc\n"},
		{"blank lines", "\n\n\r\n\rdata: a\n\n\n\n", "a\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for name, r := range map[string]io.Reader{
				"at once":            strings.NewReader(tt.stream),
				"by bytes":           iotest.OneByteReader(strings.NewReader(tt.stream)),
				"by halves":          iotest.HalfReader(strings.NewReader(tt.stream)),
				"with its end":       iotest.DataErrReader(strings.NewReader(tt.stream)),
				"by bytes, with end": iotest.DataErrReader(iotest.OneByteReader(strings.NewReader(tt.stream))),
			} {
				pieces, data := cut(t, r, 1000)
				if got := strings.Join(data, "|"); got != tt.data {
					t.Errorf("%s: the data is %q, want %q", name, got, tt.data)
				}
				if got := strings.Join(pieces, ""); got != tt.stream {
					t.Errorf("%s: the pieces are %q", name, pieces)
				}
			}
		})
	}
}

// An event is there as soon as its last byte is, and a comment too.
func TestEventsAreNotKeptBack(t *testing.T) {
	r, w := io.Pipe()
	e := newEvents(r, 1000)
	for _, piece := range []string{"data: a\n\n", ": ping\n", "data: b\r\n\r", "\n: ping\r", "data: c\n: x\n\n"} {
		go io.WriteString(w, piece)
		ev, err := e.next()
		for err == nil && piece != string(ev.raw) { // an LF of the CR before
			if piece = strings.TrimPrefix(piece, string(ev.raw)); piece == "" {
				break
			}
			ev, err = e.next()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// What is too long comes in pieces without data, and the next event is whole.
func TestLongEvents(t *testing.T) {
	for _, n := range append([]int{30_000}, lengths(80, 120)...) {
		long := "data: " + strings.Repeat("x", n)
		for _, end := range []string{"\n\n", "\r\n\r\n", "\r\r", "\ndata: y\n\n", "\n: c\ndata: y\n\n"} {
			stream := "data: a\n\n" + long + end + "data: b\n\n: c\n"
			for _, r := range []io.Reader{strings.NewReader(stream), iotest.OneByteReader(strings.NewReader(stream))} {
				pieces, data := cut(t, r, 100)
				// One that arrives at once may be whole, though it is too long.
				data = slices.DeleteFunc(data, func(d string) bool { return strings.HasPrefix(d, "xxx") })
				if strings.Join(pieces, "") != stream || !slices.Equal(data, []string{"a\n", "b\n"}) {
					t.Errorf("%d bytes and %q: pieces %q, and data %q", n, end, pieces, data)
				}
			}
		}
	}
}

// lengths are those from one to the other.
func lengths(from, to int) (all []int) {
	for n := from; n <= to; n++ {
		all = append(all, n)
	}
	return all
}

func TestEventsFail(t *testing.T) {
	bad := errors.New("cut")
	e := newEvents(io.MultiReader(strings.NewReader("data: a\n\nda"), iotest.ErrReader(bad)), 1000)
	for _, want := range []string{"data: a\n\n", "da"} {
		if ev, err := e.next(); err != nil || string(ev.raw) != want {
			t.Errorf("%q %v", ev.raw, err)
		}
	}
	for range 2 {
		if _, err := e.next(); err != bad {
			t.Errorf("it ends with %v", err)
		}
	}
}

// reference is the standard's algorithm on all of a stream at once, with the one
// liberty that an unfinished event counts.
func reference(stream string) (data []string) {
	stream = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)
	event := ""
	for _, line := range append(strings.Split(stream, "\n"), "") {
		if line == "" {
			if event != "" {
				data = append(data, event)
			}
			event = ""
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if name == "data" {
			event += strings.TrimPrefix(value, " ") + "\n"
		}
	}
	return data
}

// chunked reads in pieces as long as a string's bytes say.
type chunked struct {
	rest  string
	sizes string
	at    int
}

func (c *chunked) Read(p []byte) (int, error) {
	if c.rest == "" {
		return 0, io.EOF
	}
	n := 1
	if c.sizes != "" {
		n = 1 + int(c.sizes[c.at%len(c.sizes)])%16
		c.at++
	}
	n = copy(p[:min(n, len(p))], c.rest)
	c.rest = c.rest[n:]
	return n, nil
}

func FuzzEvents(f *testing.F) {
	f.Add("data: {\"a\":1}\r\n\r\n: x\rdata: b\n\n", "\x01\x05")
	f.Add("data:a\ndata\n\n\n\r\r\ndata: [DONE]", "")
	f.Fuzz(func(t *testing.T, stream, sizes string) {
		pieces, data := cut(t, &chunked{rest: stream, sizes: sizes}, 1<<20)
		if got := strings.Join(pieces, ""); got != stream {
			t.Errorf("%q became %q", stream, pieces)
		}
		if want := reference(stream); !slices.Equal(data, want) {
			t.Errorf("%q has %q, want %q", stream, data, want)
		}
		// However short events may be, nothing is lost, and no data made up.
		pieces, some := cut(t, &chunked{rest: stream, sizes: sizes}, 8)
		if got := strings.Join(pieces, ""); got != stream {
			t.Errorf("%q became %q in short pieces", stream, pieces)
		}
		for _, d := range some {
			i := slices.Index(data, d)
			if i < 0 {
				t.Errorf("%q has %q in short pieces, want some of %q", stream, some, data)
				break
			}
			data = data[i+1:]
		}
	})
}
