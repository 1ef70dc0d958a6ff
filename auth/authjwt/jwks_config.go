package authjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// What the zero fields of a JWKSConfig mean.
const (
	defaultRefreshInterval = 10 * time.Minute
	defaultFileInterval    = 10 * time.Second
	defaultMinInterval     = time.Second
	defaultTimeout         = 5 * time.Second
	defaultMaxStale        = 24 * time.Hour
)

// JWKSConfig configures [NewJWKS]. Exactly one of URL, Discovery, File and Load says
// where the keys are.
type JWKSConfig struct {
	// URL is where a JWK Set is (RFC 7517 §5).
	URL string
	// Discovery is an issuer that publishes where its keys are: below it, at
	// /.well-known/openid-configuration (OpenID Connect Discovery 1.0 §4), or if that is
	// not there as RFC 8414 §3 has it. The document must state this very issuer, byte by
	// byte (§4.3). It is read again when it is older than RefreshInterval, and after failures.
	Discovery string
	// File is a file with a JWK Set, which is read whole each time: a new one may be
	// renamed over it, or a symbolic link changed, as Kubernetes does.
	File string
	// Load returns a JWK Set from elsewhere, such as a store of secrets. It is not called
	// again while it runs, and must end with its context. If its error has a
	// RetryDelay() time.Duration, that is how soon it is called again at the earliest,
	// within RefreshInterval. A panic is a failure.
	Load func(context.Context) ([]byte, error)

	// Client does the requests for URL and Discovery. nil means one with the settings of
	// http.DefaultTransport and connections of its own. Of a Client's redirects only
	// those are followed that lead from https to https, and at most three in a row.
	Client *http.Client
	// InsecureAllowHTTP allows URLs with http to other hosts than localhost. Whoever is
	// on the way can then put in keys of his own, and with these be anybody.
	InsecureAllowHTTP bool

	// RefreshInterval is the longest between a document and the beginning of the next
	// fetch, and so for how long a key that was taken out is still trusted while
	// the source answers. 0 means 10 min, 10 s for File. Up to a tenth of it is taken off
	// at random, lest all replicas come at once. Cache-Control is not heeded: how long keys are
	// trusted is for the service to say, and what is new is fetched when it is needed.
	RefreshInterval time.Duration
	// MinInterval is the least between the beginning of a fetch and that of another one
	// that is made because a token names a key that is not there. Anybody can send such
	// tokens: they cause 1/MinInterval fetches a second at most. 0 means 1 s; at most RefreshInterval.
	MinInterval time.Duration
	// Timeout is for a fetch, and for a call of Refresh, each. 0 means 5 s.
	Timeout time.Duration
	// MaxStale is for how long keys are trusted while the source does not answer, or has
	// no good document. After that there are none until it has. 0 means 24 h; at least
	// RefreshInterval and Timeout together.
	MaxStale time.Duration

	// OnError is told of each fetch that fails, outside of any request: a log. It may be
	// called by two goroutines at once, and must not call Close. nil: nobody is told.
	OnError func(error)

	_ struct{}
}

// withDefaults returns c with its zero fields filled in.
func (c JWKSConfig) withDefaults() JWKSConfig {
	fill := func(d *time.Duration, otherwise time.Duration) {
		if *d == 0 {
			*d = otherwise
		}
	}
	if c.File != "" {
		fill(&c.RefreshInterval, defaultFileInterval)
	}
	fill(&c.RefreshInterval, defaultRefreshInterval)
	fill(&c.MinInterval, defaultMinInterval)
	fill(&c.Timeout, defaultTimeout)
	fill(&c.MaxStale, defaultMaxStale)
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

// check returns all that is wrong with c, whose defaults are filled in.
func (c JWKSConfig) check() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authjwt: JWKSConfig."+format, args...))
	}
	places := 0
	for _, given := range []bool{c.URL != "", c.Discovery != "", c.File != "", c.Load != nil} {
		if given {
			places++
		}
	}
	if places != 1 {
		bad("URL, Discovery, File and Load: exactly one must be set, not %d", places)
	}
	if c.URL != "" {
		if _, err := c.parse(c.URL); err != nil {
			bad("URL %w", err)
		}
	}
	if c.Discovery != "" {
		if u, err := c.parse(c.Discovery); err != nil {
			bad("Discovery %w", err)
		} else if u.RawQuery != "" || u.ForceQuery {
			bad("Discovery has a query, which no issuer has")
		}
	}
	positive := func(name string, d time.Duration) {
		if d < 0 {
			bad("%s is below 0: %v", name, d)
		}
	}
	positive("RefreshInterval", c.RefreshInterval)
	positive("MinInterval", c.MinInterval)
	positive("Timeout", c.Timeout)
	positive("MaxStale", c.MaxStale)
	if c.MinInterval > c.RefreshInterval {
		bad("MinInterval is above RefreshInterval: %v, %v", c.MinInterval, c.RefreshInterval)
	}
	if c.MaxStale < c.RefreshInterval || c.MaxStale-c.RefreshInterval < c.Timeout {
		bad("MaxStale is below RefreshInterval and Timeout together: %v, %v, %v", c.MaxStale, c.RefreshInterval, c.Timeout)
	}
	return errors.Join(errs...)
}

// parse reads a URL that may be fetched. The error does not hold it: it may have a password.
func (c JWKSConfig) parse(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.Fragment != "" {
		return nil, errors.New("is not an absolute URL without a fragment")
	}
	return u, permitted(u, c.InsecureAllowHTTP)
}

// origin returns where c's documents come from.
func (c JWKSConfig) origin() origin {
	switch {
	case c.File != "":
		return fileOrigin(c.File)
	case c.Load != nil:
		return origin{name: "JWKSConfig.Load", load: c.Load, close: func() {}}
	}
	f := newFetcher(c.Client, c.InsecureAllowHTTP)
	if c.Discovery != "" {
		d := &discovery{fetcher: f, issuer: c.Discovery, fresh: c.RefreshInterval}
		return origin{name: "issuer " + redacted(mustParse(c.Discovery)), load: d.load, close: f.close}
	}
	u := mustParse(c.URL)
	load := func(ctx context.Context) ([]byte, error) { return f.get(ctx, u) }
	return origin{name: redacted(u), load: load, close: f.close}
}

// mustParse is url.Parse of what has been checked.
func mustParse(s string) *url.URL {
	u, err := url.Parse(s)
	if err != nil {
		panic("authjwt: " + err.Error())
	}
	return u
}
