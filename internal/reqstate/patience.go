package reqstate

import (
	"io"
	"net/http"
	"time"
	"unsafe"
)

// patientPiece is how much is written under one deadline. A client that takes
// a large answer slowly, but takes it, is not one that stalls.
const patientPiece = 64 << 10

// A Starter is an Observer that wants to know when the first chunk leaves, or
// the connection is taken over.
type Starter interface {
	// FirstChunk is called at most once, with what is known so far. It must
	// not keep that, nor call the State's methods. After a hijack there are no
	// chunks yet, and no time to the first.
	FirstChunk(*Record)
}

// SetWriteTimeout gives the client d for each write, flush or piece of a copy
// to get on. Then the write fails, and the server ends the answer and cancels
// the request's context. In between there is no deadline: the server's own
// WriteTimeout, which is for the whole answer, is lifted by the first write.
// Of several d the shortest counts; zero or less changes nothing.
func (s *State) SetWriteTimeout(d time.Duration) {
	if d <= 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.patience.Load(); !s.done && (old == 0 || int64(d) < old) {
		s.patience.Store(int64(d))
	}
}

// arm begins a write's time, where there is a limit to it. The owner does, too,
// when its handler is left, for what the server still has to send.
func (s *State) arm() {
	if d := s.patience.Load(); d > 0 {
		s.setDeadline(time.Now().Add(time.Duration(d)))
	}
}

// disarm ends it. Over HTTP/2 a deadline that passes resets the stream even if
// nothing is being written; over HTTP/1.1 it would fail the server's last flush.
func (s *State) disarm() {
	if s.patience.Load() > 0 {
		s.setDeadline(time.Time{})
	}
}

// setDeadline leaves alone what is not the request's: a connection that was
// hijacked, or, from a handler that outlives it, one that serves the next.
func (s *State) setDeadline(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.hijacked && !s.done {
		_ = http.NewResponseController(s.w).SetWriteDeadline(at)
	}
}

// write hands p on, in pieces if each has its time.
func (s *State) write(p []byte) (n int, err error) {
	if s.patience.Load() == 0 {
		return s.w.Write(p)
	}
	defer s.disarm()
	for {
		s.arm()
		size := min(len(p)-n, patientPiece)
		m, err := s.w.Write(p[n : n+size])
		n += m
		switch {
		case err != nil, n == len(p):
			return n, err
		case m < size:
			return n, io.ErrShortWrite
		}
	}
}

func (s *State) writeString(p string) (int, error) {
	if s.patience.Load() == 0 {
		return io.WriteString(s.w, p)
	}
	return s.write(unsafe.Slice(unsafe.StringData(p), len(p))) // io.Writers do not change what they write
}

// started tells the observers that want to know. s.mu is held.
func (s *State) started() {
	for i := range int(s.nhooks) {
		if o, ok := s.hook(i).(Starter); ok {
			o.FirstChunk(&s.rec)
		}
	}
}
