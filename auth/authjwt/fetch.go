package authjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/ballast-go/ballast/internal/retryafter"
)

const (
	// maxRedirects is how many are followed in a row.
	maxRedirects = 3
	// maxHeaderBytes is the most that the header of a response may have. The
	// default of net/http is 10 MiB.
	maxHeaderBytes = 64 << 10
)

var (
	errHTTP     = errors.New("is not https: whoever is on the way could put in keys of his own (InsecureAllowHTTP)")
	errScheme   = errors.New("is neither https nor http")
	errRedirect = errors.New("more than 3 redirects")
	// errMalformed takes the place of net/http's, which quote what was received.
	errMalformed = errors.New("malformed HTTP response")
)

// fetcher gets documents by HTTP.
type fetcher struct {
	client   *http.Client
	insecure bool // http is allowed
	close    func()
}

func newFetcher(client *http.Client, insecure bool) *fetcher {
	f := &fetcher{client: new(http.Client), insecure: insecure, close: func() {}}
	if client != nil {
		*f.client = *client // its CheckRedirect is ours to wrap
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		// Of its own, so that Close leaves no connection behind.
		t = t.Clone()
		t.MaxResponseHeaderBytes = maxHeaderBytes
		f.client.Transport, f.close = t, t.CloseIdleConnections
	}
	asked := f.client.CheckRedirect
	f.client.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errRedirect
		}
		if err := leadsTo(via[len(via)-1].URL, r.URL, insecure); err != nil {
			return fmt.Errorf("redirect to a URL that %w", err)
		}
		if asked != nil {
			return asked(r, via)
		}
		return nil
	}
	return f
}

// permitted reports why u must not be asked for keys.
func permitted(u *url.URL, insecure bool) error {
	switch u.Scheme {
	case "https":
		return nil
	case "http":
		if insecure || loopback(u.Hostname()) {
			return nil
		}
		return errHTTP
	}
	return errScheme
}

// leadsTo reports why what was read from one URL must not lead to another: from
// https only https does.
func leadsTo(from, to *url.URL, insecure bool) error {
	if from.Scheme == "https" && to.Scheme == "http" {
		return errHTTP
	}
	return permitted(to, insecure)
}

// loopback reports whether host is this machine.
func loopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

// redacted is u for logs: without a user, a password and what a query may hold.
func redacted(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

// get returns the document at u. Its errors hold nothing of what was received.
func (f *fetcher) get(ctx context.Context, u *url.URL) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, errors.New("not a URL to be fetched")
	}
	r.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := f.client.Do(r)
	if err != nil {
		return nil, exchangeError(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return nil, &statusError{resp.StatusCode, retryafter.Parse(resp.Header, time.Now())}
	}
	document, err := readAll(resp.Body)
	if err != nil {
		return nil, exchangeError(err)
	}
	return document, nil
}

// exchangeError is err of net/http without the URL, which may have a password, and
// without what the server sent.
func exchangeError(err error) error {
	for outer, ok := errors.AsType[*url.Error](err); ok; outer, ok = errors.AsType[*url.Error](err) {
		err = outer.Err
	}
	// So net/http words what quotes a response.
	text := err.Error()
	if strings.Contains(text, "transport connection broken") || strings.Contains(text, "Location header") {
		return errMalformed
	}
	return err
}

// statusError is an answer that is no document.
type statusError struct {
	status int
	after  time.Duration // of its Retry-After
}

func (e *statusError) Error() string             { return fmt.Sprintf("status %d", e.status) }
func (e *statusError) RetryDelay() time.Duration { return e.after }
