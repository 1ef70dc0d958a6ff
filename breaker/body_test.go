package breaker_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"github.com/ballast-go/ballast/breaker"
)

// bodyOf returns what a transport with b makes of an event stream.
func bodyOf(tb testing.TB, ctx context.Context, b *breaker.Breaker, body io.ReadCloser) io.ReadCloser {
	tb.Helper()
	rt := breaker.NewTransport(base(func(*http.Request) (*http.Response, error) {
		resp := answer(200, body)
		resp.Header.Set("Content-Type", "text/event-stream")
		return resp, nil
	}), b, breaker.TransportConfig{})
	resp, err := rt.RoundTrip(httptest.NewRequestWithContext(ctx, "GET", "/", nil))
	if err != nil {
		tb.Fatal(err)
	}
	return resp.Body
}

var errBroken = errors.New("broken")

func TestBodyEnds(t *testing.T) {
	const whole, bad = "data: x\n\n", "event: error\n\n"
	all := func(b io.ReadCloser) { _, _ = io.ReadAll(b) }
	for name, tt := range map[string]struct {
		body io.Reader
		use  func(io.ReadCloser)
		want string
	}{
		"read":                        {strings.NewReader(whole), all, "success"},
		"read, the end with the rest": {iotest.DataErrReader(strings.NewReader(whole)), all, "success"},
		"error event with the end":    {iotest.DataErrReader(strings.NewReader("event: error")), all, "failure"},
		"error event, read further":   {strings.NewReader(bad + whole), all, "failure"},
		"error event, closed":         {strings.NewReader(bad), func(b io.ReadCloser) { _, _ = b.Read(make([]byte, 100)); b.Close() }, "failure"},
		"perhaps an error, closed":    {strings.NewReader("event: errors"), func(b io.ReadCloser) { _, _ = b.Read(make([]byte, 12)); b.Close() }, "success"},
		"broken":                      {io.MultiReader(strings.NewReader(whole), failing{errBroken}), all, "failure"},
		"broken at once":              {failing{errBroken}, all, "failure"},
		"broken, then closed":         {failing{errBroken}, func(b io.ReadCloser) { all(b); b.Close() }, "failure"},
		"closed":                      {strings.NewReader(whole), func(b io.ReadCloser) { b.Close() }, "success"},
		"closed, then broken":         {failing{errBroken}, func(b io.ReadCloser) { b.Close(); all(b) }, "success"},
		"panic":                       {doing(func() { panic("a bug") }), func(b io.ReadCloser) { defer func() { _ = recover() }(); all(b) }, "failure"},
		"Goexit":                      {doing(runtime.Goexit), func(b io.ReadCloser) { var wg sync.WaitGroup; wg.Go(func() { all(b) }); wg.Wait() }, "failure"},
	} {
		b := breakerOf(t, breaker.Config{})
		under := &closer{Reader: tt.body}
		body := bodyOf(t, t.Context(), b, under)
		wantOutcome(t, b, "nothing")
		tt.use(body)
		if got := reported(b); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
		before := under.closed
		if body.Close(); under.closed != before+1 {
			t.Errorf("%s: the close is not passed on", name)
		}
		if got := reported(b); got != tt.want {
			t.Errorf("%s: %s after another close", name, got)
		}
	}
}

type doing func()

func (d doing) Read([]byte) (int, error) { d(); return 0, io.EOF }

// Errors are passed on as they are.
func TestBodyPassesOn(t *testing.T) {
	body := bodyOf(t, t.Context(), breakerOf(t, breaker.Config{}), &closer{Reader: io.MultiReader(strings.NewReader("x"), failing{errBroken})})
	if got, err := io.ReadAll(body); string(got) != "x" || err != errBroken {
		t.Errorf("%q, %v", got, err)
	}
}

// Readers, closers and a cancel, all at once: one report.
func TestBodyConcurrently(t *testing.T) {
	for range 200 {
		b := breakerOf(t, breaker.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		r, w := io.Pipe()
		body := bodyOf(t, ctx, b, r)
		var wg sync.WaitGroup
		for range 2 {
			wg.Go(func() { _, _ = io.Copy(io.Discard, body) })
			wg.Go(func() { body.Close() })
		}
		wg.Go(func() { _, _ = io.WriteString(w, "data: x\n\nevent: error\n\n"); w.CloseWithError(errBroken) })
		wg.Go(cancel)
		wg.Wait()
		if s := b.Stats(); s.Successes+s.Failures+s.Ignored != 1 {
			t.Fatalf("reported: %s", reported(b))
		}
	}
}

var errorLine = regexp.MustCompile(`(?s)^(event: ?error$|data: ?\{ *"error" *: *(\{ *($|[^ }])|"($|[^"])|t|[1-9]))`)

// hasErrorEvent is the naive reference: all the lines at once, of which the first 32
// bytes count.
func hasErrorEvent(stream string) bool {
	stream = strings.TrimPrefix(stream, "\ufeff")
	for _, line := range strings.FieldsFunc(stream, func(r rune) bool { return r == '\n' || r == '\r' }) {
		if errorLine.MatchString(line[:min(len(line), 32)]) {
			return true
		}
	}
	return false
}

// split reads in pieces as long as cuts says, over and over.
type split struct {
	rest string
	cuts []byte
	i    int
	end  error
}

func (s *split) Read(p []byte) (int, error) {
	if s.rest == "" {
		return 0, s.end
	}
	n := len(s.rest)
	if len(s.cuts) > 0 {
		n = int(s.cuts[s.i%len(s.cuts)])
		s.i++
	}
	n = copy(p, s.rest[:min(n, len(s.rest))])
	s.rest = s.rest[n:]
	return n, nil
}

// FuzzBody checks that a stream is judged the same however it is split, and that it
// arrives as it was sent.
func FuzzBody(f *testing.F) {
	for _, stream := range []string{
		"", "data: token\n\n", "event: error\ndata: {}\n\n", "id: 1\revent: error\r\r", "event: errors\n\n", "data: x\n\nevent: error",
		"data: {\"error\":{\"code\":1}}\n\n", "data: {\"error\": null}\n\n", "\ufeffevent: error\n\n", "data\n\ufeffevent: error\n\n",
		"data: " + strings.Repeat("x", 100) + "\nevent: error\n",
	} {
		f.Add(stream, []byte{1, 0, 7, 3}, true)
		f.Add(stream, []byte{}, false)
	}
	f.Fuzz(func(t *testing.T, stream string, cuts []byte, breaks bool) {
		if len(cuts) > 0 {
			cuts[0] = max(cuts[0], 1) // so that it comes to an end
		}
		end, want := io.EOF, "success"
		if breaks {
			end, want = errBroken, "failure"
		}
		if hasErrorEvent(stream) {
			want = "failure"
		}
		b := breakerOf(t, breaker.Config{})
		body := bodyOf(t, t.Context(), b, &closer{Reader: &split{rest: stream, cuts: cuts, end: end}})
		got, err := io.ReadAll(body)
		if string(got) != stream || breaks != (err == errBroken) {
			t.Errorf("arrived: %q, %v", got, err)
		}
		wantOutcome(t, b, want)
	})
}
