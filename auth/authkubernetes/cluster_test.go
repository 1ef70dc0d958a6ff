package authkubernetes_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// A cluster is a real API server of the test's own, and its etcd.
type cluster struct {
	url       string // also its tokens' issuer
	ca        []byte
	admin     *http.Client // who may do everything
	apiserver *exec.Cmd
}

// startCluster starts both programs, and ends them when the test ends. They are in the
// folder that BALLAST_KUBE names; without it the test is skipped. make integration
// builds them first.
func startCluster(t *testing.T) *cluster {
	t.Helper()
	bin := os.Getenv("BALLAST_KUBE")
	if bin == "" {
		t.Skip("BALLAST_KUBE names no folder with etcd and kube-apiserver: make integration does")
	}
	dir, ports := t.TempDir(), freePorts(t, 3)
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	etcd, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	start(t, filepath.Join(bin, "etcd"), file("etcd.log", nil), "--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls="+etcd, "--advertise-client-urls="+etcd, "--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer, "--initial-cluster=default="+peer, "--unsafe-no-fsync")

	c := &cluster{url: "https://127.0.0.1:" + ports[2]}
	ca, cert, key := certificates(t)
	c.ca = ca
	signing, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	keyFile := file("sa.key", pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(signing)}))
	log := file("apiserver.log", nil)
	c.apiserver = start(t, filepath.Join(bin, "kube-apiserver"), log, "--etcd-servers="+etcd,
		"--bind-address=127.0.0.1", "--secure-port="+ports[2], "--cert-dir="+filepath.Join(dir, "certs"),
		"--tls-cert-file="+file("tls.crt", cert), "--tls-private-key-file="+file("tls.key", key),
		"--service-account-issuer="+c.url, "--service-account-jwks-uri="+c.url+"/openid/v1/jwks",
		"--service-account-key-file="+keyFile, "--service-account-signing-key-file="+keyFile,
		"--token-auth-file="+file("tokens.csv", []byte(`admin-token,admin,1,"system:masters"`)),
		"--authorization-mode=RBAC", "--service-cluster-ip-range=10.0.0.0/24",
		// No controller makes a default service account for the pods here.
		"--disable-admission-plugins=ServiceAccount")

	config := c.rest("admin-token")
	transport, err := rest.TransportFor(config)
	if err != nil {
		t.Fatal(err)
	}
	c.admin = &http.Client{Transport: transport, Timeout: 30 * time.Second}
	eventually(t, "the API server is ready", func() error {
		res, err := c.admin.Get(c.url + "/readyz")
		if err != nil {
			return fmt.Errorf("%w; its log ends with:\n%s", err, tail(log))
		}
		defer res.Body.Close()
		if text, _ := io.ReadAll(res.Body); res.StatusCode != http.StatusOK {
			return fmt.Errorf("%d %s", res.StatusCode, text)
		}
		return nil
	})
	return c
}

// start starts a program, and kills it when the test ends.
func start(t *testing.T, path, log string, args ...string) *exec.Cmd {
	t.Helper()
	out, err := os.OpenFile(log, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	cmd := exec.Command(path, args...)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGCONT)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return cmd
}

// freePorts returns ports of the loopback that nobody listens at.
func freePorts(t *testing.T, n int) (ports []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		_, port, _ := net.SplitHostPort(l.Addr().String())
		ports = append(ports, port)
	}
	return ports
}

// certificates returns an authority, and a server's certificate and key, in PEM.
func certificates(t *testing.T) (ca, cert, key []byte) {
	t.Helper()
	issue := func(template, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) []byte {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	}
	var keys [2]*ecdsa.PrivateKey
	for i := range keys {
		var err error
		if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
			t.Fatal(err)
		}
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "kube-apiserver"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	ca = issue(root, root, &keys[0].PublicKey, keys[0])
	cert = issue(leaf, root, &keys[1].PublicKey, keys[0])
	der, err := x509.MarshalECPrivateKey(keys[1])
	if err != nil {
		t.Fatal(err)
	}
	return ca, cert, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})
}

// eventually waits until f returns nil, for three minutes at most: a busy machine takes its time.
func eventually(t *testing.T, what string, f func() error) {
	t.Helper()
	deadline := time.After(3 * time.Minute)
	for {
		err := f()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("%s: not in three minutes: %v", what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail returns the end of a file.
func tail(path string) string {
	text, _ := os.ReadFile(path)
	return string(text[max(0, len(text)-2000):])
}

// rest returns how to ask the API server with a token.
func (c *cluster) rest(token string) *rest.Config {
	return &rest.Config{Host: c.url, BearerToken: token, TLSClientConfig: rest.TLSClientConfig{CAData: c.ca}}
}

// client returns how package authkubernetes asks as a service account.
func (c *cluster) client(t *testing.T, namespace, name string) authkubernetes.Client {
	return authkubernetes.Client{REST: c.rest(c.token(t, namespace, name))}
}

// do asks the API server as an administrator, and decodes the answer into out unless
// that is nil.
func (c *cluster) do(t *testing.T, method, path, contentType string, body []byte, out any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.url+path, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	res, err := c.admin.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		t.Fatalf("%s %s: %d %s %v", method, path, res.StatusCode, text, err)
	}
	if out != nil {
		if err := json.Unmarshal(text, out); err != nil {
			t.Fatal(err)
		}
	}
}

// apply creates what a document in YAML has.
func (c *cluster) apply(t *testing.T, path, document string) {
	t.Helper()
	c.do(t, http.MethodPost, path, "application/yaml", []byte(document), nil)
}

// token asks for one of a service account, for the API server itself or else for
// audiences.
func (c *cluster) token(t *testing.T, namespace, name string, audiences ...string) string {
	t.Helper()
	request := authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}
	body, err := json.Marshal(request)
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/api/v1/namespaces/%s/serviceaccounts/%s/token", namespace, name)
	c.do(t, http.MethodPost, path, "application/json", body, &request)
	if strings.Count(request.Status.Token, ".") != 2 {
		t.Fatalf("the token of %s has %d dots", name, strings.Count(request.Status.Token, "."))
	}
	return request.Status.Token
}
