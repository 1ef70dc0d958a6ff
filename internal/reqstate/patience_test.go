package reqstate

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A clocked writer notes the deadlines that it is given, and what is done
// under which.
type clocked struct {
	*httptest.ResponseRecorder
	armed bool
	log   []string
	short bool
}

func (c *clocked) note(what string) {
	if !c.armed {
		what += " without a deadline"
	}
	c.log = append(c.log, what)
}

func (c *clocked) SetWriteDeadline(at time.Time) error {
	c.armed = !at.IsZero()
	return nil
}

func (c *clocked) Write(p []byte) (int, error) {
	if len(p) > patientPiece {
		c.note("a large write")
	}
	c.note("write")
	if c.short {
		return len(p) - 1, nil
	}
	return len(p), nil
}

func (c *clocked) FlushError() error {
	c.note("flush")
	return nil
}

func (c *clocked) Flush() { _ = c.FlushError() }

func (c *clocked) ReadFrom(src io.Reader) (n int64, err error) {
	for p := make([]byte, 1000); ; {
		c.armed = false // as if the last one had passed: each piece needs its own
		m, err := src.Read(p)
		if m > 0 {
			c.note("piece")
			n += int64(m)
		}
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
	}
}

func TestWriteTimeoutArmsEachWrite(t *testing.T) {
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, make([]byte, 1500), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, tt := range map[string]struct {
		do   func(w http.ResponseWriter) (int64, error)
		n    int64
		want string
	}{
		"Write": {func(w http.ResponseWriter) (int64, error) {
			n, err := w.Write(make([]byte, 10))
			return int64(n), err
		}, 10, "write"},
		"Write of nothing": {func(w http.ResponseWriter) (int64, error) {
			n, err := w.Write(nil)
			return int64(n), err
		}, 0, "write"},
		"large Write": {func(w http.ResponseWriter) (int64, error) {
			n, err := w.Write(make([]byte, 2*patientPiece+1))
			return int64(n), err
		}, 2*patientPiece + 1, "write write write"},
		"WriteString": {func(w http.ResponseWriter) (int64, error) {
			n, err := io.WriteString(w, strings.Repeat("x", patientPiece+1))
			return int64(n), err
		}, patientPiece + 1, "write write"},
		"Flush": {func(w http.ResponseWriter) (int64, error) {
			w.(http.Flusher).Flush()
			return 0, nil
		}, 0, "flush"},
		"Copy": {func(w http.ResponseWriter) (int64, error) {
			return w.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("x", 1500)))
		}, 1500, "piece piece"},
		"Copy of a file": {func(w http.ResponseWriter) (int64, error) {
			f, err := os.Open(name)
			if err != nil {
				return 0, err
			}
			defer f.Close()
			w.Header().Set("Content-Length", "1500")
			return w.(io.ReaderFrom).ReadFrom(f)
		}, 1500, "piece piece"},
	} {
		for _, d := range []time.Duration{time.Minute, 0, -1} {
			c := &clocked{ResponseRecorder: httptest.NewRecorder()}
			o := newRecorder()
			Serve(c, httptest.NewRequest("GET", "/", nil), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := FromContext(r.Context())
				s.SetWriteTimeout(time.Hour)
				s.SetWriteTimeout(2 * time.Hour)
				s.SetWriteTimeout(d)
				want := time.Hour
				if d > 0 {
					want = d
				}
				if got := time.Duration(s.patience.Load()); got != want {
					t.Errorf("%v in force, want %v", got, want)
				}
				if n, err := tt.do(w); n != tt.n || err != nil {
					t.Errorf("%s: %d, %v", what, n, err)
				}
				if c.armed {
					t.Errorf("%s leaves a deadline", what)
				}
			}), o)
			if got := strings.Join(c.log, " "); got != tt.want {
				t.Errorf("%s: %s, want %s", what, got, tt.want)
			}
			if rec := one(t, o); rec.Bytes != tt.n {
				t.Errorf("%s: %d bytes recorded", what, rec.Bytes)
			}
		}
	}
}

func TestWriteTimeoutShortWrite(t *testing.T) {
	c := &clocked{ResponseRecorder: httptest.NewRecorder(), short: true}
	s := newState(c, httptest.NewRequest("GET", "/", nil))
	s.SetWriteTimeout(time.Hour)
	if n, err := s.writer().Write(make([]byte, 10)); n != 9 || !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("%d, %v", n, err)
	}
}

// A hijacked connection is somebody else's: no deadline touches it.
func TestWriteTimeoutLeavesHijackedConnections(t *testing.T) {
	c := &clocked{ResponseRecorder: httptest.NewRecorder()}
	s := newState(c, httptest.NewRequest("GET", "/", nil))
	s.SetWriteTimeout(time.Hour)
	s.hijacked = true
	_, _ = s.writer().Write([]byte("x"))
	if len(c.log) != 1 || c.log[0] != "write without a deadline" {
		t.Errorf("%q", c.log)
	}
}

// What the server still has to send has its time, too, and nothing that comes
// after the request: its connection serves the next one by then.
func TestWriteTimeoutEndsWithTheRequest(t *testing.T) {
	c := &clocked{ResponseRecorder: httptest.NewRecorder()}
	var s *State
	h := observedFunc(newRecorder(), func(w http.ResponseWriter, r *http.Request) {
		s = FromContext(r.Context())
		s.SetWriteTimeout(time.Hour)
		_, _ = io.WriteString(w, "x")
	})
	h.ServeHTTP(c, httptest.NewRequest("GET", "/", nil))
	if !c.armed {
		t.Error("the last flush has no deadline")
	}
	if s.disarm(); !c.armed {
		t.Error("a late write lifts a deadline")
	}
	c.armed = false
	if s.arm(); c.armed {
		t.Error("a late write sets a deadline")
	}
}

// starter is an observer of first chunks.
type starter struct {
	recorder
	got []int
}

func (s *starter) FirstChunk(rec *Record) { s.got = append(s.got, rec.Sent) }

func TestFirstChunk(t *testing.T) {
	flush := func(w http.ResponseWriter) { w.(http.Flusher).Flush() }
	for what, tt := range map[string]struct {
		h    http.HandlerFunc
		want []int
	}{
		"nothing":       {func(http.ResponseWriter, *http.Request) {}, nil},
		"not flushed":   {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x") }, nil},
		"header only":   {func(w http.ResponseWriter, _ *http.Request) { flush(w) }, nil},
		"twice flushed": {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "x"); flush(w); flush(w) }, []int{200}},
		"large":         {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, serverBuffer)) }, []int{200}},
		"an error": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			_, _ = w.Write(make([]byte, serverBuffer))
			_, _ = w.Write(make([]byte, serverBuffer))
		}, []int{503}},
		"a hijack": {func(w http.ResponseWriter, _ *http.Request) {
			_, _, _ = w.(http.Hijacker).Hijack()
			_, _ = w.Write(make([]byte, serverBuffer))
		}, []int{101}},
	} {
		outer := newRecorder()
		var got []int
		h := observedFunc(outer, func(w http.ResponseWriter, r *http.Request) {
			inner := &starter{recorder: *newRecorder()}
			Serve(w, r, tt.h, inner)
			got = inner.got
		})
		h.ServeHTTP(&plain{httptest.NewRecorder()}, httptest.NewRequest("GET", "/", nil))
		if len(got) != len(tt.want) || len(got) == 1 && got[0] != tt.want[0] {
			t.Errorf("%s: %v, want %v", what, got, tt.want)
		}
	}
}
