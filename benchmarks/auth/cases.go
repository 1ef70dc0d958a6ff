package authbench

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A kase is a request whose token is good, or not, by the RFCs.
type kase struct {
	name string
	good bool
	must bool // every contender must get it right, or it does not do the same work
	new  func(*issuer) ([]string, error)
}

// changed is a token with other members; those of header and claims that are nil
// are left out.
func changed(header, claims members) func(*issuer) ([]string, error) {
	return func(i *issuer) ([]string, error) {
		return bearer(i.sign(i.header().with(header), i.claims(0).with(claims)))
	}
}

func bearer(token string, err error) ([]string, error) { return []string{"Bearer " + token}, err }

// kases are put to every contender.
func kases() []kase {
	past := time.Now().Add(-time.Hour).Unix()
	return []kase{
		{"good", true, true, changed(nil, nil)},
		{"a signature that is another token's", false, true, tampered},
		{"expired", false, true, changed(nil, members{"exp": past})},
		{"for another audience", false, true, changed(nil, members{"aud": "https://mail.example.org"})},
		{"of another issuer", false, true, changed(nil, members{"iss": "https://evil.example/"})},
		{"not good yet (nbf)", false, true, changed(nil, members{"nbf": time.Now().Add(time.Hour).Unix()})},
		{"alg none", false, true, unsigned},
		{"HS256 with the RSA key as the secret", false, true, confused},
		{"without exp", false, false, changed(nil, members{"exp": nil})},
		{"exp in the year 31,688,740,000", false, false, changed(nil, members{"exp": 1e18})},
		{"iat in an hour", false, false, changed(nil, members{"iat": time.Now().Add(time.Hour).Unix()})},
		{"an unknown extension in crit", false, false, changed(members{"crit": []string{"policy"}, "policy": "deny"}, nil)},
		{"two values of sub in the claims", false, false, twice},
		{"another kind of token (typ logout+jwt)", false, false, changed(members{"typ": "logout+jwt"}, nil)},
		{"a token within the token (cty JWT)", false, false, changed(members{"cty": "JWT"}, nil)},
		{"stray bits at the end of the signature", false, false, strayBits},
		{"two Authorization fields", false, false, func(i *issuer) ([]string, error) {
			all, err := changed(nil, nil)(i)
			return append(all, "Bearer x.y.z"), err
		}},
	}
}

// tampered has the claims of one token with the signature of another.
func tampered(i *issuer) ([]string, error) {
	token, err := i.token(0)
	if err != nil {
		return nil, err
	}
	_, sig, _ := cutLast(token)
	return []string{"Bearer " + signed(i.header(), i.claims(1)) + "." + sig}, nil
}

func unsigned(i *issuer) ([]string, error) {
	return []string{"Bearer " + signed(i.header().with(members{"alg": "none"}), i.claims(0)) + "."}, nil
}

// confused signs by what everybody knows of the issuer.
func confused(i *issuer) ([]string, error) {
	public, ok := i.public.(*rsa.PublicKey)
	if !ok {
		return nil, fmt.Errorf("%s has no RSA key", i.alg)
	}
	der, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		return nil, err
	}
	secret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	text := signed(i.header().with(members{"alg": "HS256"}), i.claims(0))
	sig, err := jwt.SigningMethodHS256.Sign(text, secret)
	return []string{"Bearer " + text + "." + base64.RawURLEncoding.EncodeToString(sig)}, err
}

// twice has two claims of one name: which one counts, parsers do not agree on
// (RFC 8725 §2.6).
func twice(i *issuer) ([]string, error) {
	claims, err := json.Marshal(i.claims(0))
	if err != nil {
		return nil, err
	}
	claims = append([]byte(`{"sub":"admin",`), claims[1:]...)
	return bearer(i.signText(encode(i.header()) + "." + base64.RawURLEncoding.EncodeToString(claims)))
}

// strayBits spells the same signature in another way: the last character has bits
// to spare.
func strayBits(i *issuer) ([]string, error) {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	token, err := i.token(0)
	if err != nil {
		return nil, err
	}
	last := strings.IndexByte(alphabet, token[len(token)-1])
	return []string{"Bearer " + token[:len(token)-1] + string(alphabet[last^1])}, nil
}

func cutLast(token string) (before, after string, found bool) {
	dot := strings.LastIndexByte(token, '.')
	return token[:max(dot, 0)], token[dot+1:], dot >= 0
}

// verdict is what became of the cases, by contender.
type verdict struct {
	kase kase
	let  map[string]bool
}

// judge puts the cases to everybody.
func judge(i *issuer) ([]verdict, error) {
	var all []verdict
	for _, k := range kases() {
		fields, err := k.new(i)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		v := verdict{k, map[string]bool{}}
		for _, p := range append(ownPeers()[:1], peers()...) {
			m, err := p.new(i)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			w := &discard{header: http.Header{}, status: http.StatusOK}
			m(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK); v.let[p.name] = true })).
				ServeHTTP(w, request(fields...))
			if v.let[p.name] != (w.status == http.StatusOK) {
				return nil, fmt.Errorf("%s: %s: status %d, and the handler says otherwise", k.name, p.name, w.status)
			}
		}
		all = append(all, v)
	}
	return all, nil
}

func writeVerdicts(w io.Writer, all []verdict) {
	names := []string{Ours}
	for _, p := range peers() {
		names = append(names, p.name)
	}
	fmt.Fprintf(w, "\n| the token | %s |\n|---|%s\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, v := range all {
		fmt.Fprintf(w, "| %s ", v.kase.name)
		for _, name := range names {
			text := "refused"
			if v.let[name] {
				text = "accepted"
			}
			if v.let[name] != v.kase.good {
				text = "**" + text + "**"
			}
			fmt.Fprintf(w, "| %s ", text)
		}
		fmt.Fprintln(w, "|")
	}
}
