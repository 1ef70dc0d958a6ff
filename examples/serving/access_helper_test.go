package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// cheapHash is password's Argon2id hash, at hardly any cost.
func cheapHash(password string) string {
	salt := []byte("salt of " + password)
	encoding := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=19$m=64,t=1,p=1$%s$%s", encoding.EncodeToString(salt),
		encoding.EncodeToString(argon2.IDKey([]byte(password), salt, 1, 64, 1, 32)))
}

const testPolicy = `{
	"version": 1,
	"roles": {
		"analyst": {"allow": [{"actions": ["read", "predict"], "resources": ["digits-small"]}]},
		"operator": {"allow": [{"actions": ["*"], "resources": ["**"]}]},
		"scoped": {"allow": [{"actions": ["predict"], "resources": ["**"], "scopes": ["models:predict"]}]}
	}
}`

// secured is a service with authentication, and its files.
type secured struct {
	t    *testing.T
	dir  string
	s    *service
	h    http.Handler
	log  *lockedBuffer
	key  string // an operator's API key
	from string // the address that requests come from
}

// write replaces a file as a mounted secret is replaced, at once.
func (c *secured) write(name, content string) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		c.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		c.t.Fatal(err)
	}
	return path
}

func usersFile(names ...string) string {
	var b strings.Builder
	for _, name := range names {
		name, role, _ := strings.Cut(name, ":")
		fmt.Fprintf(&b, `, %q: {"password": %q, "roles": [%q]}`, name, cheapHash("password of "+name), role)
	}
	return "{" + strings.TrimPrefix(b.String(), ", ") + "}"
}

func keysFile(keys ...string) string {
	var b strings.Builder
	for _, key := range keys {
		fmt.Fprintf(&b, `, {"sha256": "%x", "owner": "ci", "id": "k", "roles": ["operator"]}`, auth.HashAPIKey(key))
	}
	return "[" + strings.TrimPrefix(b.String(), ", ") + "]"
}

// newSecured starts a service with users alice (analyst) and olga (operator).
func newSecured(t *testing.T, args ...string) *secured {
	t.Helper()
	c := &secured{t: t, dir: t.TempDir(), key: auth.GenerateAPIKey(keyPrefix), from: "192.0.2.1"}
	c.s, c.log = newTestService(t, append([]string{
		"-auth-users", c.write("users.json", usersFile("alice:analyst", "olga:operator")),
		"-auth-api-keys", c.write("keys.json", keysFile(c.key)),
		"-auth-policy", c.write("policy.json", testPolicy),
	}, args...)...)
	c.h = c.s.handler()
	return c
}

type tokens struct {
	Access    string `json:"access_token"`
	Type      string `json:"token_type"`
	ExpiresIn int    `json:"expires_in"`
	Refresh   string `json:"refresh_token"`
}

// do asks, with header fields as pairs.
func (c *secured) do(method, path, body string, header ...string) *http.Response {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader(body))
	r.RemoteAddr = c.from + ":1234"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	c.h.ServeHTTP(w, r)
	return w.Result()
}

func (c *secured) login(name, password string) (*http.Response, tokens) {
	c.t.Helper()
	body, err := json.Marshal(map[string]string{"username": name, "password": password})
	if err != nil {
		c.t.Fatal(err)
	}
	return c.tokens(c.do("POST", "/auth/login", string(body)))
}

func (c *secured) tokens(resp *http.Response) (*http.Response, tokens) {
	c.t.Helper()
	var got tokens
	if resp.StatusCode == 200 {
		if err := json.Unmarshal([]byte(read(c.t, resp)), &got); err != nil {
			c.t.Fatal(err)
		}
	}
	return resp, got
}

// mustLogin is for users whose password is "password of " and their name.
func (c *secured) mustLogin(name string) tokens {
	c.t.Helper()
	resp, got := c.login(name, "password of "+name)
	if resp.StatusCode != 200 {
		c.t.Fatalf("%s cannot log in: %d %s", name, resp.StatusCode, read(c.t, resp))
	}
	return got
}

// predict asks for a prediction and checks the status.
func (c *secured) predict(want int, model string, header ...string) *http.Response {
	c.t.Helper()
	body := string(requestBody(model, make([]float32, digits.InputSize)))
	resp := c.do("POST", "/predict", body, header...)
	if resp.StatusCode != want {
		c.t.Errorf("%s: %d, not %d: %s", model, resp.StatusCode, want, read(c.t, resp))
	}
	return resp
}

func bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }
