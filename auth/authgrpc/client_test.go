package authgrpc_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authgrpc"
)

// source gives one token, or fails.
func source(token string, err error) auth.TokenSource {
	return auth.TokenSourceFunc(func(context.Context) (auth.Token, error) { return auth.Token{Value: token}, err })
}

// rotating gives out a token until it is told of it, and then the next.
type rotating struct {
	mu     sync.Mutex
	tokens []string
}

func (r *rotating) Token(context.Context) (auth.Token, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return auth.Token{Value: r.tokens[0]}, nil
}

func (r *rotating) Invalidate(value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if value == r.tokens[0] {
		r.tokens = r.tokens[1:]
	}
}

// As a connection's stats.Handler the credentials replace a token that was refused.
func TestCredentialsInvalidate(t *testing.T) {
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			src := &rotating{tokens: []string{"down", "revoked", "good"}}
			creds := authgrpc.NewCredentials(src, authgrpc.CredentialsConfig{InsecureAllowPlaintext: true})
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
				grpc.WithPerRPCCredentials(creds), grpc.WithStatsHandler(creds))
			refused := call
			if kind == "stream" {
				// Of one that notices while it sends, stats.End has no error: see Credentials.
				refused = func(ctx context.Context, cc *grpc.ClientConn, _ int64) (a answer) {
					stream, err := cc.NewStream(ctx, &streamDesc, streamMethod)
					if err != nil {
						return answer{err: err}
					}
					_, a.err = receive(stream)
					a.trailer = stream.Trailer()
					return a
				}
			}
			for range 2 { // that a server cannot tell is no reason to ask for another
				outcome{code: codes.Unavailable, reason: "AUTH_UNAVAILABLE", later: true}.check(t, "down", refused(t.Context(), cc, 0))
			}
			src.Invalidate("down")
			outcome{code: codes.Unauthenticated, reason: "INVALID_CREDENTIAL"}.check(t, "revoked", refused(t.Context(), cc, 0))
			if a := call(t.Context(), cc, 0); a.n != 1 || a.err != nil {
				t.Errorf("%+v", a)
			}
		})
	}
	// A source that nobody can tell, and a call that had no token.
	for name, src := range map[string]auth.TokenSource{"deaf": source("bad", nil), "failing": &failing{t: t}} {
		bubble(t, name, func(t *testing.T) {
			creds := authgrpc.NewCredentials(src, authgrpc.CredentialsConfig{InsecureAllowPlaintext: true})
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}),
				grpc.WithPerRPCCredentials(creds), grpc.WithStatsHandler(creds))
			if a := callUnary(t.Context(), cc, 0); status.Code(a.err) != codes.Unauthenticated {
				t.Errorf("%+v", a)
			}
		})
	}
}

// failing has no token, and nothing to be told of.
type failing struct{ t *testing.T }

func (*failing) Token(context.Context) (auth.Token, error) { return auth.Token{}, errors.New("none") }
func (f *failing) Invalidate(value string)                 { f.t.Errorf("invalidated %q", value) }

