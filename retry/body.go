package retry

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	// maxDrain is how much of an answer is read that nobody gets, so that its
	// connection can be used again, and drainTime how long that may take. A
	// connection costs less than the rest.
	maxDrain  = 64 << 10
	drainTime = 100 * time.Millisecond
)

// drain ends an answer that nobody gets.
func drain(resp *http.Response) {
	if resp.Body == nil {
		return
	}
	// A Read that waits for a server that trickles ends with Close.
	timer := time.AfterFunc(drainTime, func() { _ = resp.Body.Close() })
	defer timer.Stop()
	_, _ = io.CopyN(io.Discard, resp.Body, maxDrain)
	_ = resp.Body.Close()
}

// detach makes an answer independent of its context, which ends: of a body that is
// longer than what drain reads, or slower, there is only the beginning.
func detach(resp *http.Response) {
	if resp.Body == nil {
		return
	}
	timer := time.AfterFunc(drainTime, func() { _ = resp.Body.Close() })
	defer timer.Stop()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDrain))
	body := io.Reader(bytes.NewReader(data))
	if _, more := resp.Body.Read(make([]byte, 1)); err != nil || more != io.EOF {
		body = io.MultiReader(body, cutBody{})
	}
	_ = resp.Body.Close()
	resp.Body = io.NopCloser(body)
}

type cutBody struct{}

func (cutBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// keep makes the body of r, which has no GetBody, one that can be sent again, if it
// is not longer than most. It returns r, or a copy with what was read of the body
// put back. The error is the body's.
func keep(r *http.Request, most int64) (kept *http.Request, ok bool, err error) {
	if r.ContentLength > most {
		return r, false, nil
	}
	body := r.Body
	stop := context.AfterFunc(r.Context(), func() { _ = body.Close() }) // a Read that waits ends with it
	data, err := io.ReadAll(io.LimitReader(body, most+1))
	if stop(); r.Context().Err() != nil {
		err = ended(r.Context())
	}
	if err != nil {
		_ = body.Close()
		return r, false, err
	}
	kept = r.WithContext(r.Context())
	if int64(len(data)) > most {
		kept.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(data), body), body}
		return kept, false, nil
	}
	if err := body.Close(); err != nil {
		return r, false, err
	}
	if n := int64(len(data)); r.ContentLength > 0 && n != r.ContentLength { // and so it would be each time
		return r, false, fmt.Errorf("%d bytes, where ContentLength is %d", n, r.ContentLength)
	}
	kept.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
	kept.Body, _ = kept.GetBody()
	return kept, true, nil
}

// answer is a response's body that ends the attempt's context with itself.
type answer struct {
	io.ReadCloser
	release func()
	once    sync.Once
}

func (a *answer) Read(p []byte) (int, error) {
	n, err := a.ReadCloser.Read(p)
	if err != nil {
		a.once.Do(a.release)
	}
	return n, err
}

func (a *answer) Close() error {
	err := a.ReadCloser.Close()
	a.once.Do(a.release)
	return err
}
