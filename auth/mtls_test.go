package auth

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"
)

// testCA makes certificates.
type testCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newTestCA(t testing.TB, name string) *testCA {
	t.Helper()
	ca := &testCA{key: newTestKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca.cert = ca.sign(t, template, template, ca.key)
	return ca
}

func newTestKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func (ca *testCA) sign(t testing.TB, template, parent *x509.Certificate, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), ca.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// client makes a client's certificate, which change may alter.
func (ca *testCA) client(t testing.TB, change func(*x509.Certificate), uris ...string) tls.Certificate {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, text := range uris {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		template.URIs = append(template.URIs, u)
	}
	if change != nil {
		change(template)
	}
	key := newTestKey(t)
	cert := ca.sign(t, template, ca.cert, key)
	return tls.Certificate{Certificate: [][]byte{cert.Raw}, PrivateKey: key, Leaf: cert}
}

// verifiedState is the state after a handshake that verified leaf.
func verifiedState(leaf *x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{
		HandshakeComplete: true,
		PeerCertificates:  []*x509.Certificate{leaf},
		VerifiedChains:    [][]*x509.Certificate{{leaf}},
	}
}

func mustMTLS(t testing.TB, cfg MTLSConfig) *MTLS {
	t.Helper()
	m, err := NewMTLS(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	aliceID    = "spiffe://prod.example.org/ns/default/sa/alice"
	prodDomain = "prod.example.org"
)

// What a certificate must be like to name a workload.
func TestMTLSSPIFFE(t *testing.T) {
	ca := newTestCA(t, "CA")
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{"other.example", prodDomain}})
	for name, tt := range map[string]struct {
		uris   []string
		change func(*x509.Certificate)
		ok     bool
	}{
		"good":                    {[]string{aliceID}, nil, true},
		"with a host name":        {[]string{aliceID}, func(c *x509.Certificate) { c.DNSNames = []string{"alice"} }, true},
		"no key usage":            {[]string{aliceID}, func(c *x509.Certificate) { c.KeyUsage = 0 }, true},
		"two IDs":                 {[]string{aliceID, "spiffe://prod.example.org/bob"}, nil, false},
		"another URI first":       {[]string{"https://example.org/", aliceID}, nil, false},
		"another URI last":        {[]string{aliceID, "https://example.org/"}, nil, false},
		"another URI alone":       {[]string{"https://prod.example.org/alice"}, nil, false},
		"no URI":                  {nil, func(c *x509.Certificate) { c.Subject.CommonName = aliceID }, false},
		"another trust domain":    {[]string{"spiffe://prod.example.org.evil.example/alice"}, nil, false},
		"a CA":                    {[]string{aliceID}, func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true }, false},
		"may sign certificates":   {[]string{aliceID}, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCertSign }, false},
		"may sign revocations":    {[]string{aliceID}, func(c *x509.Certificate) { c.KeyUsage |= x509.KeyUsageCRLSign }, false},
		"not for signatures":      {[]string{aliceID}, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment }, false},
		"the trust domain itself": {[]string{"spiffe://prod.example.org"}, nil, false},
	} {
		leaf := ca.client(t, tt.change, tt.uris...).Leaf
		p, err := m.Authenticate(t.Context(), Credentials{TLS: verifiedState(leaf)})
		if tt.ok != (err == nil) || !tt.ok && !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v %v", name, p, err)
		}
		if tt.ok && (p.Subject != aliceID || p.Issuer != prodDomain || p.Method != MethodMTLS || !p.ExpiresAt.Equal(leaf.NotAfter) || p.Roles != nil) {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

// What a SPIFFE ID may look like, as the standard and go-spiffe have it.
func TestSPIFFEID(t *testing.T) {
	segments := strings.Repeat("/abcdefg", 252)
	for text, ok := range map[string]bool{
		aliceID:                   true,
		"spiffe://td/A-Z_0.9/...": true,
		"spiffe://a.b-c_d/x":      true,
		"spiffe://" + strings.Repeat("t", 255) + "/x":       true,
		"spiffe://" + strings.Repeat("t", 256) + "/x":       false,
		"spiffe://td" + segments + "/abcdefghijklmnopqrst":  true,  // 2048 bytes
		"spiffe://td" + segments + "/abcdefghijklmnopqrstu": false, // more
		"spiffe://td":          false,
		"spiffe://td/":         false,
		"spiffe:///x":          false,
		"spiffe:td/x":          false,
		"spiffe://TD/x":        false,
		"spiffe://td:80/x":     false,
		"spiffe://td:/x":       false,
		"spiffe://user@td/x":   false,
		"spiffe://user:p@td/x": false,
		"spiffe://td/x?":       false,
		"spiffe://td/x?q":      false,
		"spiffe://td/x#f":      false,
		"spiffe://td/x/":       false,
		"spiffe://td//x":       false,
		"spiffe://td/./x":      false,
		"spiffe://td/../x":     false,
		"spiffe://td/x/..":     false,
		"spiffe://td/%78":      false,
		"spiffe://td/x%2fy":    false,
		"spiffe://td/a b":      false,
		"spiffe://td/ü":        false,
		"spiffe://td/a:b":      false,
		"spiffe://[::1]/x":     false,
		"spiffe://t%C3%BC/x":   false,
		"https://td/x":         false,
	} {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		id, td, got := parseSPIFFEID(u)
		if got != ok || ok && (id != text || !strings.HasPrefix(text, "spiffe://"+td+"/")) {
			t.Errorf("%.80s (%d bytes): %v", text, len(text), got)
		}
	}
}

// Whatever is accepted is written back to the letter, and by the standard's own grammar.
func FuzzSPIFFEID(f *testing.F) {
	for _, s := range []string{aliceID, "spiffe://td/a/../b", "spiffe://u@td:1/%41?q#f", "SPIFFE://td/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		u, err := url.Parse(text)
		if err != nil {
			return
		}
		id, td, ok := parseSPIFFEID(u)
		if !ok {
			return
		}
		// url.Parse itself drops an empty fragment and the scheme's capitals.
		if written := "spiffe" + strings.TrimSuffix(text[len("spiffe"):], "#"); id != written {
			t.Fatalf("%q became %q", text, id)
		}
		rest, found := strings.CutPrefix(id, "spiffe://"+td+"/")
		if !found || len(id) > 2048 || strings.Trim(td, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != "" ||
			strings.Trim(rest, base62+"._-/") != "" || slices.ContainsFunc(strings.Split(rest, "/"), func(s string) bool { return s == "" || s == "." || s == ".." }) {
			t.Fatalf("%q", id)
		}
	})
}

func TestMTLSDistinguishedNames(t *testing.T) {
	ca := newTestCA(t, "Example CA")
	twice := func(oids ...asn1.ObjectIdentifier) func(*x509.Certificate) {
		return func(c *x509.Certificate) {
			for _, oid := range oids {
				c.Subject.ExtraNames = append(c.Subject.ExtraNames, pkix.AttributeTypeAndValue{Type: oid, Value: "x"})
			}
		}
	}
	cn, serial, ou := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 5}, asn1.ObjectIdentifier{2, 5, 4, 11}
	for name, tt := range map[string]struct {
		cfg    MTLSConfig
		change func(*x509.Certificate)
		uris   []string
		want   string
	}{
		"good": {MTLSConfig{DN: true}, func(c *x509.Certificate) {
			c.Subject = pkix.Name{CommonName: "alice, or bob", Organization: []string{"Example"}}
		}, nil, `CN=alice\, or bob,O=Example`},
		"with another URI":      {MTLSConfig{DN: true}, twice(cn), []string{"https://example.org/"}, "CN=x"},
		"units may be several":  {MTLSConfig{DN: true}, twice(cn, ou, ou), nil, "CN=x,OU=x+OU=x"},
		"not wanted":            {MTLSConfig{TrustDomains: []string{prodDomain}}, twice(cn), nil, ""},
		"none":                  {MTLSConfig{DN: true}, nil, nil, ""},
		"two common names":      {MTLSConfig{DN: true}, twice(cn, cn), nil, ""},
		"two serial numbers":    {MTLSConfig{DN: true}, twice(cn, serial, ou, serial), nil, ""},
		"a line break":          {MTLSConfig{DN: true}, func(c *x509.Certificate) { c.Subject.CommonName = "a\nb" }, nil, ""},
		"SPIFFE goes first":     {MTLSConfig{DN: true, TrustDomains: []string{prodDomain}}, twice(cn), []string{aliceID}, aliceID},
		"SPIFFE is not wanted":  {MTLSConfig{DN: true}, twice(cn), []string{aliceID}, ""},
		"a bad SPIFFE is no DN": {MTLSConfig{DN: true, TrustDomains: []string{prodDomain}}, twice(cn), []string{"spiffe://prod.example.org/"}, ""},
	} {
		leaf := ca.client(t, tt.change, tt.uris...).Leaf
		p, err := mustMTLS(t, tt.cfg).Authenticate(t.Context(), Credentials{TLS: verifiedState(leaf)})
		if tt.want == "" {
			if !errors.Is(err, ErrInvalid) || p != nil {
				t.Errorf("%s: %+v %v", name, p, err)
			}
			continue
		}
		if err != nil || p.Subject != tt.want || tt.want != aliceID && p.Issuer != "CN=Example CA" {
			t.Errorf("%s: %+v %v", name, p, err)
		}
	}
}

