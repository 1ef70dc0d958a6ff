package authjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/hmac"
	"crypto/rsa"
	"hash"
	"sync"

	"github.com/golang-jwt/jwt/v5"
)

// checker reports whether sig is the signature of signed.
type checker interface {
	check(signed string, sig []byte) bool
}

// methodCheck is golang-jwt's check of RSA-PSS and Ed25519 signatures.
type methodCheck struct {
	method jwt.SigningMethod
	key    any
}

func (c methodCheck) check(signed string, sig []byte) bool {
	return c.method.Verify(signed, sig, c.key) == nil
}

// rsaCheck checks an RSA signature by PKCS #1 v1.5. golang-jwt copies the token to
// hash it, into a hash of its own each time: 12 allocations for RS256, 9 without.
type rsaCheck struct {
	hashes
	hash crypto.Hash
	key  *rsa.PublicKey
}

func newRSACheck(h crypto.Hash, key *rsa.PublicKey) *rsaCheck {
	c := &rsaCheck{hash: h, key: key}
	c.pool.New = func() any { return &hasher{h: h.New()} }
	return c
}

func (c *rsaCheck) check(signed string, sig []byte) bool {
	h, sum := c.sum(signed)
	ok := rsa.VerifyPKCS1v15(c.key, c.hash, sum, sig) == nil
	c.pool.Put(h)
	return ok
}

// hmacCheck compares HMACs. How long that takes tells nothing about where sig
// is wrong.
type hmacCheck struct{ hashes }

func newHMACCheck(h crypto.Hash, secret []byte) *hmacCheck {
	c := &hmacCheck{}
	c.pool.New = func() any { return &hasher{h: hmac.New(h.New, secret)} }
	return c
}

func (c *hmacCheck) check(signed string, sig []byte) bool {
	h, sum := c.sum(signed)
	ok := hmac.Equal(sum, sig)
	clear(sum) // which would be the signature of what was not signed
	c.pool.Put(h)
	return ok
}

// ecdsaCheck checks ECDSA signatures. golang-jwt makes big numbers of their
// halves, of which crypto/ecdsa makes bytes again: 24 allocations for ES256, and
// 10 without.
type ecdsaCheck struct {
	hashes
	key  *ecdsa.PublicKey
	half int // bytes of r, and of s
}

func newECDSACheck(h crypto.Hash, key *ecdsa.PublicKey) *ecdsaCheck {
	c := &ecdsaCheck{key: key, half: (key.Curve.Params().BitSize + 7) / 8}
	c.pool.New = func() any { return &hasher{h: h.New()} }
	return c
}

func (c *ecdsaCheck) check(signed string, sig []byte) bool {
	if len(sig) != 2*c.half { // RFC 7518 §3.4
		return false
	}
	h, sum := c.sum(signed)
	der := appendDER(h.der[:0], sig[:c.half], sig[c.half:])
	ok := ecdsa.VerifyASN1(c.key, sum, der)
	c.pool.Put(h)
	return ok
}

// appendDER appends the ASN.1 form of a signature: a sequence of two integers
// of at most 66 bytes each (RFC 3279 §2.2.3).
func appendDER(b, r, s []byte) []byte {
	r, s = unsigned(r), unsigned(s)
	n := integerLen(r) + integerLen(s)
	b = append(b, 0x30)
	if n >= 0x80 {
		b = append(b, 0x81)
	}
	b = append(b, byte(n))
	return appendInteger(appendInteger(b, r), s)
}

// unsigned cuts leading zeros off, but for one of nothing but zeros.
func unsigned(n []byte) []byte {
	for len(n) > 1 && n[0] == 0 {
		n = n[1:]
	}
	return n
}

func integerLen(n []byte) int { return 2 + int(n[0]>>7) + len(n) }

func appendInteger(b, n []byte) []byte {
	b = append(b, 2, byte(integerLen(n)-2))
	if n[0] >= 0x80 {
		b = append(b, 0) // or it would be negative
	}
	return append(b, n...)
}

// hashes keeps hashers. An HMAC that was used before starts from the hashed
// secret, and none allocates.
type hashes struct{ pool sync.Pool }

type hasher struct {
	h   hash.Hash
	buf [1024]byte // a piece of the token on its way, for hashes take no string; then the sum
	der [144]byte  // an ECDSA signature: 2×(2+67) bytes and 3 before them are the most
}

// sum hashes signed. Whoever calls it puts h back once sum is used.
func (p *hashes) sum(signed string) (h *hasher, sum []byte) {
	h = p.pool.Get().(*hasher)
	h.h.Reset()
	for len(signed) > 0 {
		n := copy(h.buf[:], signed)
		h.h.Write(h.buf[:n])
		signed = signed[n:]
	}
	return h, h.h.Sum(h.buf[:0])
}
