package authjwt

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestDiscoveryURLs(t *testing.T) {
	for issuer, want := range map[string][2]string{
		"https://a.example":              {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example/":             {"https://a.example/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server"},
		"https://a.example:1/realms/x":   {"https://a.example:1/realms/x/.well-known/openid-configuration", "https://a.example:1/.well-known/oauth-authorization-server/realms/x"},
		"https://a.example/realms/x/":    {"https://a.example/realms/x/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server/realms/x"},
		"https://a.example/realms%2fx/y": {"https://a.example/realms%2fx/y/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server/realms%2fx/y"},
		"https://a.example/a//b":         {"https://a.example/a//b/.well-known/openid-configuration", "https://a.example/.well-known/oauth-authorization-server/a//b"},
	} {
		if got := openIDConfiguration(mustParse(issuer)).String(); got != want[0] {
			t.Errorf("%s: %s, want %s", issuer, got, want[0])
		}
		if got := authorizationServer(mustParse(issuer)).String(); got != want[1] {
			t.Errorf("%s: %s, want %s", issuer, got, want[1])
		}
	}
}

func TestKeysOf(t *testing.T) {
	const issuer = "https://a.example/x"
	for name, tt := range map[string]struct {
		document, want string
	}{
		"good":             {`{"issuer":"https://a.example/x","jwks_uri":"https://keys.example/jwks"}`, ""},
		"another issuer":   {`{"issuer":"https://a.example/y","jwks_uri":"https://keys.example/jwks"}`, "another issuer's"},
		"slash more":       {`{"issuer":"https://a.example/x/","jwks_uri":"https://keys.example/jwks"}`, "another issuer's"},
		"other case":       {`{"issuer":"https://A.example/x","jwks_uri":"https://keys.example/jwks"}`, "another issuer's"},
		"no issuer":        {`{"jwks_uri":"https://keys.example/jwks"}`, "another issuer's"},
		"two issuers":      {`{"issuer":"https://a.example/y","issuer":"https://a.example/x","jwks_uri":"https://keys.example/jwks"}`, "a member twice"},
		"issuer a list":    {`{"issuer":["https://a.example/x"],"jwks_uri":"https://keys.example/jwks"}`, "another issuer's"},
		"no jwks_uri":      {`{"issuer":"https://a.example/x"}`, "jwks_uri is not an absolute URL"},
		"relative":         {`{"issuer":"https://a.example/x","jwks_uri":"/jwks"}`, "jwks_uri is not an absolute URL"},
		"http":             {`{"issuer":"https://a.example/x","jwks_uri":"http://localhost/jwks"}`, "jwks_uri is not https"},
		"file":             {`{"issuer":"https://a.example/x","jwks_uri":"file://a.example/jwks"}`, "jwks_uri is neither"},
		"no URL":           {`{"issuer":"https://a.example/x","jwks_uri":"https://s3cret:x"}`, "jwks_uri is not an absolute URL"},
		"no JSON":          {`s3cret`, "not one well-formed JSON object"},
		"more than a JSON": {`{"issuer":"https://a.example/x","jwks_uri":"https://keys.example/jwks"}{}`, "not one well-formed JSON object"},
	} {
		keys, err := keysOf([]byte(tt.document), issuer, true)
		if tt.want == "" {
			if err != nil || keys.String() != "https://keys.example/jwks" {
				t.Errorf("%s: %v, %v", name, keys, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v, want %q", name, err, tt.want)
		}
	}
}

// A server that knows one of the two places of the document, and where its keys are.
func issuerServer(t *testing.T, place string, state *jwksServer, keys *atomic.Value, discoveries *atomic.Int64) *httptest.Server {
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	mux.HandleFunc(place, func(w http.ResponseWriter, _ *http.Request) {
		discoveries.Add(1)
		_, _ = fmt.Fprintf(w, `{"issuer":"%s/realm","jwks_uri":"%s%s","authorization_endpoint":null}`, server.URL, server.URL, keys.Load())
	})
	mux.HandleFunc("/jwks/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != keys.Load() {
			http.NotFound(w, r)
			return
		}
		state.set(func(s *jwksServer) { _, _ = w.Write(s.document) })
	})
	return server
}

func TestJWKSDiscovery(t *testing.T) {
	for _, place := range []string{"/realm/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/realm"} {
		state := newJWKSServer("a")
		var keys atomic.Value
		keys.Store("/jwks/1")
		var discoveries atomic.Int64
		server := issuerServer(t, place, state, &keys, &discoveries)
		j := readyJWKS(t, nil, JWKSConfig{Discovery: server.URL + "/realm", MinInterval: time.Millisecond})
		if ok, err := jwksAsk(t.Context(), j, "a"); !ok || err != nil {
			t.Errorf("%s: %v, %v", place, ok, err)
		}
		state.publish("a", "b")
		if ok, err := jwksAsk(t.Context(), j, "b"); !ok || err != nil {
			t.Errorf("%s: a new key: %v, %v", place, ok, err)
		}
		if n := discoveries.Load(); n != 1 {
			t.Errorf("%s: %d discoveries", place, n)
		}
		// The keys move: the failure to find them makes it ask again.
		keys.Store("/jwks/2")
		_, err := jwksAsk(t.Context(), j, "c")
		wantUnavailable(t, err)
		state.publish("c")
		if ok, err := jwksAsk(t.Context(), j, "c"); !ok || err != nil {
			t.Errorf("%s: a key of the other place: %v, %v", place, ok, err)
		}
	}
}

func TestJWKSDiscoveryOfAnotherIssuer(t *testing.T) {
	var keys atomic.Value
	keys.Store("/jwks/1")
	server := issuerServer(t, "/realm/.well-known/openid-configuration", newJWKSServer("a"), &keys, new(atomic.Int64))
	told := make(chan error, 1)
	j := newTestJWKS(t, nil, JWKSConfig{Discovery: server.URL + "/realm/", MinInterval: time.Hour, RefreshInterval: time.Hour, OnError: func(err error) { told <- err }})
	if err := <-told; !strings.Contains(err.Error(), "discovery: the document is another issuer's") {
		t.Errorf("%v", err)
	}
	if j.KeySet() != nil {
		t.Error("keys of another issuer")
	}
}

// discoveryTripper serves an issuer without a network.
type discoveryTripper struct{ discoveries, keys atomic.Int64 }

func (d *discoveryTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	body := string(jwksDocument("a"))
	if strings.HasSuffix(r.URL.Path, "openid-configuration") {
		d.discoveries.Add(1)
		body = `{"issuer":"https://a.example","jwks_uri":"https://a.example/jwks"}`
	} else {
		d.keys.Add(1)
	}
	return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

// Where the keys are is asked again once it is older than RefreshInterval, however
// often unknown keys make the keys be fetched meanwhile.
func TestJWKSDiscoversAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tripper := new(discoveryTripper)
		j := readyJWKS(t, tripper, JWKSConfig{Discovery: "https://a.example"})
		stop := jwksFlood(j, 2, jwksRandomKid)
		jwksPass(time.Hour)
		stop()
		if n := tripper.discoveries.Load(); n < 6 || n > 7 {
			t.Errorf("%d discoveries in an hour", n)
		}
		if n := tripper.keys.Load(); n < 3000 {
			t.Errorf("%d fetches of keys in an hour", n)
		}
	})
}

func FuzzKeysOf(f *testing.F) {
	f.Add([]byte(`{"issuer":"https://a.example/x","jwks_uri":"https://keys.example/jwks"}`))
	f.Add([]byte(`{"issuer":"https://a.example/x","jwks_uri":"http://keys.example/jwks"}`))
	f.Add([]byte(`{"issuer":"https://a.example/x","jwks_uri":"https://u:p@[::1]:99999/%zz"}`))
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := keysOf(document, "https://a.example/x", false)
		if err == nil && (keys.Scheme != "https" || keys.Host == "" || !strings.Contains(string(document), "issuer")) {
			t.Errorf("%q leads to %v", document, keys)
		}
	})
}