// A connection may outlive its certificate.
func TestMTLSExpiry(t *testing.T) {
	leaf := newTestCA(t, "CA").client(t, nil, aliceID).Leaf
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{prodDomain}})
	for at, want := range map[time.Time]error{{}: nil, leaf.NotAfter: nil, leaf.NotAfter.Add(1): ErrExpired} {
		if _, err := m.Authenticate(t.Context(), Credentials{TLS: verifiedState(leaf), At: at}); !errors.Is(err, want) {
			t.Errorf("at %v: %v", at, err)
		}
	}
}

func TestMTLSRoles(t *testing.T) {
	leaf := newTestCA(t, "CA").client(t, nil, aliceID).Leaf
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{prodDomain}, Roles: func(subject string, cert *x509.Certificate) []string {
		if subject == aliceID && cert == leaf {
			return []string{"predictor"}
		}
		return nil
	}})
	if p, err := m.Authenticate(t.Context(), Credentials{TLS: verifiedState(leaf)}); err != nil || !slices.Equal(p.Roles, []string{"predictor"}) {
		t.Errorf("%+v %v", p, err)
	}
}

func TestMTLSConfigErrors(t *testing.T) {
	_, err := NewMTLS(MTLSConfig{TrustDomains: []string{"ok", "spiffe://x", "", "Prod"}})
	if err == nil || strings.Count(err.Error(), "\n") != 2 || !strings.Contains(err.Error(), `MTLSConfig.TrustDomains[1]: "spiffe://x" is no`) || !strings.Contains(err.Error(), "TrustDomains[2]") {
		t.Errorf("%v", err)
	}
	if _, err := NewMTLS(MTLSConfig{}); err == nil || !strings.Contains(err.Error(), "MTLSConfig.TrustDomains or DN must be set") {
		t.Errorf("%v", err)
	}
}

