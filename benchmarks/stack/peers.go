package stackbench

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/golang-jwt/jwt/v5"
	"github.com/sony/gobreaker/v2"
	"golang.org/x/time/rate"
)

// The limit is so much that nobody runs into it.
const (
	perSecond = 1_000_000
	burst     = 100 * perSecond
)

// A peer is a stack of libraries that are often put together.
type peer struct {
	name string
	note string
	new  func(world) (stack, func(), error)
}

func peers() []peer {
	return []peer{
		{"zap + prom by hand", "otelhttp, golang-jwt, x/time/rate by key, gobreaker", zapByHand},
		{"slog-http + promhttp", "otelhttp, golang-jwt, x/time/rate by key, gobreaker", slogHTTP},
		{"httplog + promhttp", "otelhttp, golang-jwt, x/time/rate by key, gobreaker", httplogPeer},
	}
}

func zapByHand(w world) (st stack, closeIt func(), err error) {
	st = common(w, promByHand)
	st.recovery = recoverByHand
	st.logs = join(requestIDs, zapLogs(w.logs))
	st.traces, closeIt = otelHTTP(w, sampled)
	return st, closeIt, nil
}

func slogHTTP(w world) (st stack, closeIt func(), err error) {
	st = common(w, promHTTP)
	st.recovery = slogRecovery
	st.logs = slogLogs(w.logs)
	st.traces, closeIt = otelHTTP(w, sampled)
	return st, closeIt, nil
}

func httplogPeer(w world) (st stack, closeIt func(), err error) {
	st = common(w, promHTTP)
	st.logs = join(requestIDs, httplogLogs(w.logs, false)) // recovers, too
	st.traces, closeIt = otelHTTP(w, sampled)
	return st, closeIt, nil
}

// common is what all peers' stacks have.
func common(w world, series func(world) middleware) stack {
	return stack{series: series(w), identity: golangJWT(w.signer), limits: limitByKey(), circuit: goBreaker()}
}

type (
	requestIDKey struct{}
	claimsKey    struct{}
)

// requestIDs names each request, as chi's and others' middlewares do.
func requestIDs(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := newID()
		w.Header().Set("X-Request-Id", id)
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), requestIDKey{}, id)))
	})
}

func newID() string {
	var raw [16]byte
	for i := range 2 {
		for j, v := 0, rand.Uint64(); j < 8; j++ {
			raw[8*i+j] = byte(v >> (8 * j))
		}
	}
	return hex.EncodeToString(raw[:])
}

func requestIDOf(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}

// recoverByHand is what most services begin with.
func recoverByHand(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v == http.ErrAbortHandler {
					panic(v)
				}
				w.WriteHeader(http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

// recorder is the wrapper that one writes to know the status.
type recorder struct {
	http.ResponseWriter
	status, bytes int
}

func (r *recorder) WriteHeader(status int) {
	if r.status == 0 {
		r.status = status
	}
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(p)
	r.bytes += n
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) Flush() {
	if f, ok := r.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// record wraps w, unless another middleware has.
func record(w http.ResponseWriter) *recorder {
	if r, ok := w.(*recorder); ok {
		return r
	}
	return &recorder{ResponseWriter: w}
}

func unauthorized(w http.ResponseWriter) {
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	w.WriteHeader(http.StatusUnauthorized)
}

// golangJWT verifies each request's token.
func golangJWT(s *signer) middleware {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithIssuedAt())
	key := func(*jwt.Token) (any, error) { return s.secret, nil }
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
			claims := jwt.MapClaims{}
			if !ok {
				unauthorized(w)
				return
			}
			if _, err := parser.ParseWithClaims(token, claims, key); err != nil {
				unauthorized(w)
				return
			}
			sub, _ := claims["sub"].(string)
			next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), claimsKey{}, sub)))
		})
	}
}

func subjectOf(ctx context.Context) string {
	sub, _ := ctx.Value(claimsKey{}).(string)
	return sub
}

// limitByKey has a limiter for each caller, in a map that grows for ever.
func limitByKey() middleware {
	var mu sync.Mutex
	all := map[string]*rate.Limiter{}
	of := func(key string) *rate.Limiter {
		mu.Lock()
		defer mu.Unlock()
		l := all[key]
		if l == nil {
			l = rate.NewLimiter(perSecond, burst)
			all[key] = l
		}
		return l
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if !of(subjectOf(r.Context())).Allow() {
				w.Header().Set("Retry-After", "1")
				w.WriteHeader(http.StatusTooManyRequests)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

var errServer = errors.New("a status of 500 or above")

func goBreaker() middleware {
	b := gobreaker.NewCircuitBreaker[struct{}](gobreaker.Settings{Name: "model"})
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, err := b.Execute(func() (struct{}, error) {
				rec := record(w)
				next.ServeHTTP(rec, r)
				if rec.status >= 500 {
					return struct{}{}, errServer
				}
				return struct{}{}, nil
			})
			if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
	}
}
