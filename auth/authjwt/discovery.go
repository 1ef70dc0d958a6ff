package authjwt

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// discovery is an origin that asks an issuer where its keys are.
type discovery struct {
	fetcher *fetcher
	issuer  string
	fresh   time.Duration // for how long an answer is good

	keys  *url.URL // where they are; nil: to be asked for
	asked time.Time
}

// load reads the issuer's keys.
func (d *discovery) load(ctx context.Context) ([]byte, error) {
	if d.keys == nil || time.Since(d.asked) >= d.fresh {
		asked := time.Now()
		keys, err := d.discover(ctx)
		if err != nil {
			return nil, fmt.Errorf("discovery: %w", err)
		}
		d.keys, d.asked = keys, asked
	}
	document, err := d.fetcher.get(ctx, d.keys)
	if err != nil {
		err = fmt.Errorf("%s: %w", redacted(d.keys), err)
		d.keys = nil // they may have moved
	}
	return document, err
}

// discover asks the issuer where its keys are.
func (d *discovery) discover(ctx context.Context) (*url.URL, error) {
	issuer := mustParse(d.issuer)
	document, err := d.fetcher.get(ctx, openIDConfiguration(issuer))
	if status, ok := errors.AsType[*statusError](err); ok && status.status == http.StatusNotFound {
		document, err = d.fetcher.get(ctx, authorizationServer(issuer))
	}
	if err != nil {
		return nil, err
	}
	return keysOf(document, d.issuer, d.fetcher.insecure)
}

// keysOf reads an issuer's metadata and returns where its keys are.
func keysOf(document []byte, issuer string, insecure bool) (*url.URL, error) {
	metadata, err := parseJSON(document)
	if err != nil {
		return nil, err
	}
	// OpenID Connect Discovery 1.0 §4.3 and RFC 8414 §3.3: or one issuer, on a host
	// that has several, could speak for another.
	if stated, _ := metadata["issuer"].(string); stated != issuer {
		return nil, errors.New("the document is another issuer's")
	}
	uri, _ := metadata["jwks_uri"].(string)
	keys, err := url.Parse(uri)
	if err != nil || keys.Host == "" {
		return nil, errors.New("the document's jwks_uri is not an absolute URL")
	}
	if err := leadsTo(mustParse(issuer), keys, insecure); err != nil {
		return nil, fmt.Errorf("the document's jwks_uri %w", err)
	}
	return keys, nil
}

// openIDConfiguration is where OpenID Connect Discovery 1.0 §4.1 has the document:
// behind the issuer's path.
func openIDConfiguration(issuer *url.URL) *url.URL {
	const document = "/.well-known/openid-configuration"
	return withPath(issuer, strings.TrimSuffix(issuer.Path, "/")+document, strings.TrimSuffix(issuer.EscapedPath(), "/")+document)
}

// authorizationServer is where RFC 8414 §3.1 has it: in front of the path.
func authorizationServer(issuer *url.URL) *url.URL {
	const document = "/.well-known/oauth-authorization-server"
	return withPath(issuer, document+strings.TrimSuffix(issuer.Path, "/"), document+strings.TrimSuffix(issuer.EscapedPath(), "/"))
}

func withPath(u *url.URL, path, escaped string) *url.URL {
	other := *u
	other.Path, other.RawPath = path, escaped
	return &other
}
