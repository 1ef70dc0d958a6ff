package authkubernetes_test

import (
	"context"
	"errors"
	"fmt"
	"go/doc/comment"
	"go/parser"
	gotoken "go/token"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// documents returns the YAML of the package comment, by kind.
func documents(t *testing.T) map[string]string {
	t.Helper()
	file, err := parser.ParseFile(gotoken.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]string)
	for _, block := range new(comment.Parser).Parse(file.Doc.Text()).Content {
		code, ok := block.(*comment.Code)
		if !ok || !strings.HasPrefix(code.Text, "apiVersion:") {
			continue
		}
		for line := range strings.Lines(code.Text) {
			if kind, ok := strings.CutPrefix(line, "kind: "); ok {
				found[strings.TrimSpace(kind)] = code.Text
			}
		}
	}
	return found
}

// A service as the package comment describes it, in a real cluster.
func TestCluster(t *testing.T) {
	c := startCluster(t)
	docs := documents(t)
	c.apply(t, "/api/v1/namespaces", "metadata: {name: serving}")
	for _, name := range []string{"model-server", "client", "temporary"} {
		c.apply(t, "/api/v1/namespaces/serving/serviceaccounts", "metadata: {name: "+name+"}")
	}
	own := c.client(t, "serving", "model-server")

	t.Run("without rights", func(t *testing.T) {
		a := authenticator(t, authkubernetes.Config{Client: own})
		err := try(a, c.token(t, "serving", "client", audience))
		wantUnavailable(t, err, time.Second)
		if !strings.Contains(err.Error(), "system:auth-delegator") {
			t.Errorf("it does not say what is missing: %v", err)
		}
	})
	c.apply(t, "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", docs["ClusterRoleBinding"])
	eventually(t, "the service may ask", func() error {
		return try(authenticator(t, authkubernetes.Config{Client: own}), c.token(t, "serving", "client", audience))
	})

	t.Run("tokens", func(t *testing.T) { testTokens(t, c, own) })
	t.Run("the pod of the package comment", func(t *testing.T) {
		c.apply(t, "/api/v1/namespaces/serving/pods?dryRun=All&fieldValidation=Strict", docs["Pod"])
	})
	t.Run("RBAC", func(t *testing.T) { testRBAC(t, c, own, docs) })
	t.Run("paths", func(t *testing.T) { testPaths(t, c, own) })
	t.Run("a deleted service account", func(t *testing.T) { testDeleted(t, c, own) })
	t.Run("verified without a review", func(t *testing.T) { testPublishedKeys(t, c) })
	t.Run("outage", func(t *testing.T) { testOutage(t, c, own) })
}

