package reqstate

import (
	"bufio"
	"io"
	"net"
	"net/http"
)

// The sixteen sets of optional interfaces that a ResponseWriter can have:
// F http.Flusher, H http.Hijacker, R io.ReaderFrom, P http.Pusher. None is
// faked: what the server lacks, the wrapper lacks. HTTP/1.1 has FHR, HTTP/2 FP.
type (
	kF    struct{ base }
	kH    struct{ base }
	kFH   struct{ kF }
	kR    struct{ base }
	kFR   struct{ kF }
	kHR   struct{ kH }
	kFHR  struct{ kFH }
	kP    struct{ base }
	kFP   struct{ kF }
	kHP   struct{ kH }
	kFHP  struct{ kFH }
	kRP   struct{ kR }
	kFRP  struct{ kFR }
	kHRP  struct{ kHR }
	kFHRP struct{ kFHR }
)

type (
	pushOptions = *http.PushOptions
	readWriter  = *bufio.ReadWriter
)

func (k kF) Flush() { k.flush() }

func (k kH) Hijack() (net.Conn, readWriter, error)  { return k.hijack() }
func (k kFH) Hijack() (net.Conn, readWriter, error) { return k.hijack() }

func (k kR) ReadFrom(src io.Reader) (int64, error)   { return k.readFrom(src) }
func (k kFR) ReadFrom(src io.Reader) (int64, error)  { return k.readFrom(src) }
func (k kHR) ReadFrom(src io.Reader) (int64, error)  { return k.readFrom(src) }
func (k kFHR) ReadFrom(src io.Reader) (int64, error) { return k.readFrom(src) }

func (k kP) Push(target string, o pushOptions) error    { return k.push(target, o) }
func (k kFP) Push(target string, o pushOptions) error   { return k.push(target, o) }
func (k kHP) Push(target string, o pushOptions) error   { return k.push(target, o) }
func (k kFHP) Push(target string, o pushOptions) error  { return k.push(target, o) }
func (k kRP) Push(target string, o pushOptions) error   { return k.push(target, o) }
func (k kFRP) Push(target string, o pushOptions) error  { return k.push(target, o) }
func (k kHRP) Push(target string, o pushOptions) error  { return k.push(target, o) }
func (k kFHRP) Push(target string, o pushOptions) error { return k.push(target, o) }

// writer returns the State's ResponseWriter with just the interfaces that the
// underlying one has.
func (s *State) writer() http.ResponseWriter {
	var set int
	if _, ok := s.w.(http.Flusher); ok {
		set |= 1
	}
	if canHijack(s.w) {
		set |= 2
	}
	if _, ok := s.w.(io.ReaderFrom); ok {
		set |= 4
	}
	if _, ok := s.w.(http.Pusher); ok {
		set |= 8
	}
	b := base{s}
	switch set {
	case 1:
		return kF{b}
	case 2:
		return kH{b}
	case 3:
		return kFH{kF{b}}
	case 4:
		return kR{b}
	case 5:
		return kFR{kF{b}}
	case 6:
		return kHR{kH{b}}
	case 7:
		return kFHR{kFH{kF{b}}}
	case 8:
		return kP{b}
	case 9:
		return kFP{kF{b}}
	case 10:
		return kHP{kH{b}}
	case 11:
		return kFHP{kFH{kF{b}}}
	case 12:
		return kRP{kR{b}}
	case 13:
		return kFRP{kFR{kF{b}}}
	case 14:
		return kHRP{kHR{kH{b}}}
	case 15:
		return kFHRP{kFHR{kFH{kF{b}}}}
	}
	return b
}

// canHijack follows Unwrap as http.ResponseController.Hijack does: a hijack
// that went past the State would be recorded as a 200.
func canHijack(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}
