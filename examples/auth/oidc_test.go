package main_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/oauth2-proxy/mockoidc"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// provider is an OpenID Connect provider with TLS.
type provider struct {
	*mockoidc.MockOIDC
	client *http.Client

	mu      sync.RWMutex // of what its handlers read
	fetches []time.Time  // of its keys
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	// For its certificate, and a client that trusts it.
	certified := httptest.NewTLSServer(nil)
	certified.Close()
	m, err := mockoidc.NewServer(nil)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{MockOIDC: m, client: certified.Client()}
	p.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if err := m.AddMiddleware(p.watch); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: certified.TLS.Certificates, MinVersion: tls.VersionTLS12}
	if err := m.Start(tls.NewListener(listener, config), config); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Server.Close() })
	return p
}

// watch counts fetches of the keys, and lets the test change the provider between
// its requests.
func (p *provider) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if r.URL.Path == mockoidc.JWKSEndpoint {
			p.fetches = append(p.fetches, time.Now())
		}
		next.ServeHTTP(w, r)
	})
}

// rotate gives the provider a new key in the place of the one before.
func (p *provider) rotate(t *testing.T) {
	t.Helper()
	pair, err := mockoidc.RandomKeypair(2048)
	if err != nil {
		t.Fatal(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.Keypair = pair
}

// login is the authorization code flow (RFC 6749 §4.1), as a browser and a client do it.
func (p *provider) login(t *testing.T) (accessToken, idToken string) {
	t.Helper()
	const redirect = "https://client.example/callback"
	query := url.Values{"scope": {"openid email groups"}, "state": {rand.Text()}, "nonce": {rand.Text()},
		"client_id": {p.ClientID}, "response_type": {"code"}, "redirect_uri": {redirect}}
	resp, err := p.client.Get(p.AuthorizationEndpoint() + "?" + query.Encode())
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	back, err := resp.Location()
	if err != nil || back.Query().Get("state") != query.Get("state") {
		t.Fatalf("the provider leads to %v: %v", back, err)
	}
	resp, err = p.client.PostForm(p.TokenEndpoint(), url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")},
		"client_id": {p.ClientID}, "client_secret": {p.ClientSecret}, "redirect_uri": {redirect}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&tokens); err != nil || tokens.Access == "" || tokens.ID == "" {
		t.Fatalf("no tokens: status %d, %v", resp.StatusCode, err)
	}
	return tokens.Access, tokens.ID
}

// service is a server that trusts a provider, and says who calls.
type service struct {
	*httptest.Server
	keys *authjwt.JWKS
}

func newService(t *testing.T, p *provider, cfg authjwt.JWKSConfig) *service {
	t.Helper()
	cfg.Discovery, cfg.Client = p.Issuer(), p.client
	keys, err := authjwt.NewJWKS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	verifier, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers: []string{p.Issuer()}, Audiences: []string{p.ClientID}, Keys: keys,
	}}})
	if err != nil {
		t.Fatal(err)
	}
	whoami := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := auth.PrincipalFromContext(r.Context())
		_, _ = fmt.Fprintf(w, "%s %v %v", who.Subject, who.Roles, who.Claims["email"])
	})
	s := &service{httptest.NewServer(auth.Middleware(verifier, auth.MiddlewareConfig{})(whoami)), keys}
	t.Cleanup(func() {
		s.Close()
		if err := keys.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

// call calls s with token.
func (s *service) call(t testing.TB, token string) (status int, body string, header http.Header) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL, nil)
	if err != nil {
		t.Error(err)
		return
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := s.Client().Do(r)
	if err != nil {
		t.Error(err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	content, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(content), resp.Header
}

func (s *service) wants(t *testing.T, what, token string, status int, body string) {
	t.Helper()
	if got, text, _ := s.call(t, token); got != status || !strings.Contains(text, body) {
		t.Errorf("%s: status %d %q, want %d %q", what, got, text, status, body)
	}
}

func TestProvider(t *testing.T) {
	p := newProvider(t)
	s := newService(t, p, authjwt.JWKSConfig{})
	access, id := p.login(t)
	for range 2 { // the second from what the verifier remembers
		s.wants(t, "access token", access, 200, "1234567890 [] <nil>")
		s.wants(t, "ID token", id, 200, "1234567890 [engineering design] jane.doe@example.com")
	}
	part := strings.Split(id, ".")
	s.wants(t, "another's signature", strings.Join([]string{part[0], part[1], strings.Split(access, ".")[2]}, "."), 401, "")
	_, _, header := s.call(t, id[:len(id)-8])
	if challenge := header.Get("WWW-Authenticate"); !strings.Contains(challenge, `error="invalid_token"`) {
		t.Errorf("half a signature: WWW-Authenticate %q", challenge)
	}

	other := newProvider(t)
	_, foreign := other.login(t)
	s.wants(t, "another provider's, of the same key", foreign, 401, "")

	p.mu.Lock()
	p.FastForward(-time.Hour)
	p.mu.Unlock()
	_, old := p.login(t)
	s.wants(t, "a token of an hour ago", old, 401, "")
}

// The provider changes its key while made-up tokens rain down on the service: the first
// token of the new key is good, those of the old one no longer are, and the provider was
// not flooded in turn.
func TestProviderRotatesUnderFlood(t *testing.T) {
	p := newProvider(t)
	const least = 100 * time.Millisecond
	s := newService(t, p, authjwt.JWKSConfig{MinInterval: least})
	_, old := p.login(t)
	s.wants(t, "token", old, 200, "jane.doe@example.com")

	ctx, stop := context.WithCancel(t.Context())
	var flood sync.WaitGroup
	payload := strings.Split(old, ".")[1]
	for range 20 {
		flood.Go(func() {
			for ctx.Err() == nil {
				madeUp := authHeader(rand.Text()) + "." + payload + "." + strings.Repeat("A", 342)
				if status, body, _ := s.call(t, madeUp); status != 401 {
					t.Errorf("a made-up token: status %d %q", status, body)
				}
			}
		})
	}
	for i := range 3 {
		p.rotate(t)
		_, next := p.login(t)
		s.wants(t, fmt.Sprintf("token of key %d", i), next, 200, "jane.doe@example.com")
		s.wants(t, fmt.Sprintf("token of the key before key %d", i), old, 401, "")
		old = next
	}
	stop()
	flood.Wait()

	p.mu.Lock()
	defer p.mu.Unlock()
	span := p.fetches[len(p.fetches)-1].Sub(p.fetches[0])
	if n := len(p.fetches); n < 4 || n > int(span/least)+2 {
		t.Errorf("the keys were fetched %d times in %v", n, span)
	}
	if stats := s.keys.Stats(); stats.Asked < uint64(len(p.fetches)) || stats.Failures != 0 {
		t.Errorf("%+v", stats)
	}
}

// authHeader is a token's header with a kid.
func authHeader(kid string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"alg":"RS256","kid":%q,"typ":"JWT"}`, kid)))
}

// While the provider is down, tokens of known keys are good, and others cannot be
// told; a service that starts then says so, too.
func TestProviderDown(t *testing.T) {
	p := newProvider(t)
	soon := authjwt.JWKSConfig{MinInterval: 100 * time.Millisecond}
	s := newService(t, p, soon)
	_, token := p.login(t)
	s.wants(t, "token", token, 200, "jane.doe@example.com")
	if err := p.Server.Close(); err != nil {
		t.Fatal(err)
	}
	s.wants(t, "token of a known key", token, 200, "jane.doe@example.com")
	unknown := authHeader("unknown") + token[strings.Index(token, "."):]
	for name, s := range map[string]*service{
		"unknown key":           s,
		"service that has none": newService(t, p, soon),
	} {
		status, body, header := s.call(t, unknown)
		if status != 503 || header.Get("Retry-After") == "" || !strings.Contains(body, "auth-unavailable") || strings.Contains(body, "127.0.0.1") {
			t.Errorf("%s: status %d, Retry-After %q, %q", name, status, header.Get("Retry-After"), body)
		}
	}
}