func testTokens(t *testing.T, c *cluster, own authkubernetes.Client) {
	a := authenticator(t, authkubernetes.Config{Client: own, Issuers: []string{c.url}, RefusedTTL: -1})
	good := c.token(t, "serving", "client", "unknown.example.org", audience)
	p, err := a.Authenticate(t.Context(), auth.Credentials{Token: good})
	if err != nil {
		t.Fatal(err)
	}
	if p.Subject != "system:serviceaccount:serving:client" || p.Issuer != "kubernetes" || p.Method != auth.MethodKubernetes {
		t.Errorf("it is %+v", p)
	}
	for _, group := range []string{"system:serviceaccounts", "system:serviceaccounts:serving", "system:authenticated"} {
		if !slices.Contains(p.Roles, group) {
			t.Errorf("groups %q lack %s", p.Roles, group)
		}
	}
	if uid, _ := p.Claims["uid"].(string); len(uid) != 36 {
		t.Errorf("uid is %q", uid)
	}
	extra, _ := p.Claims["extra"].(map[string]any)
	if id, _ := extra["authentication.kubernetes.io/credential-id"].([]any); len(id) != 1 {
		t.Errorf("extra is %v", extra)
	}
	if left := time.Until(p.ExpiresAt); left < 50*time.Minute || left > time.Hour {
		t.Errorf("it expires in %v", left)
	}

	cut := strings.LastIndexByte(good, '.') + 1
	forged := good[:cut] + strings.Repeat("A", len(good)-cut)
	other := authenticator(t, authkubernetes.Config{Client: own, Audiences: []string{"other.example.org"}})
	for name, refused := range map[string]struct {
		a     auth.Authenticator
		token string
	}{
		"for the API server": {a, c.token(t, "serving", "client")},
		"for another":        {a, c.token(t, "serving", "client", "unknown.example.org")},
		"here for us only":   {other, good},
		"forged":             {a, forged},
		"unsigned":           {a, good[:cut] + "AA"},
	} {
		err := try(refused.a, refused.token)
		if !errors.Is(err, auth.ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
		for part := range strings.SplitSeq(refused.token, ".") {
			if strings.Contains(fmt.Sprint(err), part) {
				t.Errorf("%s: the error has a part of the token: %v", name, err)
			}
		}
	}
	if err := try(a, token(map[string]any{"iss": "https://idp.example.org", "sub": "x"})); !errors.Is(err, auth.ErrNoCredential) {
		t.Errorf("another issuer's: %v", err)
	}
}

func testRBAC(t *testing.T, c *cluster, own authkubernetes.Client, docs map[string]string) {
	config := authkubernetes.AuthorizerConfig{
		Client: own, Group: "serving.example.org", Resource: "models", Namespace: "serving",
		AllowedTTL: time.Second, DeniedTTL: -1,
	}
	z := authorizer(t, config)
	a := authenticator(t, authkubernetes.Config{Client: own})
	p, err := a.Authenticate(t.Context(), auth.Credentials{Token: c.token(t, "serving", "client", audience)})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Authorize(t.Context(), p, "predict", "digits"); !errors.Is(err, auth.ErrForbidden) {
		t.Fatalf("without a role: %v", err)
	}
	const group = "/apis/rbac.authorization.k8s.io/v1/namespaces/serving/"
	c.apply(t, group+"roles", docs["Role"])
	c.apply(t, group+"rolebindings", docs["RoleBinding"])
	eventually(t, "the role shows", func() error { return z.Authorize(t.Context(), p, "predict", "digits") })
	rule, err := z.Decide(t.Context(), p, "predict", "digits")
	if err != nil || !strings.Contains(rule, `RoleBinding "digits-client/serving"`) {
		t.Errorf("%q, %v", rule, err)
	}

	config.Namespace = "default"
	elsewhere := authorizer(t, config)
	jwt := *p
	jwt.Method = auth.MethodJWT
	for name, forbidden := range map[string]struct {
		z                *authkubernetes.Authorizer
		p                *auth.Principal
		action, resource string
	}{
		"another model":     {z, p, "predict", "letters"},
		"another verb":      {z, p, "train", "digits"},
		"all models":        {z, p, "predict", "*"},
		"all verbs":         {z, p, "*", "digits"},
		"another namespace": {elsewhere, p, "predict", "digits"},
		"a JWT's subject":   {z, &jwt, "predict", "digits"},
	} {
		if err := forbidden.z.Authorize(t.Context(), forbidden.p, forbidden.action, forbidden.resource); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
	}

	c.do(t, http.MethodDelete, group+"rolebindings/digits-client", "application/json", nil, nil)
	eventually(t, "the role is gone", func() error {
		if err := z.Authorize(t.Context(), p, "predict", "digits"); !errors.Is(err, auth.ErrForbidden) {
			return fmt.Errorf("still %v", err)
		}
		return nil
	})
}

func testPaths(t *testing.T, c *cluster, own authkubernetes.Client) {
	const group = "/apis/rbac.authorization.k8s.io/v1/"
	c.apply(t, group+"clusterroles", `
metadata: {name: metrics-reader}
rules:
- nonResourceURLs: [/metrics, /debug/*]
  verbs: [get]
`)
	c.apply(t, group+"clusterrolebindings", `
metadata: {name: metrics-reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: metrics-reader}
subjects:
- {kind: ServiceAccount, name: client, namespace: serving}
`)
	p := &auth.Principal{Subject: "system:serviceaccount:serving:client", Issuer: "kubernetes", Method: auth.MethodKubernetes}
	z := authorizer(t, authkubernetes.AuthorizerConfig{Client: own, Attributes: authkubernetes.Paths, DeniedTTL: -1})
	for _, path := range []string{"/metrics", "/debug/pprof"} {
		eventually(t, path, func() error { return z.Authorize(t.Context(), p, "get", path) })
	}
	for action, path := range map[string]string{"post": "/metrics", "get": "/secret"} {
		if err := z.Authorize(t.Context(), p, action, path); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s %s: %v", action, path, err)
		}
	}
}

