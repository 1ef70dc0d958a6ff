package tracing

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync/atomic"
	"syscall"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"

	"github.com/ballast-go/ballast/internal/spans"
)

// An exchange is a request whose span is recorded, and then the body of its answer.
// Only what ends it first counts, so that Read and Close may meet.
type exchange struct {
	ctx  context.Context
	span trace.Span
	body io.ReadCloser
	size atomic.Int64
	over atomic.Bool
}

// status notes the answer's.
func (e *exchange) status(code int) {
	attrs := []attribute.KeyValue{attribute.Int("http.response.status_code", code)}
	if code >= 400 && code != http.StatusTooManyRequests {
		attrs = spans.Fail(e.span, attrs, strconv.Itoa(code))
	}
	e.span.SetAttributes(attrs...)
}

// fail ends the span with what went wrong. What the caller canceled is no error.
func (e *exchange) fail(err error) {
	if errors.Is(err, context.Canceled) || errors.Is(e.ctx.Err(), context.Canceled) {
		if !e.over.Swap(true) {
			e.span.SetAttributes(attribute.String("ballast.outcome", "canceled"))
			e.span.End()
		}
		return
	}
	e.end(e.size.Load(), kindOf(err))
}

// end ends the span; kind is "" if all went well, and size below 0 if there was no
// body.
func (e *exchange) end(size int64, kind string) {
	if e.over.Swap(true) {
		return
	}
	defer e.span.End()
	var attrs []attribute.KeyValue
	if size >= 0 {
		attrs = append(attrs, attribute.Int64("http.response.body.size", size))
	}
	if kind != "" {
		attrs = spans.Fail(e.span, attrs, kind)
	}
	e.span.SetAttributes(attrs...)
}

func (e *exchange) Read(p []byte) (int, error) {
	n, err := e.body.Read(p)
	e.size.Add(int64(max(n, 0)))
	switch {
	case err == nil:
	case err == io.EOF:
		e.end(e.size.Load(), "")
	default:
		e.fail(err)
	}
	return n, err
}

// Close ends the span before it closes, which fails a Read that is going on.
func (e *exchange) Close() error {
	if err := e.ctx.Err(); err != nil {
		e.fail(err)
	} else {
		e.end(e.size.Load(), "") // the reader has had enough
	}
	return e.body.Close()
}

// isAllThere reports whether there is no body to wait for: none (RFC 9110 §6.4.1), or
// a connection that has been handed over.
func isAllThere(r *http.Request, resp *http.Response) bool {
	switch {
	case resp.Body == nil, resp.Body == http.NoBody, r.Method == http.MethodHead:
		return true
	case resp.ContentLength == 0 && resp.ProtoMajor > 0: // HTTP/2 has a NoBody of its own
		return true
	}
	_, twoWay := resp.Body.(io.Writer)
	return twoWay
}

// kindOf words an error for error.type: few values, and nothing of its text, which
// may hold addresses, user names or what a transport was given.
func kindOf(err error) string {
	if err == nil {
		return "no_response"
	}
	for _, known := range []struct {
		err  error
		kind string
	}{
		{context.DeadlineExceeded, "timeout"},
		{syscall.ECONNREFUSED, "connection_refused"},
		{syscall.ECONNRESET, "connection_reset"},
		{syscall.EPIPE, "connection_reset"},
		{io.ErrUnexpectedEOF, "unexpected_eof"},
		{io.EOF, "unexpected_eof"},
	} {
		if errors.Is(err, known.err) {
			return known.kind
		}
	}
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return "timeout"
	}
	if _, ok := errors.AsType[*net.DNSError](err); ok {
		return "name_resolution"
	}
	if isTLS(err) {
		return "tls"
	}
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return spans.Clip(fmt.Sprintf("%T", err), spans.MaxPath)
}

func isTLS(err error) bool {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return true
	}
	if _, ok := errors.AsType[tls.AlertError](err); ok {
		return true
	}
	_, ok := errors.AsType[x509.UnknownAuthorityError](err)
	return ok
}
