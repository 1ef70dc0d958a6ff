package tracingotlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// httpSender is OTLP/HTTP with protobuf.
type httpSender struct {
	client http.Client
	url    string
	header http.Header
	secret map[string]string
	zip    *gzip.Writer // nil: requests are not compressed
}

func newHTTPSender(s settings) *httpSender {
	scheme := "https"
	if s.target.plaintext {
		scheme = "http"
	}
	h := &httpSender{url: scheme + "://" + s.target.host + s.target.path, header: make(http.Header), secret: s.Headers}
	// A transport of our own: the process's default one may have been wrapped to
	// trace what it sends. HTTP/1, so that a connection that hangs is given up
	// with the request.
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: s.ExportTimeout}).DialContext,
		TLSClientConfig:        s.TLS.Clone(),
		TLSHandshakeTimeout:    s.ExportTimeout,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConns:           1,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
		Protocols:              new(http.Protocols),
	}
	transport.Protocols.SetHTTP1(true)
	h.client.Transport = transport
	// Headers, which may be credentials, go to nobody else.
	h.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for key, value := range s.Headers {
		h.header.Set(key, value)
	}
	h.header.Set("Content-Type", "application/x-protobuf")
	h.header.Set("User-Agent", userAgent)
	if s.Gzip {
		h.header.Set("Content-Encoding", "gzip")
		h.zip = gzip.NewWriter(io.Discard)
	}
	return h
}

func (h *httpSender) send(ctx context.Context, request []byte) reply {
	if h.zip != nil {
		var b bytes.Buffer
		h.zip.Reset(&b)
		h.zip.Write(request) // a Buffer takes everything
		h.zip.Close()
		request = b.Bytes()
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, h.url, bytes.NewReader(request))
	if err != nil {
		return reply{err: err}
	}
	r.Header = h.header
	w, err := h.client.Do(r)
	if err != nil {
		if wrapped, ok := err.(*url.Error); ok {
			err = wrapped.Err
		}
		return reply{err: explain(ctx, err), again: true}
	}
	defer w.Body.Close()
	body, err := io.ReadAll(io.LimitReader(w.Body, maxAnswer))
	if w.StatusCode/100 == 2 {
		// The status says that it has the spans, whatever became of the rest.
		if err != nil || w.Header.Get("Content-Type") != "application/x-protobuf" {
			return reply{}
		}
		return accepted(body)
	}
	failed := reply{
		err:   fmt.Errorf("status %d: %s", w.StatusCode, excerpt(errorText(body, w.Header.Get("Content-Type")), h.secret)),
		after: retryAfter(w.Header.Get("Retry-After"), time.Now()),
	}
	switch w.StatusCode {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		failed.again = true
	}
	return failed
}

func (h *httpSender) close() { h.client.CloseIdleConnections() }

// errorText is what an answer that is no success says: a google.rpc.Status, or
// what a proxy on the way writes.
func errorText(body []byte, contentType string) string {
	if contentType != "application/x-protobuf" {
		return string(body)
	}
	text := ""
	err := fields(body, func(n protowire.Number, kind protowire.Type, value []byte) {
		if n == 2 && kind == protowire.BytesType {
			text = string(value)
		}
	})
	if err != nil {
		return err.Error()
	}
	return text
}

// retryAfter parses the header of that name (RFC 9110 §10.2.3); 0 if it says
// nothing.
func retryAfter(text string, now time.Time) time.Duration {
	if n, err := strconv.ParseUint(text, 10, 32); err == nil {
		return time.Duration(n) * time.Second
	}
	if t, err := http.ParseTime(text); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}
