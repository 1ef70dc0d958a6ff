package authjwt

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/asn1"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// SigningKey is a key by which an [Issuer] signs, or has signed.
type SigningKey struct {
	// ID is the kid. Empty: the public key's thumbprint (RFC 7638), or, for a shared
	// secret, of which a thumbprint would tell something, none.
	ID string
	// Algorithm is as for [Key]: required for RSA keys and shared secrets.
	Algorithm string
	// Key is an *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, or another
	// crypto.Signer with such a public key, whose private key is elsewhere; or []byte: a shared secret, which
	// is never published. Of a key that does not sign any more the public key is enough.
	Key any

	_ struct{}
}

// signer is a SigningKey that was checked.
type signer struct {
	id, alg string
	public  any // or the shared secret
	key     *verifyKey
	// sign is nil if the private key is not here.
	sign func(m jwt.SigningMethod, signed string) ([]byte, error)
}

// newSigner says what k is, and not yet whether it is any good.
func newSigner(k SigningKey) (signer, error) {
	s := signer{id: k.ID, alg: k.Algorithm}
	private := k.Key
	byLibrary := func(m jwt.SigningMethod, signed string) ([]byte, error) { return m.Sign(signed, private) }
	switch key := k.Key.(type) {
	case nil:
		return s, errors.New("Key is nil")
	case []byte:
		private = slices.Clone(key)
		s.public, s.sign = private, byLibrary
	case *rsa.PrivateKey:
		if key == nil {
			return s, errors.New("Key is nil")
		}
		s.public, s.sign = &key.PublicKey, byLibrary
	case *ecdsa.PrivateKey:
		if key == nil {
			return s, errors.New("Key is nil")
		}
		s.public, s.sign = &key.PublicKey, byLibrary
	case ed25519.PrivateKey:
		if len(key) != ed25519.PrivateKeySize {
			return s, fmt.Errorf("an Ed25519 key of %d bytes; it has %d", len(key), ed25519.PrivateKeySize)
		}
		private = slices.Clone(key)
		s.public, s.sign = key.Public(), byLibrary
	case crypto.Signer:
		s.public = key.Public()
		s.sign = func(m jwt.SigningMethod, signed string) ([]byte, error) { return signElsewhere(key, m, signed) }
	case *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey:
		s.public = key
	default:
		return s, fmt.Errorf("Key is a %T, not a crypto.Signer or []byte", key)
	}
	return s, nil
}

// signElsewhere signs by a key of which golang-jwt does not know how to use it.
func signElsewhere(key crypto.Signer, method jwt.SigningMethod, signed string) ([]byte, error) {
	digest := func(h crypto.Hash) []byte {
		d := h.New()
		d.Write([]byte(signed))
		return d.Sum(nil)
	}
	switch m := method.(type) {
	case *jwt.SigningMethodRSAPSS:
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: m.Hash}
		return key.Sign(rand.Reader, digest(m.Hash), opts)
	case *jwt.SigningMethodRSA:
		return key.Sign(rand.Reader, digest(m.Hash), m.Hash)
	case *jwt.SigningMethodECDSA:
		sig, err := key.Sign(rand.Reader, digest(m.Hash), m.Hash)
		if err != nil {
			return nil, err
		}
		return joined(sig, m.KeySize)
	case *jwt.SigningMethodEd25519:
		return key.Sign(rand.Reader, []byte(signed), crypto.Hash(0))
	}
	return nil, errors.New("the key is not for the algorithm")
}

// joined turns an ECDSA signature from ASN.1 into the two numbers of size bytes, one
// behind the other, of RFC 7518 §3.4.
func joined(sig []byte, size int) ([]byte, error) {
	var n struct{ R, S *big.Int }
	if rest, err := asn1.Unmarshal(sig, &n); err != nil || len(rest) > 0 {
		return nil, errors.New("an ECDSA signature that is not in ASN.1")
	}
	if n.R.Sign() <= 0 || n.S.Sign() <= 0 || n.R.BitLen() > 8*size || n.S.BitLen() > 8*size {
		return nil, errors.New("an ECDSA signature out of range")
	}
	out := make([]byte, 2*size)
	n.R.FillBytes(out[:size])
	n.S.FillBytes(out[size:])
	return out, nil
}

// methodOf returns what signs by alg. golang-jwt has a table of them, too, but one
// that everybody in the process can change.
func methodOf(alg string) jwt.SigningMethod {
	known, _ := lookUp(alg)
	return known.method
}

// signing is what an Issuer signs by, and what it publishes, at one time.
type signing struct {
	signer
	access, refresh string // headers, in base64url
	set             *KeySet
	published       document
}

// newSigning checks keys: those of where in the configuration.
func newSigning(keys []SigningKey, where string) (*signing, error) {
	if len(keys) == 0 || len(keys) > maxKeys {
		return nil, fmt.Errorf("authjwt: %s has %d keys, not 1 to %d", where, len(keys), maxKeys)
	}
	var errs []error
	var signers []signer
	var verifying []*verifyKey
	for i, k := range keys {
		s, err := k.check()
		if i == 0 && err == nil {
			err = s.try()
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("authjwt: %s[%d]: %w", where, i, err))
			continue
		}
		signers, verifying = append(signers, s), append(verifying, s.key)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	set, err := newSet(verifying)
	if err != nil {
		return nil, fmt.Errorf("authjwt: %s: %w", where, err)
	}
	return &signing{
		signer: signers[0],
		access: signers[0].header(typeAccess), refresh: signers[0].header(typeRefresh),
		set: set, published: publish(signers),
	}, nil
}

// check makes a signer of k.
func (k SigningKey) check() (signer, error) {
	if len(k.ID) > maxKeyID || !utf8.ValidString(k.ID) {
		return signer{}, fmt.Errorf("ID is longer than %d bytes, or no UTF-8", maxKeyID)
	}
	s, err := newSigner(k)
	if err != nil {
		return s, err
	}
	if s.key, err = (Key{ID: s.id, Algorithm: s.alg, Key: s.public}).check(); err != nil {
		return s, err
	}
	s.alg = s.key.alg // which may have been left out
	if s.id == "" {
		s.id = newJWK(s).thumbprint()
		s.key.id = s.id
	}
	return s, nil
}

// try signs something: a key that is elsewhere may be another one than it says.
func (s signer) try() error {
	if s.sign == nil {
		return errors.New("the first key signs, and this one is public")
	}
	const text = "a test of the key" // without dots: no part of a token
	sig, err := s.sign(methodOf(s.alg), text)
	if err != nil {
		return fmt.Errorf("it does not sign: %w", err)
	}
	return s.key.verify(text, sig)
}

// header is the JOSE header of tokens of a type, in base64url.
func (s signer) header(typ string) string {
	// Strings always encode.
	h, _ := json.Marshal(struct {
		Algorithm string `json:"alg"`
		KeyID     string `json:"kid,omitempty"`
		Type      string `json:"typ"`
	}{s.alg, s.id, typ})
	return strict.EncodeToString(h)
}

// token signs claims, a JSON object, as a token with the header given.
func (s *signing) token(header string, claims []byte) (string, error) {
	signed := header + "." + strict.EncodeToString(claims)
	sig, err := s.sign(methodOf(s.alg), signed)
	if err != nil {
		return "", fmt.Errorf("authjwt: signing: %w", err)
	}
	token := signed + "." + strict.EncodeToString(sig)
	if len(token) > maxToken {
		return "", fmt.Errorf("authjwt: a token of %d bytes, of which a Verifier reads %d at most", len(token), maxToken)
	}
	return token, nil
}