// Nothing that the handshake did not verify counts, in whatever state.
func TestMTLSUnverified(t *testing.T) {
	leaf := newTestCA(t, "CA").client(t, nil, aliceID).Leaf
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{prodDomain}, DN: true})
	peer := []*x509.Certificate{leaf}
	for name, tt := range map[string]struct {
		state *tls.ConnectionState
		want  error
	}{
		"no TLS":         {nil, ErrNoCredential},
		"no certificate": {&tls.ConnectionState{}, ErrNoCredential},
		"unverified":     {&tls.ConnectionState{PeerCertificates: peer}, ErrInvalid},
		"no chain":       {&tls.ConnectionState{PeerCertificates: peer, VerifiedChains: [][]*x509.Certificate{}}, ErrInvalid},
		"an empty chain": {&tls.ConnectionState{PeerCertificates: peer, VerifiedChains: [][]*x509.Certificate{{}}}, ErrInvalid},
	} {
		if p, err := m.Authenticate(t.Context(), Credentials{TLS: tt.state}); p != nil || !errors.Is(err, tt.want) {
			t.Errorf("%s: %v %v", name, p, err)
		}
	}
}

// mtlsServer answers with the subject, or with the error.
func mtlsServer(t *testing.T, ca *testCA, mode tls.ClientAuthType, h2 bool) *httptest.Server {
	t.Helper()
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{prodDomain}, DN: true})
	pool := x509.NewCertPool()
	pool.AddCert(ca.cert)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p, err := m.Authenticate(r.Context(), Credentials{TLS: r.TLS})
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, p.Subject)
	}))
	srv.EnableHTTP2 = h2
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // handshakes that fail
	srv.TLS = &tls.Config{ClientCAs: pool, ClientAuth: mode}
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

