package authjwt

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// jwksDocument is a JWK Set with a key for each kid, always the same.
func jwksDocument(kids ...string) []byte {
	keys := []map[string]string{}
	for _, kid := range kids {
		seed := sha256.Sum256([]byte(kid))
		public := ed25519.NewKeyFromSeed(seed[:]).Public().(ed25519.PublicKey)
		keys = append(keys, map[string]string{"kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig",
			"kid": kid, "x": base64.RawURLEncoding.EncodeToString(public)})
	}
	document, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		panic(err)
	}
	return document
}

// jwksServer is a server of a JWK Set within the test, for bubbles: its answers
// take as long as the test says.
type jwksServer struct {
	mu       sync.Mutex
	document []byte
	status   int
	header   http.Header
	delay    time.Duration
	fails    error
	begun    []time.Time
	running  int
	most     int // running at once
}

func newJWKSServer(kids ...string) *jwksServer {
	return &jwksServer{document: jwksDocument(kids...), status: 200}
}

// set changes the server under its lock.
func (s *jwksServer) set(change func(*jwksServer)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *jwksServer) publish(kids ...string) {
	s.set(func(s *jwksServer) { s.document = jwksDocument(kids...) })
}

// fetches returns when each began.
func (s *jwksServer) fetches() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.begun...)
}

// RoundTrip answers with what was published when the request came.
func (s *jwksServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	s.begun = append(s.begun, time.Now())
	s.running++
	s.most = max(s.most, s.running)
	resp := &http.Response{StatusCode: s.status, Header: s.header, Body: io.NopCloser(bytes.NewReader(s.document)), Request: r}
	delay, err := s.delay, s.fails
	s.mu.Unlock()
	jwksWait(r.Context(), delay)
	s.set(func(s *jwksServer) { s.running-- })
	if r.Context().Err() != nil {
		err = r.Context().Err()
	}
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// jwksWait lets d go by, or until ctx has ended. It receives from no timer's own
// channel, which the race detector does not take in bubbles (golang/go#78156).
func jwksWait(ctx context.Context, d time.Duration) {
	if d <= 0 {
		runtime.Gosched()
		return
	}
	passed := make(chan struct{})
	timer := time.AfterFunc(d, func() { close(passed) })
	defer timer.Stop()
	select {
	case <-passed:
	case <-ctx.Done():
	}
}

func jwksPass(d time.Duration) { jwksWait(context.Background(), d) }

// newTestJWKS returns a JWKS of server that is closed at the end of the test.
func newTestJWKS(t testing.TB, server http.RoundTripper, cfg JWKSConfig) *JWKS {
	t.Helper()
	if cfg.URL == "" && cfg.Load == nil && cfg.File == "" && cfg.Discovery == "" {
		cfg.URL = "https://issuer.example/jwks"
	}
	if server != nil {
		cfg.Client = &http.Client{Transport: server}
	}
	j, err := NewJWKS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return j
}

// readyJWKS is newTestJWKS with its first keys.
func readyJWKS(t testing.TB, server http.RoundTripper, cfg JWKSConfig) *JWKS {
	t.Helper()
	j := newTestJWKS(t, server, cfg)
	if err := j.Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	return j
}

// jwksHas reports whether set has a key kid.
func jwksHas(set *KeySet, kid string) bool {
	if set == nil {
		return false
	}
	_, known := set.find(kid, "EdDSA")
	return known
}

// jwksAsk is what a Verifier does with a token whose key is kid: whether it is known
// in the end.
func jwksAsk(ctx context.Context, j KeySource, kid string) (bool, error) {
	set := j.KeySet()
	if jwksHas(set, kid) {
		return true, nil
	}
	set, err := j.Refresh(ctx, set, kid)
	return err == nil && jwksHas(set, kid), err
}

func wantUnavailable(t testing.TB, err error) *auth.Error {
	t.Helper()
	e, ok := errors.AsType[*auth.Error](err)
	if !ok || !errors.Is(err, auth.ErrUnavailable) || !e.Retryable() {
		t.Fatalf("the error is %v, want an auth.ErrUnavailable", err)
	}
	return e
}

// errorLog is an OnError that keeps what it is told.
type errorLog struct {
	mu   sync.Mutex
	errs []error
}

func (l *errorLog) add(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.errs = append(l.errs, err)
}

// take returns what it was told since the last take.
func (l *errorLog) take() []error {
	l.mu.Lock()
	defer l.mu.Unlock()
	errs := l.errs
	l.errs = nil
	return errs
}
