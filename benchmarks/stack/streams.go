package stackbench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"sync"
	"time"
)

const tableChunks = "chunks"

// event is what a model's server sends for a token.
var event = []byte("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"finish_reason\":null}]}\n\n")

// inStream writes and flushes n events of one answer.
func inStream(st stack, token string) (Op, func(), error) {
	r, w, n := request(token), &discard{header: http.Header{}}, 0
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Type"] = eventStream
		c := http.NewResponseController(w)
		for ; n > 0; n-- {
			if _, err := w.Write(event); err != nil {
				return
			}
			if err := c.Flush(); err != nil {
				return
			}
		}
	})
	h := st.chain(mux)
	op := func(_, events int) error {
		n = events
		w.reset()
		if h.ServeHTTP(w, r); n != 0 || w.status != http.StatusOK {
			return fmt.Errorf("status %d, %d events are missing", w.status, n)
		}
		return nil
	}
	return op, nil, op(0, 1)
}

var eventStream = []string{"text/event-stream"}

// idleBytes is what an open stream that sends nothing holds, with everything that
// net/http has for its connection. One event has been sent.
func idleBytes(build func(world) (stack, func(), error), streams int) (perStream float64, err error) {
	w := world{signer: newSigner(), logs: io.Discard}
	token, err := w.signer.token(tenYears)
	if err != nil {
		return 0, err
	}
	st, closeStack, err := build(w)
	if closeStack != nil {
		defer closeStack()
	}
	if err != nil {
		return 0, err
	}
	var open, over sync.WaitGroup
	open.Add(streams)
	over.Add(streams)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, r *http.Request) {
		defer over.Done()
		w.Header()["Content-Type"] = eventStream
		_, _ = w.Write(event)
		_ = http.NewResponseController(w).Flush()
		var own [512]byte // see idle.write
		use(&own)
		open.Done()
		<-r.Context().Done()
		use(&own)
	})
	l := &memoryListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	srv := &http.Server{Handler: st.chain(mux)}
	served := make(chan error, 1)
	before := heldBytes()
	go func() { served <- srv.Serve(l) }()
	text := fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: models.example\r\nUser-Agent: %s\r\nAuthorization: Bearer %s\r\nContent-Length: 0\r\n\r\n", route, agent, token)
	conns := make([]*memoryConn, streams)
	for i := range conns {
		conns[i] = &memoryConn{sends: text, gone: make(chan struct{})}
		l.conns <- conns[i]
	}
	open.Wait()
	held := heldBytes() - before
	for _, c := range conns {
		_ = c.Close() // its handler's context ends
	}
	over.Wait()
	_ = srv.Close()
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return 0, err
	}
	return float64(held) / float64(streams), nil
}

// use keeps what is on a stack there.
//
//go:noinline
func use(b *[512]byte) { b[0]++ }

// heldBytes is what is in use: objects and stacks.
func heldBytes() int64 {
	var m runtime.MemStats
	for range 2 { // what a finalizer or a pool held back goes the second time
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// A memoryConn is a client that sends a request, takes what it is sent, and stays
// until it is closed. It holds next to nothing itself.
type memoryConn struct {
	sends []byte // shared by all
	sent  bool
	once  sync.Once
	gone  chan struct{}
}

func (c *memoryConn) Read(p []byte) (int, error) {
	if !c.sent && len(p) >= len(c.sends) {
		c.sent = true
		return copy(p, c.sends), nil
	}
	<-c.gone
	return 0, io.EOF
}

func (c *memoryConn) Write(p []byte) (int, error) { return len(p), nil }

func (c *memoryConn) Close() error {
	c.once.Do(func() { close(c.gone) })
	return nil
}

func (c *memoryConn) LocalAddr() net.Addr              { return memoryAddr{} }
func (c *memoryConn) RemoteAddr() net.Addr             { return memoryAddr{} }
func (c *memoryConn) SetDeadline(time.Time) error      { return nil }
func (c *memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (c *memoryConn) SetWriteDeadline(time.Time) error { return nil }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return remoteAddr }

// A memoryListener accepts what it is given.
type memoryListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return memoryAddr{} }

// idle is what everybody's idle stream holds beyond no stack's.
type idle struct {
	streams int
	bare    float64
	beyond  []float64 // as everybody
}

func measureIdle(streams int) (*idle, error) {
	i := &idle{streams: streams}
	for range 2 { // the runtime keeps the goroutines of the first for those to come
		var err error
		if i.bare, err = idleBytes(none, streams); err != nil {
			return nil, err
		}
	}
	for _, p := range everybody() {
		held, err := idleBytes(p.new, streams)
		if err != nil {
			return nil, fmt.Errorf("idle streams: %s: %w", p.name, err)
		}
		i.beyond = append(i.beyond, held-i.bare)
	}
	return i, nil
}

func (i *idle) write(w io.Writer) {
	fmt.Fprintf(w, "\n**%s open streams that send nothing**\n\n"+
		"Objects and stacks in use, of a handler that has half a KiB on its stack, as one that waits for a model does.\n"+
		"(With one that has none, the Go runtime gives a new goroutine 2 KiB of stack without a stack of middlewares,\n"+
		"and 4 KiB with any: by what the others need.)\n\n| | bytes each | beyond net/http's |\n|---|---:|---:|\n", number(float64(i.streams)))
	fmt.Fprintf(w, "| %s | %.0f | – |\n", bare, i.bare)
	for n, p := range everybody() {
		fmt.Fprintf(w, "| %s | %.0f | %.0f |\n", p.name, i.bare+i.beyond[n], i.beyond[n])
	}
}
