package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/ratelimit"
)

// The Logger is where package auth writes to, though neither knows the other.
var _ auth.Auditor = (*logging.Logger)(nil)

// asked has a service whose caller etl has key, and returns what it answers to a
// request from an address with a key.
func asked(t *testing.T, key string, journal *bytes.Buffer) func(address, key string) *httptest.ResponseRecorder {
	t.Helper()
	log, err := logging.New(logging.Config{Output: journal})
	if err != nil {
		t.Fatal(err)
	}
	service, err := newService(authjwt.NewKeyring(nil), []auth.APIKey{
		{Hash: auth.HashAPIKey(key), ID: "1", Owner: "etl", Roles: []string{"nightly"}},
	}, log)
	if err != nil {
		t.Fatal(err)
	}
	return func(address, key string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/v1/models/churn/predict", nil)
		r.RemoteAddr = address + ":1234"
		if key != "" {
			r.Header.Set("X-API-Key", key)
		}
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		return w
	}
}

// Who guesses is stopped, wherever the guesses are; others, and who has nothing to
// guess with, are not; and the minute after it may come again.
func TestFailuresAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := auth.GenerateAPIKey(keyPrefix)
		ask := asked(t, key, new(bytes.Buffer))
		for i := range 1000 {
			if w := ask("192.0.2.1", key); w.Code != 200 && w.Code != 429 || i < maxFailures && w.Code != 200 {
				t.Fatalf("good key %d: %d", i, w.Code)
			}
			<-time.After(time.Second)
		}
		for i := range maxFailures {
			if w := ask("192.0.2.1", auth.GenerateAPIKey(keyPrefix)); w.Code != 401 {
				t.Fatalf("guess %d: %d", i, w.Code)
			}
		}
		for _, k := range []string{auth.GenerateAPIKey(keyPrefix), key} {
			if w := ask("192.0.2.1", k); w.Code != 429 || w.Header().Get("Retry-After") == "" || w.Header().Get("WWW-Authenticate") != "" {
				t.Errorf("guessed enough: %d %v", w.Code, w.Header())
			}
		}
		if w := ask("192.0.2.1", ""); w.Code != 401 {
			t.Errorf("without a key: %d", w.Code)
		}
		if w := ask("192.0.2.2", key); w.Code != 200 {
			t.Errorf("another address: %d", w.Code)
		}
		<-time.After(time.Minute / maxFailures)
		if w := ask("192.0.2.1", key); w.Code != 200 {
			t.Errorf("later: %d", w.Code)
		}
	})
}

// A caller's requests are its own, wherever it sends them from.
func TestRequestsAreLimitedByCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		key := auth.GenerateAPIKey(keyPrefix)
		ask := asked(t, key, new(bytes.Buffer))
		var codes []int
		for range maxRequests + 1 {
			codes = append(codes, ask("192.0.2.1", key).Code)
		}
		if i := slices.Index(codes, 429); i != maxRequests {
			t.Errorf("limited after %d", i)
		}
		if w := ask("192.0.2.2", key); w.Code != 429 {
			t.Errorf("from another address: %d", w.Code)
		}
	})
	a := &auth.Principal{Method: auth.MethodJWT, Issuer: "a", Subject: "admin"}
	b := &auth.Principal{Method: auth.MethodJWT, Issuer: "b", Subject: "admin"}
	of := func(p *auth.Principal) string {
		return byCaller(httptest.NewRequestWithContext(auth.ContextWithPrincipal(t.Context(), p), http.MethodGet, "/", nil))
	}
	if of(a) == of(b) || of(a) == of(nil) {
		t.Error("two issuers' admins share a budget")
	}
}

// Retry-After says when one attempt is there again, with debts.
func TestFailuresRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(maxFailures)})
		if err != nil {
			t.Fatal(err)
		}
		f := failures{limiter, ratelimit.ByClientIP(nil)}
		r := httptest.NewRequest("GET", "/", nil)
		for range maxFailures + 5 {
			f.failed(r, auth.ErrInvalid)
		}
		limited, ok := f.admit(r).(*ratelimit.LimitedError)
		if !ok {
			t.Fatal("admitted")
		}
		<-time.After(limited.RetryDelay() - time.Millisecond)
		if f.admit(r) == nil {
			t.Error("admitted too soon")
		}
		<-time.After(time.Millisecond)
		if err := f.admit(r); err != nil {
			t.Errorf("not admitted in time: %v", err)
		}
	})
}

// What the audit says of a refused and of an allowed request has the id of the
// request's own record.
func TestAuditHasTheRequestID(t *testing.T) {
	var journal bytes.Buffer
	key := auth.GenerateAPIKey(keyPrefix)
	ask := asked(t, key, &journal)
	for _, k := range []string{"wrong", key} {
		journal.Reset()
		ask("192.0.2.1", k)
		ids := map[string]int{}
		for line := range strings.Lines(journal.String()) {
			_, id, _ := strings.Cut(line, `"request_id":"`)
			id, _, _ = strings.Cut(id, `"`)
			ids[id]++
			if strings.Count(line, `"request_id"`) != 1 {
				t.Errorf("%s", line)
			}
		}
		if len(ids) != 1 || ids[""] > 0 || strings.Count(journal.String(), "\n") != 2 {
			t.Errorf("%v in\n%s", ids, &journal)
		}
	}
}
