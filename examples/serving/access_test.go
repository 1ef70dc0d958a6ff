package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// The guide's flow: log in, predict.
func TestLoginAndPredict(t *testing.T) {
	c := newSecured(t)
	resp, alice := c.login("alice", "password of alice")
	if resp.StatusCode != 200 || alice.Type != "Bearer" || alice.ExpiresIn != 900 || alice.Access == "" || alice.Refresh == "" ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("%d %v %+v", resp.StatusCode, resp.Header, alice)
	}
	c.predict(200, digits.Small, bearer(alice.Access)...)
	c.predict(403, digits.Large, bearer(alice.Access)...)
	c.predict(403, "", bearer(alice.Access)...) // which is the default model
	resp = c.predict(403, "none", bearer(alice.Access)...)
	if body := read(t, resp); !strings.Contains(body, `"reason":"forbidden"`) || resp.Header.Get("Content-Type") != problemJSON {
		t.Errorf("403 is %s", body)
	}
	olga := c.mustLogin("olga")
	c.predict(200, digits.Large, bearer(olga.Access)...)
	c.predict(404, "none", bearer(olga.Access)...)
	c.predict(200, digits.Large, "X-API-Key", c.key)
	c.predict(200, digits.Large, bearer(c.key)...)

	resp = c.predict(401, digits.Small)
	if got := resp.Header.Get("WWW-Authenticate"); got != `Bearer realm="serving"` {
		t.Errorf("without a credential: %s", got)
	}
	for name, header := range map[string][]string{
		"altered":         bearer(alice.Access[:len(alice.Access)-8] + "AAAAAAAA"),
		"refresh token":   bearer(alice.Refresh),
		"unknown key":     {"X-API-Key", auth.GenerateAPIKey(keyPrefix)},
		"not its kind":    bearer("opaque"),
		"two credentials": append(bearer(alice.Access), bearer(olga.Access)...),
	} {
		resp := c.predict(401, digits.Small, header...)
		if got := resp.Header.Get("WWW-Authenticate"); !strings.HasPrefix(got, `Bearer realm="serving", error="invalid_`) {
			t.Errorf("%s: %s", name, got)
		}
	}
	for _, secret := range []string{alice.Access, alice.Refresh, c.key, "password of"} {
		if strings.Contains(c.log.String(), secret) {
			t.Error("a secret is in the log")
		}
	}
	checkAudit(t, c.log.String())
}

// checkAudit looks for what TestLoginAndPredict did.
func checkAudit(t *testing.T, log string) {
	t.Helper()
	seen := make(map[string]int)
	for _, m := range logRecords(t, log) {
		if m["logger"] != "audit" {
			continue
		}
		seen[fmt.Sprint(m["message"], " ", m["decision"], " ", m["subject"], " ", m["resource"])]++
		if m["request_id"] == nil {
			t.Errorf("no request id: %v", m)
		}
	}
	for what, want := range map[string]int{
		"auth.login allow alice <nil>":            1,
		"auth.authorize allow alice digits-small": 1,
		"auth.authorize deny alice digits-large":  2,
		"auth.authorize deny alice none":          1,
		"auth.authorize allow olga digits-large":  1,
		"auth.authorize allow ci digits-large":    2,
		"auth.authenticate <nil> <nil> <nil>":     6,
		"auth.authorize allow olga none":          1,
		"auth.authorize allow alice digits-large": 0,
		"auth.authorize allow <nil> digits-small": 0,
	} {
		if seen[what] != want {
			t.Errorf("%q is audited %d times, not %d", what, seen[what], want)
		}
	}
}

