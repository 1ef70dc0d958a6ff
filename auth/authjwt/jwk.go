package authjwt

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
)

// ParseKeySet reads a JWK Set (RFC 7517) of at most 1 MiB and 256 keys.
//
// Providers publish keys for other purposes beside those for signatures. As RFC
// 7517 §5 says, a public key is passed over if it has another use, a kty, crv or
// alg that is not known here, a member missing or out of range, or private
// members, for then whoever reads the set could sign; [KeySet.Skipped] has the
// reasons. An RSA key without an alg is good for RS256. A shared secret must have
// an alg, and anything wrong with it is an error. A key that is listed twice, as
// some providers do, counts once.
//
// It is an error of the set as a whole if it is not strictly JSON (a member
// twice, for instance), has two different keys of one kid and alg, mixes shared
// secrets with public keys, or has no key that can be used. Certificates and
// URLs in it (x5c, x5u) are neither read nor fetched. ParseKeySet does not keep
// jwks, and no error has a key in it.
func ParseKeySet(jwks []byte) (*KeySet, error) {
	jwkSet, err := readKeys(jwks)
	if err != nil {
		return nil, fmt.Errorf("authjwt: JWK Set: %w", err)
	}
	var keys []*verifyKey
	var skipped []string
	var errs []error
	for i, m := range jwkSet {
		k, err := checkJWK(m)
		if err != nil {
			id, _ := m["kid"].(string)
			err = fmt.Errorf("keys[%d]%s: %w", i, called(id), err)
			skipped = append(skipped, err.Error())
			if m["kty"] == "oct" && !errors.Is(err, errPurpose) {
				errs = append(errs, fmt.Errorf("authjwt: JWK Set: %w", err))
			}
			continue
		}
		keys = append(keys, k)
	}
	set, err := newSet(keys)
	if len(keys) == 0 && len(errs) == 0 {
		err = noneUsable(skipped)
	}
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	set.skipped = skipped
	return set, nil
}

// noneUsable is the error of a set without a usable key. It quotes a few reasons.
func noneUsable(skipped []string) error {
	err := errors.New("authjwt: JWK Set: no key for signatures")
	for _, why := range skipped[:min(3, len(skipped))] {
		err = fmt.Errorf("%w; %s", err, why)
	}
	return err
}

// readKeys returns the members of the set's keys.
func readKeys(jwks []byte) ([]map[string]any, error) {
	if len(jwks) > maxJWKS {
		return nil, fmt.Errorf("longer than %d bytes", maxJWKS)
	}
	doc, err := parseJSON(jwks)
	if err != nil {
		return nil, err
	}
	list, ok := doc["keys"].([]any)
	if !ok {
		return nil, errors.New("it has no list of keys")
	}
	if len(list) > maxKeys {
		return nil, fmt.Errorf("%d keys; at most %d", len(list), maxKeys)
	}
	keys := make([]map[string]any, len(list))
	for i, v := range list {
		if keys[i], ok = v.(map[string]any); !ok {
			return nil, fmt.Errorf("keys[%d] is not an object", i)
		}
	}
	return keys, nil
}

// errPurpose is of keys that may be good for something else.
var errPurpose = errors.New("not for signatures that are checked here")

// checkJWK makes a key of a JWK.
func checkJWK(m map[string]any) (*verifyKey, error) {
	id, err := stringMember(m, "kid")
	if err != nil {
		return nil, err
	}
	alg, err := stringMember(m, "alg")
	if err != nil {
		return nil, err
	}
	if err := checkUse(m); err != nil {
		return nil, err
	}
	if _, ok := lookUp(alg); !ok && m["alg"] != nil {
		return nil, fmt.Errorf("%w: alg %.32q", errPurpose, alg)
	}
	key := Key{ID: id, Algorithm: alg}
	kty, err := stringMember(m, "kty")
	if err != nil {
		return nil, err
	}
	switch kty {
	case "oct":
		if alg == "" {
			return nil, errors.New("a shared secret without an alg")
		}
		key.Key, err = bytesMember(m, "k")
	case "RSA":
		if alg == "" {
			key.Algorithm = "RS256"
		}
		key.Key, err = rsaMember(m)
	case "EC":
		key.Key, err = ecMember(m)
	case "OKP":
		key.Key, err = okpMember(m)
	default:
		return nil, fmt.Errorf("%w: kty %.32q", errPurpose, kty)
	}
	if err != nil {
		return nil, err
	}
	for _, private := range [...]string{"d", "p", "q"} {
		if _, ok := m[private]; ok && kty != "oct" {
			return nil, errors.New("a private key: whoever reads the set could sign with it")
		}
	}
	return key.check()
}

