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

	"github.com/ballast-go/ballast/internal/sse"
)

// ErrSealed is what the writer of a request that is over answers.
var ErrSealed = errors.New("reqstate: the request is over")

// base is the ResponseWriter of a State whose underlying writer has no
// optional interface. One pointer wide, so that making it an interface value
// allocates nothing; so are the types built on it in kinds.go.
type base struct{ s *State }

func (b base) state() *State { return b.s }

// SetReason is for who turns the request away and has w alone: see State.SetReason.
func (b base) SetReason(reason string) { b.s.SetReason(reason) }

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
	s := b.s
	if s.sealed.Load() {
		return 0, ErrSealed
	}
	at := s.before(len(p))
	n, err := s.write(p)
	// The string is read before Write returns and not kept.
	s.wrote(n, err, unsafe.String(unsafe.SliceData(p), len(p)), at)
	return n, err
}

func (b base) WriteString(p string) (int, error) {
	s := b.s
	if s.sealed.Load() {
		return 0, ErrSealed
	}
	at := s.before(len(p))
	n, err := s.writeString(p)
	s.wrote(n, err, p, at)
	return n, err
}

// before returns the time if n bytes are so many that they begin to leave
// before the write returns, which may be much later; else a negative one.
func (s *State) before(n int) time.Duration {
	if n < serverBuffer {
		return -1
	}
	return time.Since(s.rec.Start) // Start never changes
}

// FlushError is there also when the underlying writer cannot flush: then it
// says so with http.ErrNotSupported, as http.ResponseController does, which
// would else reach past the State by Unwrap.
func (b base) FlushError() error {
	s := b.s
	if s.sealed.Load() {
		return ErrSealed
	}
	s.arm()
	err := http.NewResponseController(s.w).Flush()
	s.disarm()
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
			if s.rec.Stream.Chunks == 0 {
				s.started()
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

// readFrom keeps sendfile: where the server will use it, that is for a file
// and a declared length, the file goes to the server as it is. Everything else
// is read through a tap, so that a proxied stream has its facts.
func (b base) readFrom(src io.Reader) (int64, error) {
	s := b.s
	if s.sealed.Load() {
		return 0, ErrSealed
	}
	to := s.w.(io.ReaderFrom)
	h := s.w.Header()
	if isFile(src) && s.patience.Load() == 0 && len(h["Content-Length"]) > 0 && !sse.IsStream(h) {
		at := time.Since(s.rec.Start) // the first byte leaves now, not when the last has
		n, err := to.ReadFrom(src)
		s.wrote(int(n), err, "", at)
		if err == nil && n > sniffed {
			s.onWire()
		}
		return n, err
	}
	t := &tap{s: s, src: src, events: sse.IsStream(h)}
	n, err := to.ReadFrom(t)
	s.disarm()
	t.read = int(n - t.written) // the last piece may not have been written whole
	if t.err != nil && errors.Is(err, t.err) {
		t.account(nil) // the source failed, not the connection
	} else {
		t.account(err)
	}
	return n, err
}

// sniffed is how much of a body net/http may look at, and hold back, before it
// leaves the rest to sendfile.
const sniffed = 512

func isFile(src io.Reader) bool {
	if l, ok := src.(*io.LimitedReader); ok {
		src = l.R
	}
	_, descriptor := src.(syscall.Conn) // as net.sendFile asks
	_, conn := src.(net.Conn)
	return descriptor && !conn
}

// A tap accounts for what its reader writes to the client: when it asks for
// more, it has written what it got before.
type tap struct {
	s       *State
	src     io.Reader
	events  bool
	read    int   // by the last Read
	written int64 // before it
	err     error // of the source
}

func (t *tap) Read(p []byte) (int, error) {
	t.account(nil)
	if t.s.sealed.Load() {
		return 0, ErrSealed
	}
	n, err := t.src.Read(p)
	t.read, t.err = n, err
	if t.events && n > 0 {
		t.s.watch(p[:n])
	}
	t.s.arm() // for the write of it
	return n, err
}

func (t *tap) account(err error) {
	if t.read > 0 || err != nil {
		t.s.wrote(t.read, err, "", -1)
		t.written += int64(t.read)
		t.read = 0
	}
}
