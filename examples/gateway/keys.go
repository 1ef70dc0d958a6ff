package main

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// keys are the API keys that are let in, each by its hash, with the name that
// its budget goes by. Keys with one name share a budget. Without any, every key
// is let in and has a budget of its own: that is for an upstream that checks
// them itself.
//
// This is as much of authentication as the example needs to have something to
// count by.
type keys map[[sha256.Size]byte]string

// parseKeys reads name=key,name=key. Its errors do not quote a key.
func parseKeys(text string) (keys, error) {
	if text == "" {
		return nil, nil
	}
	known := make(keys)
	var errs []error
	for i, entry := range strings.Split(text, ",") {
		name, key, ok := strings.Cut(strings.TrimSpace(entry), "=")
		if !ok || name == "" || key == "" || strings.ContainsAny(key, " \t") {
			errs = append(errs, fmt.Errorf("entry %d is not name=key", i+1))
			continue
		}
		known[sha256.Sum256([]byte(key))] = "name:" + name
	}
	return known, errors.Join(errs...)
}

// nameOf returns what the budget of a request goes by, which is no secret, or ""
// if it has no key that is let in. It is a [ratelimit.KeyFunc].
func (k keys) nameOf(r *http.Request) string {
	fields := r.Header["Authorization"]
	if len(fields) != 1 { // of two the upstream might take the other
		return ""
	}
	scheme, key, _ := strings.Cut(fields[0], " ")
	key = strings.Trim(key, " ")
	// A key is one word (RFC 6750 §2.1): an upstream that takes the first of
	// several would know a key again of which each spelling had a budget here.
	if key == "" || strings.ContainsAny(key, " \t,") || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	hash := sha256.Sum256([]byte(key)) // which hides how much of a key is right
	if len(k) == 0 {
		return "hash:" + hex.EncodeToString(hash[:])
	}
	return k[hash]
}

// only lets requests through that have such a key. It leaves the request as it
// is: of a copy, metrics and logging would not learn the route.
func (k keys) only(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if k.nameOf(r) == "" {
			w.Header().Set("WWW-Authenticate", `Bearer realm="gateway"`) // RFC 6750 §3
			writeProblem(w, &refusal{http.StatusUnauthorized, "An API key is needed: Authorization: Bearer …"})
			return
		}
		next.ServeHTTP(w, r)
	})
}
