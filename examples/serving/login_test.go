package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// Who cannot log in is told the same, whatever the reason, and what is wrong with
// the body is no secret.
func TestLoginRefuses(t *testing.T) {
	c := newSecured(t)
	var bodies []string
	for _, who := range [][2]string{{"alice", "password of olga"}, {"nobody", "password of nobody"}, {"Alice", "password of alice"}, {"alice", "password of alice "}} {
		resp, _ := c.login(who[0], who[1])
		bodies = append(bodies, read(t, resp))
		if resp.StatusCode != 401 || resp.Header.Get("WWW-Authenticate") == "" || bodies[0] != bodies[len(bodies)-1] {
			t.Errorf("%q: %d %s", who, resp.StatusCode, bodies[len(bodies)-1])
		}
	}
	if log := c.log.String(); strings.Contains(log, "nobody") || !strings.Contains(log, `"subject":"alice"`) || !strings.Contains(log, `"reason":"wrong"`) {
		t.Errorf("the log: %s", log)
	}
	for body, want := range map[string]int{
		``: 400, `[]`: 400, `{}`: 400, `{"username": "alice"}`: 400, `{"username": "alice", "password": null}`: 400,
		`{"username": "alice", "password": ""}`:                                  400,
		`{"username": "alice", "password": "p", "username": "olga"}`:             400,
		`{"username": "alice", "password": "p", "scope": "x"}`:                   400,
		`{"username": "alice", "password": "p"} x`:                               400,
		`{"username": "alice", "password": "\ud800"}`:                            400,
		`{"username": "alice", "password": "` + strings.Repeat("x", 5000) + `"}`: 413,
	} {
		resp := c.do("POST", "/auth/login", body)
		if got := read(t, resp); resp.StatusCode != want || resp.Header.Get("Content-Type") != problemJSON || strings.Contains(got, "scope") {
			t.Errorf("%.80s: %d %s", body, resp.StatusCode, got)
		}
	}
	if resp := c.do("POST", "/auth/login", "username=alice", "Content-Type", "text/plain"); resp.StatusCode != 415 {
		t.Errorf("text: %d", resp.StatusCode)
	}
}

// Guesses are limited by user and address; users who know their password are not.
func TestLoginAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t, "-rate-limit=0")
		for range 3 * maxAttempts {
			c.mustLogin("alice")
		}
		for i := range maxAttempts {
			if resp, _ := c.login("alice", "guess"); resp.StatusCode != 401 {
				t.Fatalf("guess %d: %d", i, resp.StatusCode)
			}
		}
		resp, _ := c.login("alice", "password of alice")
		if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
			t.Errorf("over the limit: %d %v", resp.StatusCode, resp.Header)
		}
		c.mustLogin("olga") // from the same address
		c.from = "192.0.2.2"
		c.mustLogin("alice") // from another
		c.from = "192.0.2.1"
		<-time.After(time.Minute)
		c.mustLogin("alice")

		// A spray over many names, and over credentials.
		for i := range maxFailures {
			if resp, _ := c.login(fmt.Sprint("user ", i), "password123"); resp.StatusCode != 401 {
				t.Fatalf("spray %d: %d", i, resp.StatusCode)
			}
		}
		if resp, _ := c.login("one more", "password123"); resp.StatusCode != 429 {
			t.Errorf("after the spray: %d", resp.StatusCode)
		}
		resp = c.predict(429, digits.Small, "X-API-Key", c.key)
		if body := read(t, resp); resp.Header.Get("Retry-After") == "" || !strings.Contains(body, "rate-limited") {
			t.Errorf("%v %s", resp.Header, body)
		}
		if resp := c.do("POST", "/auth/refresh", `{"refresh_token": "x"}`); resp.StatusCode != 429 {
			t.Errorf("refresh after the spray: %d", resp.StatusCode)
		}
		c.predict(401, digits.Small) // no credential is no guess
	})
}

// Only so many passwords are hashed at a time, and nobody waits for long.
func TestHashingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t)
		for range cap(c.s.access.hashing) {
			c.s.access.hashing <- struct{}{}
		}
		start := time.Now()
		resp, _ := c.login("alice", "password of alice")
		if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" || time.Since(start) != hashWait {
			t.Errorf("after %v: %d %v", time.Since(start), resp.StatusCode, resp.Header)
		}
		// To be turned away for want of room is no attempt.
		var wg sync.WaitGroup
		for range maxAttempts {
			wg.Go(func() {
				if resp, _ := c.login("alice", "password of alice"); resp.StatusCode != 503 {
					t.Errorf("at the same time: %d", resp.StatusCode)
				}
			})
		}
		wg.Wait()
		<-c.s.access.hashing
		c.mustLogin("alice")
		for range cap(c.s.access.hashing) - 1 {
			<-c.s.access.hashing
		}
	})
}