func testDeleted(t *testing.T, c *cluster, own authkubernetes.Client) {
	a := authenticator(t, authkubernetes.Config{Client: own, CacheTTL: 2 * time.Second, RefusedTTL: -1})
	tok := c.token(t, "serving", "temporary", audience)
	if err := try(a, tok); err != nil {
		t.Fatal(err)
	}
	c.do(t, http.MethodDelete, "/api/v1/namespaces/serving/serviceaccounts/temporary", "application/json", nil, nil)
	eventually(t, "the token is refused", func() error {
		if err := try(a, tok); !errors.Is(err, auth.ErrInvalid) {
			return fmt.Errorf("still %v", err)
		}
		return nil
	})
}

// The same token, from a file as a pod has it, by the keys that the cluster publishes.
func testPublishedKeys(t *testing.T, c *cluster) {
	tok := c.token(t, "serving", "client", audience)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(tok+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := auth.FileTokenSource(file).Token(t.Context())
	if err != nil || source.Value != tok {
		t.Fatalf("the file has another token: %v", err)
	}
	// Any service account may read the keys, and nobody without a token.
	client, err := rest.HTTPClientFor(c.rest(c.token(t, "serving", "model-server")))
	if err != nil {
		t.Fatal(err)
	}
	for name, config := range map[string]authjwt.JWKSConfig{
		"discovery": {Discovery: c.url, Client: client},
		"URL":       {URL: c.url + "/openid/v1/jwks", Client: client},
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := authjwt.NewJWKS(config)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := keys.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			verify := func(audience string) (*auth.Principal, error) {
				v, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
					Issuers: []string{c.url}, Audiences: []string{audience}, Keys: keys,
				}}})
				if err != nil {
					t.Fatal(err)
				}
				return v.Authenticate(t.Context(), auth.Credentials{Token: source.Value})
			}
			p, err := verify(audience)
			if err != nil || p.Subject != "system:serviceaccount:serving:client" || p.Issuer != c.url {
				t.Errorf("%+v, %v", p, err)
			}
			if _, err := verify("other.example.org"); !errors.Is(err, auth.ErrInvalid) {
				t.Errorf("for another audience: %v", err)
			}
		})
	}
}

// An API server that has stopped with its connections open, and then is gone.
func testOutage(t *testing.T, c *cluster, own authkubernetes.Client) {
	own.Timeout = time.Second
	remembers := authenticator(t, authkubernetes.Config{Client: own, CacheTTL: 5 * time.Minute})
	asks := authenticator(t, authkubernetes.Config{Client: own, CacheTTL: -1, RefusedTTL: -1})
	tok := c.token(t, "serving", "client", audience)
	if err := try(remembers, tok); err != nil {
		t.Fatal(err)
	}
	signal := func(s syscall.Signal) {
		if err := c.apiserver.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	down := func(what string) {
		t.Helper()
		// Threads that run go on for a while after the signal was sent.
		eventually(t, what, func() error {
			if err := try(asks, tok); !errors.Is(err, auth.ErrUnavailable) {
				return fmt.Errorf("it answers: %v", err)
			}
			return nil
		})
		if err := try(remembers, tok); err != nil {
			t.Errorf("%s: who is remembered: %v", what, err)
		}
	}
	signal(syscall.SIGSTOP)
	down("it has stopped")
	signal(syscall.SIGCONT)
	eventually(t, "it answers again", func() error { return try(asks, tok) })
	signal(syscall.SIGKILL)
	down("it is gone")
}
