package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// The guide's flow over real connections, with files that change.
func TestAuthenticationEndToEnd(t *testing.T) {
	c := &secured{t: t, dir: t.TempDir(), key: auth.GenerateAPIKey(keyPrefix)}
	r := start(t, "-drain-delay=0", "-auth-reload=100ms", "-auth-token-ttl=1m", "-rate-limit=0",
		"-auth-users", c.write("users.json", usersFile("alice:operator")),
		"-auth-api-keys", c.write("keys.json", keysFile(c.key)),
		"-auth-policy", c.write("policy.json", testPolicy))
	until(t, "it is ready", func() bool { return strings.Contains(get(t, r.url+"/readyz"), `"healthy"`) })
	seven, err := os.ReadFile("testdata/seven.json")
	if err != nil {
		t.Fatal(err)
	}
	post := func(path, body string, header ...string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), "POST", r.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	want := func(what string, status int, path, body string, header ...string) string {
		t.Helper()
		got, text := post(path, body, header...)
		if got != status {
			t.Fatalf("%s: %d %s", what, got, text)
		}
		return text
	}

	want("no credential", 401, "/predict", string(seven))
	want("a wrong password", 401, "/auth/login", `{"username": "alice", "password": "wrong"}`)
	want("an unknown user", 401, "/auth/login", `{"username": "eve", "password": "password of alice"}`)
	var alice tokens
	text := want("login", 200, "/auth/login", `{"username": "alice", "password": "password of alice"}`)
	if err := json.Unmarshal([]byte(text), &alice); err != nil || alice.ExpiresIn != 60 {
		t.Fatalf("%+v %v", alice, err)
	}
	if got := want("a token", 200, "/predict", string(seven), bearer(alice.Access)...); !strings.Contains(got, `"class":7`) {
		t.Errorf("the answer is %s", got)
	}
	want("a key", 200, "/predict", string(seven), "X-API-Key", c.key)
	want("refresh", 200, "/auth/refresh", `{"refresh_token": "`+alice.Refresh+`"}`)

	c.write("keys.json", keysFile(auth.GenerateAPIKey(keyPrefix)))
	until(t, "the key is gone", func() bool {
		status, _ := post("/predict", string(seven), "X-API-Key", c.key)
		return status == 401
	})
	c.write("users.json", usersFile("bob:operator"))
	until(t, "alice's token is revoked", func() bool {
		status, _ := post("/predict", string(seven), bearer(alice.Access)...)
		return status == 401
	})
	r.stop()
	if code := <-r.code; code != 0 {
		t.Errorf("exit code %d", code)
	}
}
