package authjwt

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"sort"
)

// weakSums has the first 8 bytes of the SHA-256 sums of known secrets, sorted:
// those of github.com/wallarm/jwt-secrets (MIT, see weaksecrets.LICENSE) that
// are long enough to get past the other checks, as they stand there or decoded,
// and the examples of jwt.io. With 3,800 sums, 30 KB, a random secret is taken
// for a known one once in 2⁵¹ times; a Bloom filter of that size would do no
// better, and have parameters.
//
//go:generate env GOWORK=off go -C ../../tools run ./weaksecrets -o ../auth/authjwt/weaksecrets.bin ../../shared/vectors/weak-hmac-keys/jwt.secrets.list
//go:embed weaksecrets.bin
var weakSums string

// maxPadding is how many bytes at the ends of a secret may be zeros or white
// space. That 9 of 32 random bytes are happens once in some 2⁴³ secrets.
const maxPadding = 8

// checkSecret refuses a shared secret that is shorter than the hash, size bytes,
// or that can be guessed: one token is enough to try guesses on. It says nothing
// of the secret itself.
func checkSecret(secret []byte, size int) error {
	if len(secret) < size {
		return fmt.Errorf("a secret of %d bytes; at least the hash's %d are needed (RFC 7518 §3.2)", len(secret), size)
	}
	// Zeros at the end do not even change the HMAC (RFC 2104 §2); white space is
	// what a file or an editor adds.
	core := bytes.TrimSpace(bytes.TrimRight(secret, "\x00"))
	if len(core) < size-maxPadding {
		return errors.New("a short secret, padded with zeros or white space")
	}
	if repeats(core, size/2) {
		return errors.New("a short secret, repeated")
	}
	if knownSecret(secret) || knownSecret(core) {
		return errors.New("a secret that is publicly known; make one with crypto/rand")
	}
	return nil
}

// repeats reports whether b is the beginning of a sequence of at most longest
// bytes over and over.
func repeats(b []byte, longest int) bool {
	for period := 1; period <= longest; period++ {
		if bytes.Equal(b[period:], b[:len(b)-period]) {
			return true
		}
	}
	return false
}

func knownSecret(secret []byte) bool {
	hash := sha256.Sum256(secret)
	sum := string(hash[:8])
	n := len(weakSums) / 8
	i := sort.Search(n, func(i int) bool { return weakSums[8*i:8*i+8] >= sum })
	return i < n && weakSums[8*i:8*i+8] == sum
}
