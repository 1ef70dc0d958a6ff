package reqstate

import (
	"bufio"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A recorder is an Observer that hands every final record on.
type recorder struct {
	name  string
	begun chan string
	recs  chan Record
}

func newRecorder() *recorder {
	return &recorder{begun: make(chan string, 100), recs: make(chan Record, 100)}
}

func (o *recorder) Begin(*State, http.ResponseWriter, *http.Request) { o.begun <- o.name }
func (o *recorder) Finish(rec *Record)                               { o.recs <- *rec }

// observed is next seen by o.
func observed(o Observer, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { Serve(w, r, next, o) })
}

func observedFunc(o Observer, next http.HandlerFunc) http.Handler { return observed(o, next) }

// one is the only record that o got.
func one(t *testing.T, o *recorder) Record {
	t.Helper()
	rec := <-o.recs
	select {
	case again := <-o.recs:
		t.Fatalf("a second record: %+v", again)
	default:
	}
	return rec
}

// A foreign writer hides everything but the bare interface, as many loggers do.
type foreign struct{ w http.ResponseWriter }

func (f foreign) Header() http.Header         { return f.w.Header() }
func (f foreign) Write(p []byte) (int, error) { return f.w.Write(p) }
func (f foreign) WriteHeader(status int)      { f.w.WriteHeader(status) }

func wrapsWriter(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { next.ServeHTTP(foreign{w}, r) })
}

func copiesRequest(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r2 := new(http.Request)
		*r2 = *r
		next.ServeHTTP(w, r2)
	})
}

// A site is a real server and a client that speaks its protocol.
type site struct {
	*httptest.Server
	client *http.Client
	http2  bool
}

var quiet = log.New(io.Discard, "", 0)

// each runs f against HTTP/1.1 over TCP and HTTP/2 over TLS.
func each(t *testing.T, f func(t *testing.T, start func(http.Handler) *site)) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/2"} {
		t.Run(proto, func(t *testing.T) {
			f(t, func(h http.Handler) *site { return startSite(t, h, proto == "HTTP/2") })
		})
	}
}

func startSite(t *testing.T, h http.Handler, http2 bool) *site {
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	if http2 {
		srv.EnableHTTP2 = true
		srv.StartTLS()
	} else {
		srv.Start()
	}
	t.Cleanup(srv.Close)
	return &site{srv, srv.Client(), http2}
}

// get fetches path; err is that of reading the body, if not of the request.
func (s *site) get(t *testing.T, path string) (*http.Response, string, error) {
	t.Helper()
	resp, err := s.client.Get(s.URL + path)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	if want := map[bool]int{false: 1, true: 2}[s.http2]; resp.ProtoMajor != want {
		t.Fatalf("spoke %s", resp.Proto)
	}
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

func (s *site) mustGet(t *testing.T, path string) (*http.Response, string) {
	t.Helper()
	resp, body, err := s.get(t, path)
	if err != nil {
		t.Fatal(err)
	}
	return resp, body
}

// dial opens a raw connection, for requests that http.Client will not send.
func (s *site) dial(t *testing.T) (net.Conn, *bufio.Reader) {
	t.Helper()
	addr := strings.TrimPrefix(strings.TrimPrefix(s.URL, "http://"), "https://")
	var conn net.Conn
	var err error
	if s.http2 {
		conn, err = tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	} else {
		conn, err = net.Dial("tcp", addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn, bufio.NewReader(conn)
}

// want compares the fields that every test cares for.
func want(t *testing.T, rec Record, status, sent int, outcome Outcome, bytes int64) {
	t.Helper()
	if rec.Status != status || rec.Sent != sent || rec.Outcome != outcome || rec.Bytes != bytes {
		t.Errorf("got status %d, sent %d, outcome %v, %d bytes; want %d, %d, %v, %d",
			rec.Status, rec.Sent, rec.Outcome, rec.Bytes, status, sent, outcome, bytes)
	}
}
