package logging

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"unsafe"

	"github.com/ballast-go/ballast/internal/reqstate"
)

const maxRequestID = 64

// MiddlewareConfig configures Middleware. The zero value is useful.
type MiddlewareConfig struct {
	// RequestIDHeader is the header field that answers with the request's id, of 1
	// to 64 letters, digits, dots, hyphens and underscores; "" means X-Request-ID.
	RequestIDHeader string
	// TrustRequestID reports whether the id that a request brings in that
	// field may be used: return true for your own proxies only, for who names
	// the id can forge your logs. It is used if it has 1 to 64 letters, digits,
	// dots, hyphens and underscores, else replaced. nil trusts nobody.
	TrustRequestID func(*http.Request) bool

	// Levels are those of the access records of routes, by their http.ServeMux
	// pattern without the method, such as "/healthz": slog.LevelDebug. Other routes
	// have slog.LevelInfo. A request that failed has WARN or ERROR at least.
	Levels map[string]slog.Level
	// Sample says which records of requests that went well are written; nil means
	// all.
	Sample *Sample

	// Query and Header name the parameters of the query, and the fields of the
	// request's header, that access records have, in the objects "query" and
	// "headers" (there in lower case). Of a parameter it is the first value, and of
	// any value the first 256 bytes. All others are never logged; up to 32 of each
	// may be named, and none that is the name of a secret.
	Query, Header []string

	_ struct{}
}

// Middleware returns a middleware that gives each request an id and writes one
// access record when the request is over, however it ends (see the package's
// documentation for its fields). It changes neither the answer nor a panic,
// with one exception that no wrapper of a ResponseWriter can mend: behind it
// http.MaxBytesReader cannot make net/http close the connection. Set
// "Connection: close" on a 413 where that matters.
//
// Middleware panics if l is nil or cfg is wrong.
func Middleware(l *Logger, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if l == nil {
		panic("logging: Middleware: the Logger is nil")
	}
	o, err := newObserver(l, &cfg)
	if err != nil {
		panic(err.Error())
	}
	return func(next http.Handler) http.Handler { return reqstate.Handler(next, o) }
}

func newObserver(l *Logger, cfg *MiddlewareConfig) (*observer, error) {
	if cfg.RequestIDHeader == "" {
		cfg.RequestIDHeader = "X-Request-ID"
	}
	o := &observer{
		logger: l, header: http.CanonicalHeaderKey(cfg.RequestIDHeader), trust: cfg.TrustRequestID,
		levels: maps.Clone(cfg.Levels),
	}
	if cfg.Sample != nil {
		sample := *cfg.Sample
		o.sample = &sample
	}
	var errs [2]error
	if !IsRequestID(o.header) {
		errs[0] = fmt.Errorf("logging: MiddlewareConfig.RequestIDHeader: %q is no name of a header field", cfg.RequestIDHeader)
	}
	o.allowed, errs[1] = newCapture(cfg, l.redact)
	return o, errors.Join(errs[0], cfg.Sample.Validate(), errs[1])
}

// RequestID returns the id of the request that ctx belongs to, or "".
func RequestID(ctx context.Context) string {
	s := reqstate.FromContext(ctx)
	if s == nil {
		return ""
	}
	id, _, _ := s.IDs()
	return id
}

// WithoutState returns a context for an in-process sub-request that is to be
// logged and counted on its own. Without it the handlers that the sub-request
// runs through take it for a part of the request that ctx belongs to, whose
// route it may then name.
func WithoutState(ctx context.Context) context.Context { return reqstate.WithoutState(ctx) }

// TrustedPeers is for MiddlewareConfig.TrustRequestID: it trusts requests whose
// RemoteAddr is in one of the prefixes. It is the connection's peer that is asked,
// unless a middleware outside has replaced it by what a header says. It panics if a
// prefix is not valid.
func TrustedPeers(prefixes ...netip.Prefix) func(*http.Request) bool {
	trusted := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		if !p.IsValid() {
			panic(fmt.Sprintf("logging: TrustedPeers: prefix %d is not valid", i))
		}
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		trusted[i] = p.Masked()
	}
	return func(r *http.Request) bool {
		// A client on a Unix socket may bind its end to a path like 127.0.0.1:1.
		if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok && local.Network() == "unix" {
			return false
		}
		peer, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil {
			return false
		}
		addr := peer.Addr().Unmap().WithZone("")
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
}

// An observer is one Middleware's part in its requests.
type observer struct {
	logger  *Logger
	header  string
	trust   func(*http.Request) bool
	levels  map[string]slog.Level
	sample  *Sample
	allowed *capture // nil: nothing is
}

func (o *observer) Begin(s *reqstate.State, w http.ResponseWriter, r *http.Request) {
	id, field := o.requestID(r)
	if named := s.NameRequest(id); named != id { // by another Logger outside
		field = []string{named}
	}
	w.Header()[o.header] = field
	if o.allowed != nil {
		o.capture(s, r)
	}
}

// requestID returns the request's id, and that as a header field.
func (o *observer) requestID(r *http.Request) (string, []string) {
	if o.trust != nil {
		if got := r.Header[o.header]; len(got) == 1 && IsRequestID(got[0]) && o.trust(r) {
			return got[0], []string{got[0]}
		}
	}
	return newRequestID()
}

func (o *observer) Finish(rec *reqstate.Record) {
	var c *captured
	if o.allowed != nil {
		c = capturedBy(o, rec.Attrs)
	}
	o.logger.writeAccess(rec, o.levels, o.sample, c)
}

// NewRequestID returns 128 random bits in hexadecimal, which is what Middleware
// calls a request.
func NewRequestID() string {
	id, _ := newRequestID()
	return id
}

// newRequestID returns an id, and that as a header field, in one allocation.
func newRequestID() (string, []string) {
	made := new(struct {
		field [1]string
		text  [32]byte
	})
	hi, lo := rand.Uint64(), rand.Uint64()
	for i, half := range [...]uint32{uint32(hi >> 32), uint32(hi), uint32(lo >> 32), uint32(lo)} {
		binary.BigEndian.PutUint64(made.text[8*i:], hex8(half))
	}
	made.field[0] = unsafe.String(&made.text[0], len(made.text)) // never written again
	return made.field[0], made.field[:]
}

// IsRequestID reports whether id may name a request: see
// MiddlewareConfig.TrustRequestID.
func IsRequestID(id string) bool {
	if len(id) == 0 || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch c := id[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '.', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}
