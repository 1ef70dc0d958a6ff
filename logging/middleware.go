package logging

import (
	"context"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/ballast-go/ballast/internal/reqstate"
)

// Bounds of what a record takes from a client.
const (
	maxMethod    = 32
	maxField     = 256 // any other text
	maxRequestID = 64
)

// MiddlewareConfig configures Middleware. The zero value is useful.
type MiddlewareConfig struct {
	// RequestIDHeader is the header field that answers with the request's id;
	// "" means X-Request-ID.
	RequestIDHeader string
	// TrustRequestID reports whether the id that a request brings in that
	// field may be used: return true for your own proxies only, for who names
	// the id can forge your logs. It is used if it has 1 to 64 letters, digits,
	// dots, hyphens and underscores, else replaced. nil trusts nobody.
	TrustRequestID func(*http.Request) bool

	_ struct{}
}

// Middleware returns a middleware that gives each request an id and writes one
// access record when the request is over, however it ends (see the package's
// documentation for its fields). It changes neither the answer nor a panic,
// with one exception that no wrapper of a ResponseWriter can mend: behind it
// http.MaxBytesReader cannot make net/http close the connection. Set
// "Connection: close" on a 413 where that matters.
//
// Middleware panics if l is nil.
func Middleware(l *Logger, cfg MiddlewareConfig) func(http.Handler) http.Handler {
	if l == nil {
		panic("logging: Middleware: the Logger is nil")
	}
	if cfg.RequestIDHeader == "" {
		cfg.RequestIDHeader = "X-Request-ID"
	}
	o := &observer{logger: l, header: http.CanonicalHeaderKey(cfg.RequestIDHeader), trust: cfg.TrustRequestID}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			reqstate.Serve(w, r, next, o)
		})
	}
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

type observer struct {
	logger *Logger
	header string
	trust  func(*http.Request) bool
}

func (o *observer) Begin(s *reqstate.State, w http.ResponseWriter, r *http.Request) {
	id, _, _ := s.IDs()
	if id == "" { // else another Logger outside named it
		id = o.requestID(r)
		s.SetRequestID(id)
	}
	w.Header()[o.header] = []string{id}
}

func (o *observer) requestID(r *http.Request) string {
	if o.trust != nil {
		if got := r.Header[o.header]; len(got) == 1 && wellFormed(got[0]) && o.trust(r) {
			return got[0]
		}
	}
	return newRequestID()
}

func (o *observer) Finish(rec *reqstate.Record) {
	level := slog.LevelInfo
	if rec.Status >= 500 {
		level = slog.LevelError
	}
	o.logger.write(level, rec.Start.Add(rec.Duration), "request", func(fields []zapcore.Field) []zapcore.Field {
		return accessFields(fields, rec)
	})
}

func accessFields(f []zapcore.Field, rec *reqstate.Record) []zapcore.Field {
	f = appendIDs(f, rec)
	f = append(f,
		stringField("method", limit(rec.Method, maxMethod)),
		stringField("route", limit(rec.Route, maxField)),
		intField("status", int64(rec.Status)),
		stringField("outcome", rec.Outcome.String()))
	if rec.Sent != rec.Status {
		f = append(f, intField("sent_status", int64(rec.Sent)))
	}
	f = append(f,
		intField("bytes_out", rec.Bytes),
		floatField("duration_ms", milliseconds(rec.Duration)),
		stringField("remote", limit(rec.Remote, maxField)))
	if rec.UserAgent != "" {
		f = append(f, stringField("user_agent", limit(rec.UserAgent, maxField)))
	}
	if rec.Subject != "" {
		f = append(f, stringField("subject", limit(rec.Subject, maxField)))
	}
	if rec.Stream.Chunks > 0 {
		f = append(f,
			floatField("time_to_first_byte_ms", milliseconds(rec.Stream.TimeToFirstByte)),
			intField("chunks", rec.Stream.Chunks),
			floatField("longest_gap_ms", milliseconds(rec.Stream.LongestGap)))
	}
	return f
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// newRequestID returns 128 random bits in hexadecimal.
func newRequestID() string {
	var raw [16]byte
	hi, lo := rand.Uint64(), rand.Uint64()
	for i := range 8 {
		raw[i], raw[8+i] = byte(hi>>(8*i)), byte(lo>>(8*i))
	}
	return hex.EncodeToString(raw[:])
}

func wellFormed(id string) bool {
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
