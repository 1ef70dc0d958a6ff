package auth

import (
	"errors"
	"net/http"
	"net/netip"
	"strings"
)

// TransportConfig configures [NewTransport].
type TransportConfig struct {
	// InsecureAllowHTTP sends the token over plain HTTP to other hosts than
	// localhost, too: for meshes that encrypt below.
	InsecureAllowHTTP bool

	_ struct{}
}

// NewTransport returns a RoundTripper that gives each request a token of src, as
// Authorization: Bearer (RFC 6750 §2.1). A request that has an Authorization
// already keeps it. The request itself is not changed, and the answer's Request
// is it, without the token. It never calls twice: after a 401 it tells src, if that has
// [Reuse]'s Invalidate, so that the next request has another token.
//
// A token is for whom the caller named. When an http.Client follows a redirect
// to another scheme, host or port, the token is not sent along, nor is it on the
// way back. Over plain HTTP a request to another host than localhost fails,
// and so does one for which src has no token, or one that cannot be in a
// header; the peer never sees such a request.
//
// A nil base is http.DefaultTransport. It panics on a nil src.
func NewTransport(base http.RoundTripper, src TokenSource, cfg TransportConfig) http.RoundTripper {
	if src == nil {
		panic("auth: NewTransport: src is nil")
	}
	if base == nil {
		base = http.DefaultTransport
	}
	return &transport{base, src, cfg.InsecureAllowHTTP}
}

type transport struct {
	base      http.RoundTripper
	src       TokenSource
	allowHTTP bool
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if _, has := r.Header["Authorization"]; has || r.URL == nil || redirected(r) {
		return t.base.RoundTrip(r)
	}
	token, err := t.token(r)
	if err != nil {
		if r.Body != nil {
			_ = r.Body.Close() // RoundTripper must, on errors too
		}
		return nil, err
	}
	own := r.WithContext(r.Context()) // a shallow copy
	own.Header = r.Header.Clone()
	if own.Header == nil {
		own.Header = make(http.Header, 1)
	}
	own.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.base.RoundTrip(own)
	if err != nil {
		return resp, err
	}
	resp.Request = r // who logs it should not find the token
	if resp.StatusCode == http.StatusUnauthorized {
		if s, ok := t.src.(interface{ Invalidate(value string) }); ok {
			s.Invalidate(token)
		}
	}
	return resp, nil
}

// token returns the one for r.
func (t *transport) token(r *http.Request) (string, error) {
	if !t.allowHTTP && !strings.EqualFold(r.URL.Scheme, "https") && !isLoopback(r.URL.Hostname()) {
		return "", errors.New("auth: a token is not sent over plain HTTP to another host: use https, or TransportConfig.InsecureAllowHTTP")
	}
	token, err := t.src.Token(r.Context())
	if err != nil {
		return "", err
	}
	if !sendable(token.Value) {
		return "", errTokenBytes
	}
	return token.Value, nil
}

// CloseIdleConnections is for http.Client's.
func (t *transport) CloseIdleConnections() {
	if c, ok := t.base.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// maxRedirects is more than any http.Client follows.
const maxRedirects = 100

// redirected reports whether r comes from a redirect, and anything on the way
// was of another origin than r. Not only the first request counts: who has led
// the client away has chosen where it goes back to.
func redirected(r *http.Request) bool {
	at := r
	for range maxRedirects {
		if at.Response == nil || at.Response.Request == nil {
			return false
		}
		before := at.Response.Request
		if before.URL == nil || !sameOrigin(r, before) {
			return true
		}
		at = before
	}
	return true
}

// sameOrigin compares scheme, host and port (RFC 6454 §5).
func sameOrigin(a, b *http.Request) bool {
	return strings.EqualFold(a.URL.Scheme, b.URL.Scheme) &&
		strings.EqualFold(a.URL.Hostname(), b.URL.Hostname()) && port(a) == port(b)
}

func port(r *http.Request) string {
	if p := r.URL.Port(); p != "" {
		return p
	}
	switch strings.ToLower(r.URL.Scheme) {
	case "http":
		return "80"
	case "https":
		return "443"
	}
	return ""
}
