package main

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/ballast-go/ballast/auth/authjwt"
)

// parseSigningKeys reads PEM: private keys for ECDSA, Ed25519 or RSA, of which the
// first signs, and public ones, by which tokens are verified besides. Its errors
// quote nothing.
func parseSigningKeys(data []byte) ([]authjwt.SigningKey, error) {
	var keys []authjwt.SigningKey
	// pem.Decode passes over a block that was cut short, and with it a key that
	// tokens in use are signed by.
	begun, whole := bytes.Count(data, []byte("-----B")), 0
	for {
		block, rest := pem.Decode(data)
		if block == nil {
			break
		}
		data = rest
		whole++
		if block.Type == "EC PARAMETERS" { // openssl ecparam writes it before the key
			continue
		}
		key, err := parseKey(block)
		if err != nil {
			return nil, fmt.Errorf("PEM block %d: %w", len(keys)+1, err)
		}
		keys = append(keys, signingKey(key))
	}
	if begun != whole {
		return nil, fmt.Errorf("%d of %d PEM blocks are not whole", begun-whole, begun)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key in PEM")
	}
	if _, ok := keys[0].Key.(crypto.Signer); !ok {
		return nil, errors.New("the first key is not a private one")
	}
	return keys, nil
}

func parseKey(block *pem.Block) (key any, err error) {
	switch block.Type {
	case "PRIVATE KEY":
		key, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	default:
		return nil, errors.New("it is neither PRIVATE KEY nor PUBLIC KEY")
	}
	if err != nil {
		return nil, errors.New("the key cannot be read")
	}
	return key, nil
}

// signingKey says what RSA keys are for; the others have one algorithm.
func signingKey(key any) authjwt.SigningKey {
	switch key.(type) {
	case *rsa.PrivateKey, *rsa.PublicKey:
		return authjwt.SigningKey{Key: key, Algorithm: "RS256"}
	}
	return authjwt.SigningKey{Key: key}
}

// newSigningKey makes one for as long as the process runs.
func newSigningKey() ([]authjwt.SigningKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return []authjwt.SigningKey{signingKey(key)}, nil
}
