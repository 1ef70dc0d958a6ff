package breaker

import (
	"io"
	"sync/atomic"
	"time"
)

// An upload is a request's body that knows whether it failed and, if it is timed,
// how long its readers had to wait for it.
type upload struct {
	io.ReadCloser
	closed, failed atomic.Bool
	timed          bool
	waited         atomic.Int64 // ns
}

func (u *upload) Read(p []byte) (int, error) {
	var began time.Time
	if u.timed {
		began = time.Now()
	}
	n, err := u.ReadCloser.Read(p)
	if u.timed {
		u.waited.Add(int64(time.Since(began)))
	}
	if err != nil && err != io.EOF && !u.closed.Load() {
		u.failed.Store(true)
	}
	return n, err
}

// Close is what an http.Transport does, too, when the server breaks off. Reads that
// fail by that are no fault of the body's.
func (u *upload) Close() error {
	u.closed.Store(true)
	return u.ReadCloser.Close()
}