// What is known of models depends on who asks; the rest of the API is open.
func TestWhatIsOpen(t *testing.T) {
	c := newSecured(t)
	alice := c.mustLogin("alice")
	for path, want := range map[string]int{
		"/": 200, "/health": 200, "/livez": 200, "/readyz": 200, "/startupz": 200, "/metrics": 200, "/.well-known/jwks.json": 200,
		"/models": 401, "/models/digits-small": 401, "/nowhere": 404, "/auth/login": 405,
	} {
		if resp := c.do("GET", path, ""); resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	for path, want := range map[string]int{
		"/models": 200, "/models/digits-small": 200, "/models/digits-large": 403, "/models/none": 403,
		"/models/digits-small%2f..%2fdigits-large": 400, "/models/x%2fdigits-small": 400,
	} {
		if resp := c.do("GET", path, "", bearer(alice.Access)...); resp.StatusCode != want {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	list := read(t, c.do("GET", "/models", "", bearer(alice.Access)...))
	if !strings.Contains(list, "digits-small") || strings.Contains(list, "digits-large") {
		t.Errorf("alice sees %s", list)
	}
	if jwks := read(t, c.do("GET", "/.well-known/jwks.json", "")); !strings.Contains(jwks, `"alg":"ES256"`) || strings.Contains(jwks, `"d"`) {
		t.Errorf("the keys: %s", jwks)
	}
	if index := read(t, c.do("GET", "/", "")); !strings.Contains(index, "/auth/login") {
		t.Errorf("the index: %s", index)
	}
}

// Keys are guessed no better than passwords.
func TestBadCredentialsAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t, "-rate-limit=0")
		for range maxFailures {
			c.predict(401, digits.Small, "X-API-Key", auth.GenerateAPIKey(keyPrefix))
		}
		c.predict(429, digits.Small, "X-API-Key", c.key)
		c.from = "192.0.2.2"
		for range maxFailures {
			if resp := c.do("POST", "/auth/refresh", `{"refresh_token": "a.b.c"}`); resp.StatusCode != 401 {
				t.Fatalf("refresh: %d", resp.StatusCode)
			}
		}
		c.predict(429, digits.Small, "X-API-Key", c.key)
		<-time.After(2 * time.Second)
		c.predict(200, digits.Small, "X-API-Key", c.key)
	})
}

// A client that has not noticed that its token has expired guesses nothing.
func TestExpiredCredentialsAreNoGuesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t, "-rate-limit=0")
		alice := c.mustLogin("alice")
		<-time.After(25 * time.Hour)
		for range maxFailures + 1 {
			c.predict(401, digits.Small, bearer(alice.Access)...)
			if resp := c.do("POST", "/auth/refresh", `{"refresh_token": "`+alice.Refresh+`"}`); resp.StatusCode != 401 {
				t.Fatalf("refresh: %d", resp.StatusCode)
			}
		}
		c.mustLogin("alice")
		c.predict(200, digits.Small, "X-API-Key", c.key)
	})
}

// Files that change are in force without a restart, and those that are broken
// change nothing.
func TestHotReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t, "-rate-limit=0")
		reloaded := func() { <-time.After(11 * time.Second); synctest.Wait() }
		alice, olga := c.mustLogin("alice"), c.mustLogin("olga")
		next := auth.GenerateAPIKey(keyPrefix)

		c.write("keys.json", keysFile(next))
		c.predict(200, digits.Small, "X-API-Key", c.key)
		reloaded()
		c.predict(401, digits.Small, "X-API-Key", c.key)
		c.predict(200, digits.Small, "X-API-Key", next)
		c.write("keys.json", `[{"sha256": "sk_secret"}]`)
		reloaded()
		c.predict(200, digits.Small, "X-API-Key", next)

		c.predict(403, digits.Large, bearer(alice.Access)...)
		c.write("policy.json", strings.Replace(testPolicy, `"digits-small"`, `"**"`, 1))
		reloaded()
		c.predict(200, digits.Large, bearer(alice.Access)...)
		c.write("policy.json", "{")
		reloaded()
		c.predict(200, digits.Large, bearer(alice.Access)...)

		// Olga is gone, with her tokens, and bob is new.
		c.write("users.json", usersFile("alice:analyst", "bob:operator"))
		reloaded()
		c.predict(200, digits.Small, bearer(alice.Access)...)
		c.predict(401, digits.Small, bearer(olga.Access)...)
		if resp := c.do("POST", "/auth/refresh", `{"refresh_token": "`+olga.Refresh+`"}`); resp.StatusCode != 401 {
			t.Errorf("olga refreshes: %d", resp.StatusCode)
		}
		if resp, _ := c.login("olga", "password of olga"); resp.StatusCode != 401 {
			t.Errorf("olga logs in: %d", resp.StatusCode)
		}
		c.mustLogin("bob")
		c.write("users.json", `{"mallory": {"password": "hunter2"}}`)
		reloaded()
		c.mustLogin("bob")
		// Another role comes with the next refresh.
		c.write("users.json", usersFile("alice:nothing", "bob:operator"))
		reloaded()
		c.predict(200, digits.Small, bearer(alice.Access)...)
		_, fresh := c.tokens(c.do("POST", "/auth/refresh", `{"refresh_token": "`+alice.Refresh+`"}`))
		c.predict(403, digits.Small, bearer(fresh.Access)...)

		if err := os.Remove(filepath.Join(c.dir, "keys.json")); err != nil {
			t.Fatal(err)
		}
		reloaded()
		reloaded()
		c.predict(200, digits.Small, "X-API-Key", next)
		for range 2 { // each time that it goes is said
			c.write("keys.json", keysFile(next))
			reloaded()
			if err := os.Remove(filepath.Join(c.dir, "keys.json")); err != nil {
				t.Fatal(err)
			}
			reloaded()
		}
		log := c.log.String()
		if n := strings.Count(log, "what was before stays in force"); n != 6 {
			t.Errorf("%d complaints in the log: %s", n, log)
		}
		for _, secret := range []string{"sk_secret", "hunter2", cheapHash("password of bob")} {
			if strings.Contains(log, secret) {
				t.Errorf("%s is in the log", secret)
			}
		}
	})
}

