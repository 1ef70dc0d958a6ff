package logging

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/ballast-go/ballast/internal/reqstate"
)

const (
	maxAllowed   = 32       // names in one list
	maxNameBytes = 128      // of a name in it
	maxRawQuery  = 16 << 10 // of a query, as sent, that is looked at
)

// A capture is what access records may say of a request's query and header.
type capture struct {
	query  []string
	header []string // canonical
	names  []string // of those, in lower case
}

func newCapture(cfg *MiddlewareConfig, secret *redactor) (*capture, error) {
	var errs []error
	if len(cfg.Query) == 0 && len(cfg.Header) == 0 {
		return nil, nil
	}
	c := new(capture)
	check := func(list string, names []string, secret func(string) bool) {
		if len(names) > maxAllowed {
			errs = append(errs, fmt.Errorf("logging: MiddlewareConfig.%s: %d names are more than %d", list, len(names), maxAllowed))
		}
		for _, name := range names {
			switch {
			case name == "" || len(name) > maxNameBytes:
				errs = append(errs, fmt.Errorf("logging: MiddlewareConfig.%s: a name of %d bytes is not in [1, %d]", list, len(name), maxNameBytes))
			case secret(name):
				errs = append(errs, fmt.Errorf("logging: MiddlewareConfig.%s: %q is the name of a secret, which is never logged", list, name))
			}
		}
	}
	check("Query", cfg.Query, secret.secretParameter)
	check("Header", cfg.Header, secret.secret)
	for _, name := range cfg.Query {
		if !slices.Contains(c.query, name) { // an object has each name once
			c.query = append(c.query, name)
		}
	}
	for _, name := range cfg.Header {
		if key := http.CanonicalHeaderKey(name); !slices.Contains(c.header, key) {
			c.header = append(c.header, key)
			c.names = append(c.names, strings.ToLower(name))
		}
	}
	return c, errors.Join(errs...)
}

// captured is what was found of a request when it began: a handler may change the
// header later. It waits among the record's attributes, unseen.
type captured struct {
	of     *observer
	query  string // as sent
	header []string
}

// LogValue is an empty group, which handlers leave out.
func (*captured) LogValue() slog.Value { return slog.GroupValue() }

func (o *observer) capture(s *reqstate.State, r *http.Request) {
	c := &captured{of: o, query: limit(r.URL.RawQuery, maxRawQuery)}
	if len(o.allowed.header) > 0 {
		c.header = make([]string, len(o.allowed.header))
		for i, name := range o.allowed.header {
			c.header[i] = joinField(r.Header[name])
		}
	}
	s.AddAttrs(slog.Any("", c))
}

// joinField is what several fields of a name mean (RFC 9110 §5.3), as much of it
// as a record takes.
func joinField(values []string) string {
	if len(values) == 1 {
		return limit(values[0], maxField)
	}
	joined := ""
	for i, v := range values {
		if i > 0 {
			joined += ", "
		}
		if joined += limit(v, maxField); len(joined) > maxField {
			break
		}
	}
	return limit(joined, maxField)
}

func capturedBy(o *observer, attrs []slog.Attr) *captured {
	for _, a := range attrs {
		if a.Value.Kind() != slog.KindLogValuer {
			continue
		}
		if c, ok := a.Value.Any().(*captured); ok && c.of == o {
			return c
		}
	}
	return nil
}

func (c *captured) write(r *record) {
	allowed := c.of.allowed
	at := r.open(r.keys.query)
	for _, name := range allowed.query {
		if v, ok := queryValue(c.query, name); ok {
			r.attr(slog.String(name, limit(v, maxField)))
		}
	}
	r.close(at)
	at = r.open(r.keys.headers)
	for i, v := range c.header {
		if v != "" {
			r.attr(slog.String(allowed.names[i], v))
		}
	}
	r.close(at)
}

// queryValue returns the first value of name in raw, as url.ParseQuery reads it.
func queryValue(raw, name string) (string, bool) {
	for raw != "" {
		var part string
		part, raw, _ = strings.Cut(raw, "&")
		if strings.IndexByte(part, ';') >= 0 {
			continue
		}
		k, v, _ := strings.Cut(part, "=")
		if plain, err := url.QueryUnescape(k); err != nil || plain != name {
			continue
		}
		if plain, err := url.QueryUnescape(v); err == nil {
			return plain, true
		}
	}
	return "", false
}
