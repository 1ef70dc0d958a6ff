package breaker

import (
	"context"
	"io"
	"net/http"
	"sync"

	"github.com/ballast-go/ballast/internal/sse"
)

// An exchange is a request that was let through, and then the body of its answer,
// on whose end it depends how the call went. Only what is reported first counts, so
// that Read and Close may meet.
type exchange struct {
	permit *Permit
	ctx    context.Context
	upload *upload // nil: it cannot fail
	body   io.ReadCloser
	events *events // nil: not a text/event-stream
}

// isExcused reports whether a failure was not the server's: the caller gave up, or
// could not deliver what it had to say.
func (e *exchange) isExcused() bool {
	return isCanceled(e.ctx) || e.upload != nil && e.upload.failed.Load()
}

// events are looked for in what is read. Reads at the same time make no sense,
// but http.Transport's bodies bear them.
type events struct {
	mu      sync.Mutex
	scanner sse.Scanner
}

// watch puts e in the place of resp's body.
func (e *exchange) watch(resp *http.Response) {
	if resp.StatusCode < 400 && sse.IsStream(resp.Header) {
		e.events = new(events)
	}
	e.body, resp.Body = resp.Body, e
}

func (e *exchange) Read(p []byte) (int, error) {
	returned := false
	defer func() {
		if !returned {
			e.permit.Done(Failure)
		}
	}()
	n, err := e.body.Read(p)
	returned = true
	if e.events != nil && e.events.hasError(p[:max(n, 0)], err == io.EOF) {
		e.permit.Done(Failure)
	}
	if n > 0 {
		e.permit.FirstByte()
	}
	switch {
	case err == nil:
	case err == io.EOF:
		e.permit.Done(Success)
	case e.isExcused():
		e.permit.Done(Ignore)
	default:
		e.permit.Done(Failure)
	}
	return n, err
}

// Close reports before it closes, which fails a Read that is going on.
func (e *exchange) Close() error {
	switch {
	case e.ctx.Err() == nil:
		e.permit.Done(Success) // the reader has had enough
	case isCanceled(e.ctx):
		e.permit.Done(Ignore)
	default:
		e.permit.Done(Failure) // our deadline has passed
	}
	return e.body.Close()
}

// hasError looks at the next piece of the stream, which may be the last one.
func (e *events) hasError(p []byte, last bool) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.scanner.ScanBytes(p)
	if last {
		e.scanner.Finish()
	}
	return e.scanner.Found()
}
