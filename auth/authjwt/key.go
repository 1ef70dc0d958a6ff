package authjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// Key is a key by which signatures are verified.
type Key struct {
	// ID is the kid, of at most 512 bytes. Empty: the key is tried for tokens
	// without a kid only.
	ID string
	// Algorithm is the only one that the key is good for, as in RFC 7518 §3.1:
	// HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384,
	// ES512 or EdDSA. Empty: for an *ecdsa.PublicKey or ed25519.PublicKey the one
	// that its curve has; required for others.
	Algorithm string
	// Key is an *rsa.PublicKey of 2048 to 8192 bits, *ecdsa.PublicKey on P-256,
	// P-384 or P-521, ed25519.PublicKey, or []byte: a shared secret at least as
	// long as the hash, and not one that is known. It is copied.
	Key any

	_ struct{}
}

// verifyKey is a checked key with its algorithm.
type verifyKey struct {
	id, alg string
	kind    kind
	key     any // as in Key, a copy
	checker checker
	alone   [1]*verifyKey // itself, as find returns it
}

var errSignature = errors.New("the signature is not the key's")

// verify checks sig over signed, which is the token up to its second dot. Why a
// signature is bad is not said: nobody needs to know but who forges.
func (k *verifyKey) verify(signed string, sig []byte) error {
	if !k.checker.check(signed, sig) {
		return errSignature
	}
	return nil
}

// equal reports whether k and other are one key under one name.
func (k *verifyKey) equal(other *verifyKey) bool {
	if k.id != other.id || k.alg != other.alg {
		return false
	}
	if secret, ok := k.key.([]byte); ok {
		return hmac.Equal(secret, other.key.([]byte))
	}
	return k.key.(interface{ Equal(crypto.PublicKey) bool }).Equal(other.key)
}

// check makes a verifyKey of k, or says what is wrong with it.
func (k Key) check() (*verifyKey, error) {
	name := k.algorithm()
	alg, known := lookUp(name)
	if !known && k.Algorithm != "" {
		return nil, fmt.Errorf("the algorithm %.32q is not supported", k.Algorithm)
	}
	if len(k.ID) > maxKeyID {
		return nil, fmt.Errorf("a kid of %d bytes; no token's is longer than %d", len(k.ID), maxKeyID)
	}
	key, kind, err := k.checkKey(alg)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, errors.New("its Algorithm is empty, and the key is good for several")
	}
	if ec, ok := key.(*ecdsa.PublicKey); kind != alg.kind || ok && ec.Curve != alg.curve {
		return nil, fmt.Errorf("the key is not one for %s", name)
	}
	v := &verifyKey{id: k.ID, alg: name, kind: kind, key: key}
	v.alone[0] = v
	switch key := key.(type) {
	case []byte:
		v.checker = newHMACCheck(alg.hash, key)
	case *ecdsa.PublicKey:
		v.checker = newECDSACheck(alg.hash, key)
	case *rsa.PublicKey:
		v.checker = newRSACheck(alg.hash, key)
		if alg.hash == 0 { // by PSS
			v.checker = methodCheck{method: alg.method, key: key}
		}
	default:
		v.checker = methodCheck{method: alg.method, key: key}
	}
	return v, nil
}

// algorithm returns k.Algorithm, or the only one that there is for the key.
func (k Key) algorithm() string {
	if k.Algorithm == "" {
		switch key := k.Key.(type) {
		case *ecdsa.PublicKey:
			if key != nil {
				return ofCurve(key.Curve)
			}
		case ed25519.PublicKey:
			return "EdDSA"
		}
	}
	return k.Algorithm
}

// checkKey returns a checked copy of k.Key, and its kind.
func (k Key) checkKey(alg algorithm) (checked any, kind kind, err error) {
	switch key := k.Key.(type) {
	case []byte:
		if alg.kind == kindSecret { // or how long it must be is not known
			err = checkSecret(key, alg.hash.Size())
		}
		return slices.Clone(key), kindSecret, err
	case *rsa.PublicKey:
		checked, err = checkRSA(key)
		return checked, kindRSA, err
	case *ecdsa.PublicKey:
		checked, err = checkEC(key)
		return checked, kindEC, err
	case ed25519.PublicKey:
		checked, err = checkEd25519(key)
		return checked, kindEd25519, err
	case nil:
		return nil, 0, errors.New("Key is nil")
	default:
		return nil, 0, fmt.Errorf("Key is a %T, not an *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte", key)
	}
}

// The bounds of RSA keys, in bits. RFC 7518 §3.3 asks for 2048. The cost of a
// check grows with the square, and whoever sends tokens makes us pay it.
const (
	minRSA = 2048
	maxRSA = 8192
)

func checkRSA(key *rsa.PublicKey) (*rsa.PublicKey, error) {
	if key == nil || key.N == nil {
		return nil, errors.New("the RSA key is empty")
	}
	switch bits := key.N.BitLen(); {
	case key.N.Sign() <= 0 || key.N.Bit(0) == 0:
		return nil, errors.New("the RSA modulus is not an odd positive number")
	case bits < minRSA || bits > maxRSA:
		return nil, fmt.Errorf("RSA of %d bits; %d to %d are allowed", bits, minRSA, maxRSA)
	case key.E < 3 || key.E&1 == 0 || key.E > 1<<31-1: // with 1, anybody could sign
		return nil, errors.New("the RSA exponent is not an odd number from 3 to 2³¹-1")
	case roca(key.N):
		return nil, errors.New("an RSA key of the kind that can be factored (CVE-2017-15361)")
	}
	return &rsa.PublicKey{N: new(big.Int).Set(key.N), E: key.E}, nil
}

func checkEC(key *ecdsa.PublicKey) (*ecdsa.PublicKey, error) {
	if key == nil || ofCurve(key.Curve) == "" {
		return nil, errors.New("the EC key is not one on P-256, P-384 or P-521")
	}
	b, err := pointBytes(key)
	if err != nil {
		return nil, err
	}
	return parsePoint(key.Curve, b)
}

var errPoint = errors.New("the EC key is not a point of its curve")

// pointBytes encodes key's point, which may be none: then crypto/ecdsa says so
// or, of nil coordinates, panics.
func pointBytes(key *ecdsa.PublicKey) (b []byte, err error) {
	defer func() {
		if recover() != nil {
			b, err = nil, errPoint
		}
	}()
	if b, err = key.Bytes(); err != nil {
		return nil, errPoint
	}
	return b, nil
}

// parsePoint reads a point in SEC 1's uncompressed form, and refuses what is not on the curve.
func parsePoint(c elliptic.Curve, b []byte) (*ecdsa.PublicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(c, b)
	if err != nil {
		return nil, errPoint
	}
	return key, nil
}

func checkEd25519(key ed25519.PublicKey) (ed25519.PublicKey, error) {
	if len(key) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("an Ed25519 key of %d bytes; it has %d", len(key), ed25519.PublicKeySize)
	}
	if !goodEd25519(key) {
		return nil, errors.New("the Ed25519 key is not a point of its curve, or one of those that anybody can sign for")
	}
	return slices.Clone(key), nil
}
