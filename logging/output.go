package logging

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
)

// output hands records to a writer, one at a time. One without a writer counts
// what the core gets.
type output struct {
	mu              sync.Mutex
	to              lineWriter
	written, failed atomic.Uint64
}

// Write never panics: what a writer does must not cost the request that is
// being logged its answer.
func (o *output) Write(p []byte) (n int, err error) {
	n, err = o.put(p)
	o.count(err)
	return n, err
}

// put is Write for a record that another output counts.
func (o *output) put(p []byte) (n int, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to.Write(p)
}

func (o *output) count(err error) {
	if err != nil {
		o.failed.Add(1)
		return
	}
	o.written.Add(1)
}

// A lineWriter keeps a record that broke off from spoiling the next: that begins on
// a line of its own.
type lineWriter struct {
	w    io.Writer
	torn bool
}

// Write writes p, which are whole records, and does not panic.
func (l *lineWriter) Write(p []byte) (n int, err error) {
	if l.torn {
		if _, err := safeWrite(l.w, []byte{'\n'}); err != nil {
			return 0, err
		}
		l.torn = false
	}
	n, err = safeWrite(l.w, p)
	l.torn = err != nil && n > 0 && p[n-1] != '\n'
	return n, err
}

// safeWrite makes an error of a panic, and of what an io.Writer must not return.
func safeWrite(w io.Writer, p []byte) (n int, err error) {
	defer func() {
		if v := recover(); v != nil {
			n, err = 0, fmt.Errorf("logging: the writer panicked: %v", v)
		}
		n = min(max(n, 0), len(p))
		if err == nil && n < len(p) {
			err = io.ErrShortWrite
		}
	}()
	return w.Write(p)
}