func TestCredentials(t *testing.T) {
	plain := authgrpc.CredentialsConfig{InsecureAllowPlaintext: true}
	for kind, call := range kinds {
		bubble(t, kind, func(t *testing.T) {
			cc := serve(t, whoami, intercept(auth.AuthenticatorFunc(tokens), authgrpc.ServerConfig{}))
			with := func(src auth.TokenSource) answer {
				return callWith(t, call, cc, grpc.PerRPCCredentials(authgrpc.NewCredentials(src, plain)))
			}
			if a := with(source("good", nil)); a.err != nil || a.n != 1 {
				t.Errorf("%+v", a)
			}
			if a := with(source("a,b", nil)); !strings.Contains(a.err.Error(), "The credential is not valid.") {
				t.Errorf("a comma is the server's to refuse, as over HTTP: %v", a.err)
			}
			for name, tt := range map[string]struct {
				src  auth.TokenSource
				code codes.Code
			}{
				"bad":       {source(secret, nil), codes.Unauthenticated},
				"empty":     {source("", nil), codes.Unauthenticated},
				"line end":  {source("a\nb"+secret, nil), codes.Unauthenticated},
				"not ASCII": {source("é"+secret, nil), codes.Unauthenticated},
				"fails":     {source("", errors.New("no such file")), codes.Unauthenticated},
				"later":     {source("", limitedError{time.Second}), codes.Unavailable},
			} {
				if a := with(tt.src); status.Code(a.err) != tt.code || name != "later" && strings.Contains(a.err.Error(), secret) {
					t.Errorf("%s: %v", name, a.err)
				}
			}
		})
	}
	c := authgrpc.NewCredentials(source("good", nil), authgrpc.CredentialsConfig{})
	if !c.RequireTransportSecurity() {
		t.Error("the token is sent in plain text")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := authgrpc.NewCredentials(source("", context.Canceled), plain).GetRequestMetadata(ctx); status.Code(err) != codes.Canceled {
		t.Error(err)
	}
}

// callWith makes a call of a kind with an option.
func callWith(t *testing.T, call func(context.Context, *grpc.ClientConn, int64) answer, cc *grpc.ClientConn, opt grpc.CallOption) answer {
	return call(withOption(t.Context(), opt), cc, 0)
}

type optionKey struct{}

func withOption(ctx context.Context, opt grpc.CallOption) context.Context {
	return context.WithValue(ctx, optionKey{}, opt)
}

// options are those of ctx.
func options(ctx context.Context, more ...grpc.CallOption) []grpc.CallOption {
	if opt, ok := ctx.Value(optionKey{}).(grpc.CallOption); ok {
		return append(more, opt)
	}
	return more
}

// A client certificate that the handshake has verified, over a real connection.
func TestServerMTLS(t *testing.T) {
	ca, caKey := certificate(t, &x509.Certificate{IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil, nil)
	pool := x509.NewCertPool()
	pool.AddCert(ca.Leaf)
	id := &url.URL{Scheme: "spiffe", Host: "prod.example", Path: "/worker"}
	client, _ := certificate(t, &x509.Certificate{URIs: []*url.URL{id}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, KeyUsage: x509.KeyUsageDigitalSignature}, ca.Leaf, caKey)
	server, _ := certificate(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, KeyUsage: x509.KeyUsageDigitalSignature}, ca.Leaf, caKey)

	mtls, err := auth.NewMTLS(auth.MTLSConfig{TrustDomains: []string{"prod.example"}})
	if err != nil {
		t.Fatal(err)
	}
	subject := ""
	f := numbers{unary: func(ctx context.Context, n int64) (int64, error) {
		if p, ok := auth.PrincipalFromContext(ctx); ok {
			subject = p.Subject
		}
		return n, nil
	}}
	s := grpc.NewServer(append(intercept(mtls, authgrpc.ServerConfig{}), grpc.Creds(credentials.NewTLS(&tls.Config{
		Certificates: []tls.Certificate{server}, ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven, MinVersion: tls.VersionTLS13,
	})))...)
	f.register(s)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Stop()
		if err := <-served; err != nil {
			t.Error(err)
		}
	})
	dial := func(certs ...tls.Certificate) answer {
		cc, err := grpc.Dial(l.Addr().String(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: pool, Certificates: certs, MinVersion: tls.VersionTLS13})))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cc.Close() }()
		return callUnary(t.Context(), cc, 3)
	}
	if a := dial(client); a.err != nil || subject != id.String() {
		t.Errorf("%v, of %q", a.err, subject)
	}
	outcome{code: codes.Unauthenticated, reason: "NO_CREDENTIAL"}.check(t, "no certificate", dial())
}

// certificate makes one from a template, signed by a parent or by itself.
func certificate(t *testing.T, template, parent *x509.Certificate, parentKey *ecdsa.PrivateKey) (tls.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	template.Subject = pkix.Name{CommonName: "test"}
	template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	if parent == nil {
		parent, parentKey = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, key
}