// Without authentication the service says so, and with it not.
func TestWarnings(t *testing.T) {
	const off, open, brief = "authentication is off", "there is no -auth-policy", "there is no -auth-signing-key"
	s, log := newTestService(t)
	if n := strings.Count(log.String(), `"level":"WARN"`); n != 1 || !strings.Contains(log.String(), off) || s.access != nil {
		t.Errorf("%d warnings in %s", n, log)
	}
	c := newSecured(t)
	if log := c.log.String(); strings.Contains(log, off) || strings.Contains(log, open) || !strings.Contains(log, brief) {
		t.Errorf("the log: %s", log)
	}
	_, log = newTestService(t, "-auth-api-keys", c.write("k", keysFile()))
	if log := log.String(); strings.Contains(log, off) || !strings.Contains(log, open) || strings.Contains(log, brief) {
		t.Errorf("the log: %s", log)
	}
}

// API keys alone, without users and a policy.
func TestKeysAlone(t *testing.T) {
	c := &secured{t: t, dir: t.TempDir(), key: auth.GenerateAPIKey(keyPrefix), from: "192.0.2.1"}
	c.s, c.log = newTestService(t, "-auth-api-keys", c.write("keys.json", keysFile(c.key)), "-rate-limit=2")
	c.h = c.s.handler()
	c.predict(401, "")
	c.predict(200, "", "X-API-Key", c.key)
	for _, path := range []string{"/auth/login", "/auth/refresh", "/auth/logout", "/.well-known/jwks.json"} {
		if resp := c.do("POST", path, "{}"); resp.StatusCode != 404 {
			t.Errorf("%s: %d", path, resp.StatusCode)
		}
	}
	// The limit is the caller's, wherever they call from, and not the address's.
	c.predict(200, "", "X-API-Key", c.key)
	c.from = "192.0.2.9"
	c.predict(429, "", "X-API-Key", c.key)
	if resp := c.do("GET", "/", ""); resp.StatusCode != 200 {
		t.Errorf("another caller: %d", resp.StatusCode)
	}
}

// What is wrong with the files stops the start, and is not quoted.
func TestBadAuthFiles(t *testing.T) {
	dir := t.TempDir()
	file := func(content string) string {
		path := filepath.Join(dir, fmt.Sprint(len(content)))
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file(usersFile("alice:analyst"))
	for want, args := range map[string][]string{
		"no such file":                    {"-auth-users", filepath.Join(dir, "none")},
		`user "x": has no password`:       {"-auth-users", file(`{"x": {}}`)},
		`user "x": "password" is neither`: {"-auth-users", file(`{"x": {"password": "hunter2"}}`)},
		`sha256 is not 64`:                {"-auth-api-keys", file(`[{"sha256": "hunter2", "owner": "x"}]`)},
		`authrbac`:                        {"-auth-users", good, "-auth-policy", file(`{"version": 2}`)},
		"there is no key in PEM":          {"-auth-users", good, "-auth-signing-key", file(`hunter2`)},
	} {
		cfg, err := parseConfig(args, nil, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Test(t, func(t *testing.T) { // which fails if goroutines remain
			_, err := newService(cfg, io.Discard)
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", want, err)
			}
		})
	}
	bad := file("{ bad")
	cfg, err := parseConfig([]string{"-auth-users", bad, "-auth-api-keys", bad, "-auth-policy", bad, "-auth-signing-key", bad}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	_, err = newService(cfg, io.Discard)
	for _, want := range []string{"is no JSON", "-auth-policy: authrbac", "ParseAPIKeys", "no key in PEM"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
	_, err = parseConfig([]string{"-auth-token-ttl=1500ms"}, nil, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "1.5s is not in whole seconds") {
		t.Errorf("-auth-token-ttl: %v", err)
	}
	_, err = parseConfig([]string{"-auth-policy=x", "-auth-signing-key=y", "-auth-issuer=none", "-auth-token-ttl=2h"}, nil, io.Discard)
	for _, want := range []string{"SERVING_AUTH_POLICY: it needs", "SERVING_AUTH_SIGNING_KEY: it needs", `"none" is no URI`, "SERVING_AUTH_TOKEN_TTL"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is missing from %v", want, err)
		}
	}
}
