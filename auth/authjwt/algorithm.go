package authjwt

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// kind is what kind of key an algorithm takes.
type kind uint8

const (
	kindSecret kind = iota + 1
	kindRSA
	kindEC
	kindEd25519
)

// algorithm is one of those of RFC 7518 §3.1, or EdDSA (RFC 8037 §3.1).
type algorithm struct {
	name   string
	kind   kind
	hash   crypto.Hash       // of HMAC, ECDSA and RSA by PKCS #1 v1.5
	curve  elliptic.Curve    // of ECDSA, which has one per algorithm (RFC 7518 §3.4)
	method jwt.SigningMethod // signs; verifies RSA by PSS, and Ed25519
}

// lookUp finds an algorithm by its name, which is case-sensitive (RFC 7515 §4.1.1).
func lookUp(name string) (a algorithm, ok bool) {
	a.name = name
	switch name {
	case "HS256":
		a.kind, a.hash, a.method = kindSecret, crypto.SHA256, jwt.SigningMethodHS256
	case "HS384":
		a.kind, a.hash, a.method = kindSecret, crypto.SHA384, jwt.SigningMethodHS384
	case "HS512":
		a.kind, a.hash, a.method = kindSecret, crypto.SHA512, jwt.SigningMethodHS512
	case "RS256":
		a.kind, a.hash, a.method = kindRSA, crypto.SHA256, jwt.SigningMethodRS256
	case "RS384":
		a.kind, a.hash, a.method = kindRSA, crypto.SHA384, jwt.SigningMethodRS384
	case "RS512":
		a.kind, a.hash, a.method = kindRSA, crypto.SHA512, jwt.SigningMethodRS512
	case "PS256":
		a.kind, a.method = kindRSA, pss(jwt.SigningMethodPS256)
	case "PS384":
		a.kind, a.method = kindRSA, pss(jwt.SigningMethodPS384)
	case "PS512":
		a.kind, a.method = kindRSA, pss(jwt.SigningMethodPS512)
	case "ES256":
		a.kind, a.hash, a.curve, a.method = kindEC, crypto.SHA256, elliptic.P256(), jwt.SigningMethodES256
	case "ES384":
		a.kind, a.hash, a.curve, a.method = kindEC, crypto.SHA384, elliptic.P384(), jwt.SigningMethodES384
	case "ES512":
		a.kind, a.hash, a.curve, a.method = kindEC, crypto.SHA512, elliptic.P521(), jwt.SigningMethodES512
	case "EdDSA":
		a.kind, a.method = kindEd25519, jwt.SigningMethodEdDSA
	}
	return a, a.kind != 0
}

// knownAlgorithm reports whether keys of that algorithm can be had.
func knownAlgorithm(name string) bool {
	_, ok := lookUp(name)
	return ok
}

// pss is m with the salt as long as the hash, as RFC 7518 §3.5 demands:
// golang-jwt itself takes salts of any length.
func pss(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{
		SigningMethodRSA: m.SigningMethodRSA,
		Options:          m.Options,
		VerifyOptions:    &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash},
	}
}

// ofCurve returns the name of the algorithm that a curve has.
func ofCurve(c elliptic.Curve) string {
	switch c {
	case elliptic.P256():
		return "ES256"
	case elliptic.P384():
		return "ES384"
	case elliptic.P521():
		return "ES512"
	}
	return ""
}
