package authbench

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/ballast-go/ballast/auth"
)

// testIssuers makes the keys once: an RSA key takes up to a second.
var testIssuers = sync.OnceValue(func() map[string]*issuer {
	all, err := newIssuers()
	if err != nil {
		panic(err)
	}
	return all
})

// Each contender does what it is measured at.
func TestEveryContender(t *testing.T) {
	tables, err := allTables(testIssuers(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, table := range tables {
		t.Run(table.Name, func(t *testing.T) {
			for _, c := range table.Contenders {
				s, err := table.turn(c, time.Millisecond)
				if err != nil || s.Ops < table.Batch {
					t.Errorf("%s: %d operations, %v", c.Name, s.Ops, err)
				}
			}
		})
	}
}

// The goals are about tokens of this length, whatever signs them and whoever
// they are of.
func TestEveryTokenHasItsLength(t *testing.T) {
	for alg, i := range testIssuers() {
		for _, n := range []int{0, 1, 99_999} {
			token, err := i.token(n)
			if err != nil || len(token) != 763 {
				t.Errorf("%s: %d bytes, %v", alg, len(token), err)
			}
		}
		if first, _ := i.token(0); first == must(i.token(1)) {
			t.Errorf("%s: two callers have one token", alg)
		}
	}
}

func must(token string, err error) string {
	if err != nil {
		panic(err)
	}
	return token
}

// A middleware that let everybody through, or refused for another reason, would
// not do the same work.
func TestEveryPeerDecidesTheSame(t *testing.T) {
	for alg, i := range testIssuers() {
		for _, p := range append(ownPeers(), peers()...) {
			m, err := p.new(i)
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range kases() {
				if !k.must || k.name == "HS256 with the RSA key as the secret" && alg != "RS256" {
					continue
				}
				fields, err := k.new(i)
				if err != nil {
					t.Fatal(err)
				}
				for range 2 { // the second time, what is cached would be found
					let, w := false, &discard{header: http.Header{}}
					m(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { let = true })).ServeHTTP(w, request(fields...))
					if let != k.good {
						t.Errorf("%s, %s: %q gets through: %v", alg, p.name, k.name, let)
					}
				}
			}
		}
	}
}

// What the report says of ballast must be right.
func TestVerdicts(t *testing.T) {
	all, err := judge(testIssuers()["RS256"])
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for _, v := range all {
		if v.let[Ours] != v.kase.good {
			t.Errorf("ballast: %q gets through: %v", v.kase.name, v.let[Ours])
		}
		for _, p := range peers() {
			if v.let[p.name] != v.kase.good {
				wrong++
			}
		}
	}
	if len(all) != len(kases()) || wrong == 0 {
		t.Errorf("%d cases, %d wrong answers of peers", len(all), wrong)
	}
}

// Mixes must have the hits that they are named after.
func TestMixes(t *testing.T) {
	i := testIssuers()["HS256"]
	tokens, err := i.tokens(2000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mixes(tokens) {
		got, err := m.hits(i)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]float64{blendedHits: 1, blended99: 0.99, blended95: 0.95}[m.name]
		if want > 0 && (got < want-0.01 || got > want+0.01) || want == 0 && (got < 0.3 || got > 0.99) {
			t.Errorf("%s: %v hits", m.name, got)
		}
	}
}

// Every library decides as the questions say.
func TestEveryDecider(t *testing.T) {
	for _, d := range deciders() {
		decide, err := d.new()
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range questions() {
			if allowed, err := decide(q.resource, q.action); err != nil || allowed != q.allowed {
				t.Errorf("%s: %s %s: %v, %v", d.name, q.action, q.resource, allowed, err)
			}
		}
	}
}

// A wrong answer must end a measurement.
func TestServeChecksTheStatus(t *testing.T) {
	same := func(next http.Handler) http.Handler { return next }
	if err := serve(same, request(), http.StatusUnauthorized)(0, 1); !errors.Is(err, errWrong) {
		t.Errorf("error %v", err)
	}
}

// A hostile token is refused for its signature, after it was found well formed,
// and by ballast unread if it is too long.
func TestHostile(t *testing.T) {
	i := testIssuers()["HS256"]
	for _, length := range []int{longestToken, hostileBytes} {
		token := i.hostile(length)
		if len(token) > length || len(token) < length-8 {
			t.Errorf("%d bytes, want %d", len(token), length)
		}
		_, err := newParser("HS256").Parse(token, func(*jwt.Token) (any, error) { return i.public, nil })
		if !errors.Is(err, jwt.ErrTokenSignatureInvalid) {
			t.Errorf("golang-jwt: %v", err)
		}
		v, err := newVerifier(0, false, i)
		if err != nil {
			t.Fatal(err)
		}
		_, err = v.Authenticate(t.Context(), auth.Credentials{Token: token})
		if !errors.Is(err, auth.ErrInvalid) || strings.Contains(err.Error(), "longer") != (length > longestToken) {
			t.Errorf("ballast: %v", err)
		}
	}
}
