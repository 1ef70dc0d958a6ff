package reqstate

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"
	"unsafe"
)

// ErrSealed is what the writer of a request that is over answers.
var ErrSealed = errors.New("reqstate: the request is over")

// base is the ResponseWriter of a State whose underlying writer has no
// optional interface. One pointer wide, so that making it an interface value
// allocates nothing; so are the types built on it in kinds.go.
type base struct{ s *State }

func (b base) state() *State { return b.s }

// Unwrap is for http.ResponseController: deadlines and full duplex.
func (b base) Unwrap() http.ResponseWriter { return b.s.w }

func (b base) Header() http.Header {
	if b.s.sealed.Load() {
		return make(http.Header)
	}
	return b.s.w.Header()
}

func (b base) WriteHeader(status int) {
	s := b.s
	if s.sealed.Load() {
		return
	}
	s.w.WriteHeader(status)
	// 1xx is not the answer; 101 is (RFC 9110 §15.2).
	if status < 200 && status != http.StatusSwitchingProtocols {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.done && !s.hijacked {
		s.began(status)
	}
}

func (b base) Write(p []byte) (int, error) {
	if b.s.sealed.Load() {
		return 0, ErrSealed
	}
	n, err := b.s.w.Write(p)
	// The string is read before Write returns and not kept.
	b.s.wrote(n, err, unsafe.String(unsafe.SliceData(p), len(p)))
	return n, err
}

func (b base) WriteString(p string) (int, error) {
	if b.s.sealed.Load() {
		return 0, ErrSealed
	}
	n, err := io.WriteString(b.s.w, p)
	b.s.wrote(n, err, p)
	return n, err
}

// FlushError is there also when the underlying writer cannot flush: then it
// says so with http.ErrNotSupported, as http.ResponseController does, which
// would else reach past the State by Unwrap.
func (b base) FlushError() error {
	s := b.s
	if s.sealed.Load() {
		return ErrSealed
	}
	err := http.NewResponseController(s.w).Flush()
	if err != nil {
		return err
	}
	s.flush()
	return nil
}

func (b base) flush() { _ = b.FlushError() }

func (b base) hijack() (net.Conn, *bufio.ReadWriter, error) {
	s := b.s
	if s.sealed.Load() {
		return nil, nil, ErrSealed
	}
	conn, rw, err := http.NewResponseController(s.w).Hijack()
	if err == nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.done {
			s.hijacked = true
			if s.rec.Sent == 0 {
				s.rec.Sent = http.StatusSwitchingProtocols
			}
		}
	}
	return conn, rw, err
}

func (b base) push(target string, opts *http.PushOptions) error {
	if b.s.sealed.Load() {
		return ErrSealed
	}
	return b.s.w.(http.Pusher).Push(target, opts)
}

// readFrom keeps sendfile and splice: a source that has a file descriptor goes
// to the server as it is. Another one is read through a tap, so that a proxied
// stream has its facts.
func (b base) readFrom(src io.Reader) (int64, error) {
	s := b.s
	if s.sealed.Load() {
		return 0, ErrSealed
	}
	to := s.w.(io.ReaderFrom)
	if hasDescriptor(src) {
		at := time.Since(s.rec.Start) // the first byte leaves now, not when the last has
		n, err := to.ReadFrom(src)
		s.copied(n, at)
		return n, err
	}
	t := &tap{s: s, src: src, events: isEventStream(s.w.Header())}
	n, err := to.ReadFrom(t)
	t.read = int(n - t.written)
	t.account()
	return n, err
}

func hasDescriptor(src io.Reader) bool {
	if l, ok := src.(*io.LimitedReader); ok {
		src = l.R
	}
	_, ok := src.(syscall.Conn) // as net.sendFile asks
	return ok
}

// A tap accounts for what its reader writes to the client: when it asks for
// more, it has written what it got before.
type tap struct {
	s       *State
	src     io.Reader
	events  bool
	read    int   // by the last Read
	written int64 // before it
}

func (t *tap) Read(p []byte) (int, error) {
	t.account()
	if t.s.sealed.Load() {
		return 0, ErrSealed
	}
	n, err := t.src.Read(p)
	t.read = n
	if t.events && n > 0 {
		t.s.watch(p[:n])
	}
	return n, err
}

func (t *tap) account() {
	if t.read > 0 {
		t.s.wrote(t.read, nil, "")
		t.written += int64(t.read)
		t.read = 0
	}
}