// checkUse refuses keys that are not for checking signatures (RFC 7517 §4.2
// and §4.3).
func checkUse(m map[string]any) error {
	use, err := stringMember(m, "use")
	if err != nil {
		return err
	}
	if m["use"] != nil && use != "sig" {
		return fmt.Errorf("%w: use %.32q", errPurpose, use)
	}
	v, ok := m["key_ops"]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		return errors.New("key_ops is not a list")
	}
	verify, others := 0, 0
	for _, op := range list {
		switch op {
		case "verify":
			verify++
		case "sign":
		default:
			others++
		}
	}
	switch {
	case verify == 0:
		return fmt.Errorf("%w: key_ops without verify", errPurpose)
	case verify > 1 || others > 0 || len(list) > 2:
		return errors.New("key_ops with an operation twice, or unrelated ones")
	}
	return nil
}

// stringMember returns a member that is a string, or "" if it is not there.
func stringMember(m map[string]any, name string) (string, error) {
	v, there := m[name]
	s, ok := v.(string)
	if there && !ok {
		return "", fmt.Errorf("%s is not a string", name)
	}
	return s, nil
}

// bytesMember returns what a member encodes in base64url.
func bytesMember(m map[string]any, name string) ([]byte, error) {
	s, ok := m[name].(string)
	if !ok {
		return nil, fmt.Errorf("%s is missing, or not a string", name)
	}
	b, err := decode(nil, s)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return b, nil
}

func rsaMember(m map[string]any) (*rsa.PublicKey, error) {
	n, err := bytesMember(m, "n")
	if err != nil {
		return nil, err
	}
	e, err := bytesMember(m, "e")
	if err != nil {
		return nil, err
	}
	exponent := new(big.Int).SetBytes(e)
	if !exponent.IsInt64() || exponent.Int64() > 1<<31-1 {
		exponent.SetInt64(0) // which checkRSA refuses; an int may have 32 bits
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(exponent.Int64())}, nil
}

// ecMember reads a point, whose coordinates have all their bytes, zeros too (RFC
// 7518 §6.2.1.2).
func ecMember(m map[string]any) (*ecdsa.PublicKey, error) {
	crv, err := stringMember(m, "crv")
	if err != nil {
		return nil, err
	}
	var curve elliptic.Curve
	switch crv {
	case "P-256":
		curve = elliptic.P256()
	case "P-384":
		curve = elliptic.P384()
	case "P-521":
		curve = elliptic.P521()
	default:
		return nil, fmt.Errorf("%w: crv %.32q", errPurpose, crv)
	}
	point := []byte{4}
	for _, name := range [...]string{"x", "y"} {
		b, err := bytesMember(m, name)
		if err != nil {
			return nil, err
		}
		if len(b) != (curve.Params().BitSize+7)/8 {
			return nil, fmt.Errorf("%s has %d bytes, not those of %s", name, len(b), crv)
		}
		point = append(point, b...)
	}
	return parsePoint(curve, point)
}

// okpMember reads an Ed25519 key (RFC 8037 §2).
func okpMember(m map[string]any) (ed25519.PublicKey, error) {
	crv, err := stringMember(m, "crv")
	if err != nil {
		return nil, err
	}
	if crv != "Ed25519" {
		return nil, fmt.Errorf("%w: crv %.32q", errPurpose, crv)
	}
	return bytesMember(m, "x")
}
