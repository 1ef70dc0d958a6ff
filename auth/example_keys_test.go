package auth_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// A key is made once and shown to its owner; the service keeps its hash alone.
func ExampleNewAPIKeys() {
	key := auth.GenerateAPIKey("sk_live_")
	keys, err := auth.NewAPIKeys(auth.APIKeysConfig{
		Prefix: "sk_live_",
		Keys:   []auth.APIKey{{Hash: auth.HashAPIKey(key), ID: "ci-2026", Owner: "ci", Roles: []string{"predictor"}}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := keys.Authenticate(context.Background(), auth.Credentials{APIKey: key})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(p.Subject, p.Roles, p.Claims["key_id"])

	// A new set takes its place at once, as when a secret has changed.
	if err := keys.Replace(nil); err != nil {
		fmt.Println(err)
	}
	_, err = keys.Authenticate(context.Background(), auth.Credentials{APIKey: key})
	fmt.Println(errors.Is(err, auth.ErrInvalid))
	// Output:
	// ci [predictor] ci-2026
	// true
}

// Keys as a mounted secret has them.
func ExampleParseAPIKeys() {
	keys, err := auth.ParseAPIKeys([]byte(`[
		{"sha256": "2c70e12b7a0646f92279f427c7b38e7334d8e5389cff167a1dc30e73f826b683", "owner": "ci", "expires_at": "2099-01-01T00:00:00Z"}
	]`))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(len(keys), keys[0].Owner, keys[0].Hash == auth.HashAPIKey("key"))
	// Output: 1 ci true
}

// Clients are workloads of the mesh by their SPIFFE ID.
func ExampleNewMTLS() {
	mesh, err := auth.NewMTLS(auth.MTLSConfig{TrustDomains: []string{"prod.example.org"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ca, err := os.ReadFile("/run/spire/bundle.pem")
	if err != nil {
		fmt.Println(err)
		return
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)

	server := &http.Server{
		Handler: auth.Middleware(mesh, auth.MiddlewareConfig{})(http.NotFoundHandler()),
		// The handshake verifies; without ClientAuth there would be nothing to trust.
		TLSConfig:         &tls.Config{ClientCAs: pool, ClientAuth: tls.VerifyClientCertIfGiven},
		ReadHeaderTimeout: 5 * time.Second,
	}
	fmt.Println(server.ListenAndServeTLS("server.pem", "server.key"))
}

// Calls with the token of a Kubernetes service account, which is read anew
// every minute, and when a peer has rejected it.
func ExampleNewTransport() {
	peer := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Header.Get("Authorization"))
	}))
	defer peer.Close()

	file, err := os.CreateTemp("", "token") // /var/run/secrets/tokens/peer, in a pod
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, _ = file.WriteString("abc.def.ghi\n")
	_ = file.Close()

	source, err := auth.NewReuse(auth.FileTokenSource(file.Name()), auth.ReuseConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = source.Close(context.Background()) }()
	client := &http.Client{
		Transport: auth.NewTransport(http.DefaultTransport, source, auth.TransportConfig{}),
		Timeout:   5 * time.Second,
	}
	resp, err := client.Get(peer.URL) // localhost: elsewhere it must be https
	if err != nil {
		fmt.Println(err)
		return
	}
	_ = resp.Body.Close()
	// Output: Bearer abc.def.ghi
}