// Real handshakes, over HTTP/1.1 and HTTP/2.
func TestMTLSOverTheWire(t *testing.T) {
	ca, foreign := newTestCA(t, "CA"), newTestCA(t, "CA")
	good, forged := ca.client(t, nil, aliceID), foreign.client(t, nil, aliceID)
	tampered := good // the certificate of one, the key of another
	tampered.PrivateKey = newTestKey(t)
	altered := good // another name in it
	altered.Certificate = [][]byte{[]byte(strings.Replace(string(good.Certificate[0]), "alice", "admin", 1))}
	altered.Leaf = nil
	expired := ca.client(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Second) }, aliceID)
	serverOnly := ca.client(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} }, aliceID)
	const ifGiven, request = tls.VerifyClientCertIfGiven, tls.RequestClientCert
	for name, tt := range map[string]struct {
		mode   tls.ClientAuthType
		cert   *tls.Certificate
		status int // 0: no connection
		body   string
	}{
		"good":                      {ifGiven, &good, 200, aliceID},
		"good and required":         {tls.RequireAndVerifyClientCert, &good, 200, aliceID},
		"none":                      {ifGiven, nil, 401, ErrNoCredential.Error()},
		"another CA's":              {ifGiven, &forged, 0, ""},
		"without its key":           {ifGiven, &tampered, 0, ""},
		"altered":                   {ifGiven, &altered, 0, ""},
		"expired":                   {ifGiven, &expired, 0, ""},
		"a server's":                {ifGiven, &serverOnly, 0, ""},
		"unverified":                {request, &good, 401, "did not verify"},
		"unverified, another CA's":  {request, &forged, 401, "did not verify"},
		"unverified, altered":       {request, &altered, 401, "did not verify"},
		"any is required, unlooked": {tls.RequireAnyClientCert, &forged, 401, "did not verify"},
	} {
		for _, h2 := range []bool{false, true} {
			srv := mtlsServer(t, ca, tt.mode, h2)
			client := srv.Client()
			if tt.cert != nil {
				cert := *tt.cert
				client.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
					return &cert, nil
				}
			}
			resp, err := client.Get(srv.URL)
			if tt.status == 0 {
				if err == nil {
					resp.Body.Close()
					t.Errorf("%s, HTTP/2 %v: connected", name, h2)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, HTTP/2 %v: %v", name, h2, err)
				continue
			}
			body, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if resp.StatusCode != tt.status || !strings.Contains(string(body), tt.body) || (resp.ProtoMajor == 2) != h2 {
				t.Errorf("%s, HTTP/2 %v: %s %s", name, h2, resp.Status, body)
			}
		}
	}
}

// One Principal, and the ID's text.
func TestMTLSAllocates(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	leaf := newTestCA(t, "CA").client(t, nil, aliceID).Leaf
	m := mustMTLS(t, MTLSConfig{TrustDomains: []string{prodDomain}})
	c, ctx := Credentials{TLS: verifiedState(leaf), At: time.Now()}, t.Context()
	if n := testing.AllocsPerRun(100, func() {
		if _, err := m.Authenticate(ctx, c); err != nil {
			t.Fatal(err)
		}
	}); n > 2 {
		t.Errorf("%v allocations", n)
	}
}