// A password that was changed ends what began with the one before, in a replica
// that knows of no change, too, and also for a login that is under way.
func TestAnotherPasswordEndsSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := &secured{t: t, dir: t.TempDir()}
		key := dir.write("key.pem", pemOf(t, "PRIVATE KEY", newTestKey(t)))
		c := newSecured(t, "-auth-signing-key", key)
		alice, olga := c.mustLogin("alice"), c.mustLogin("olga")
		_, olga = c.tokens(c.do("POST", "/auth/refresh", `{"refresh_token": "`+olga.Refresh+`"}`))
		underWay, ok, err := c.s.access.verify(httptest.NewRequest("POST", "/auth/login", nil), "alice", "password of alice")
		if !ok || err != nil {
			t.Fatal(ok, err)
		}

		changed := strings.Replace(usersFile("alice:analyst", "olga:operator"), cheapHash("password of alice"), cheapHash("another"), 1)
		late := newSecured(t, "-auth-signing-key", key, "-auth-users", dir.write("users.json", changed))
		late.predict(401, digits.Small, bearer(alice.Access)...)
		late.predict(200, digits.Small, bearer(olga.Access)...)
		for token, want := range map[string]int{alice.Refresh: 401, olga.Refresh: 200} {
			if resp := late.do("POST", "/auth/refresh", `{"refresh_token": "`+token+`"}`); resp.StatusCode != want {
				t.Errorf("refresh: %d, not %d", resp.StatusCode, want)
			}
		}

		c.write("users.json", changed)
		<-time.After(11 * time.Second)
		synctest.Wait()
		tokens, err := c.s.access.mint("alice", underWay)
		if err != nil {
			t.Fatal(err)
		}
		c.predict(401, digits.Small, bearer(tokens.AccessToken)...)
		if resp, _ := c.login("alice", "another"); resp.StatusCode != 200 {
			t.Errorf("the new password: %d", resp.StatusCode)
		}
	})
}

// Tokens expire, are refreshed once each, and end when somebody logs out.
func TestSessions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newSecured(t)
		refresh := func(token string) (*http.Response, tokens) {
			return c.tokens(c.do("POST", "/auth/refresh", `{"refresh_token": "`+token+`"}`))
		}
		first := c.mustLogin("alice")
		<-time.After(14 * time.Minute)
		c.predict(200, digits.Small, bearer(first.Access)...)
		<-time.After(time.Minute + 11*time.Second) // and the leeway for other replicas' clocks
		c.predict(401, digits.Small, bearer(first.Access)...)

		resp, second := refresh(first.Refresh)
		if resp.StatusCode != 200 || second.ExpiresIn != 900 || resp.Header.Get("Cache-Control") != "no-store" {
			t.Fatalf("refresh: %d %s", resp.StatusCode, read(t, resp))
		}
		c.predict(200, digits.Small, bearer(second.Access)...)

		if resp := c.do("POST", "/auth/logout", "", bearer(second.Access)...); resp.StatusCode != 204 {
			t.Errorf("logout: %d", resp.StatusCode)
		}
		c.predict(401, digits.Small, bearer(second.Access)...)
		if resp, _ := refresh(second.Refresh); resp.StatusCode != 401 {
			t.Errorf("refresh after logout: %d", resp.StatusCode)
		}
		if resp := c.do("POST", "/auth/logout", "", "X-API-Key", c.key); resp.StatusCode != 409 {
			t.Errorf("logout of a key: %d", resp.StatusCode)
		}
		if resp := c.do("POST", "/auth/logout", ""); resp.StatusCode != 401 {
			t.Errorf("logout of nobody: %d", resp.StatusCode)
		}

		// A refresh token that comes twice ends the session for both.
		third := c.mustLogin("alice")
		_, fourth := refresh(third.Refresh)
		if resp, _ := refresh(third.Refresh); resp.StatusCode != 401 {
			t.Errorf("a refresh token was good twice: %d", resp.StatusCode)
		}
		c.predict(401, digits.Small, bearer(fourth.Access)...)
		if resp, _ := refresh(fourth.Refresh); resp.StatusCode != 401 {
			t.Errorf("a stolen session goes on: %d", resp.StatusCode)
		}
		if resp, _ := refresh(c.mustLogin("alice").Access); resp.StatusCode != 401 {
			t.Errorf("an access token refreshes: %d", resp.StatusCode)
		}
		if resp := c.do("POST", "/auth/refresh", `{}`); resp.StatusCode != 400 {
			t.Errorf("no token: %d", resp.StatusCode)
		}
	})
}
