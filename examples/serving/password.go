package main

import (
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/argon2"
	"golang.org/x/crypto/bcrypt"
)

// passwordHash is a password as it is stored: one of the two.
type passwordHash struct {
	bcrypt []byte
	argon  *argonHash
}

// argonHash is an Argon2id hash (RFC 9106).
type argonHash struct {
	memory, time uint32 // KiB, passes
	threads      uint8
	salt, hash   []byte
}

// What a hash may cost: more than 256 MiB or a second or so is a mistake in the
// file rather than caution.
const (
	maxArgonMemory = 256 << 10
	maxArgonTime   = 16
	maxBcryptCost  = 15
)

// maxBcryptPassword is all that bcrypt looks at. Longer passwords match nothing:
// they would all be one. So do those with a zero byte, which bcrypt puts behind a
// password before it repeats the two: "p" and "p\x00p" would be one.
const maxBcryptPassword = 72

// parsePasswordHash reads what `htpasswd -B` and `argon2 -id -e` write. Its errors
// do not quote it.
func parsePasswordHash(text string) (passwordHash, error) {
	if strings.HasPrefix(text, "$argon2id$") {
		a, err := parseArgon(text)
		return passwordHash{argon: a}, err
	}
	cost, err := bcrypt.Cost([]byte(text))
	switch {
	case err != nil || len(text) != 60:
		return passwordHash{}, errors.New("is neither $argon2id$… nor bcrypt's $2b$…")
	case cost > maxBcryptCost:
		return passwordHash{}, fmt.Errorf("has a cost of %d, more than %d", cost, maxBcryptCost)
	}
	return passwordHash{bcrypt: []byte(text)}, nil
}

// parseArgon reads $argon2id$v=19$m=19456,t=2,p=1$salt$hash.
func parseArgon(text string) (*argonHash, error) {
	a := new(argonHash)
	fields := strings.Split(text, "$")
	if len(fields) != 6 || fields[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return nil, errors.New("is not $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	}
	_, err := fmt.Sscanf(fields[3], "m=%d,t=%d,p=%d", &a.memory, &a.time, &a.threads)
	if err != nil || fields[3] != fmt.Sprintf("m=%d,t=%d,p=%d", a.memory, a.time, a.threads) {
		return nil, errors.New("has parameters that are not m=…,t=…,p=…")
	}
	if a.threads < 1 || a.time < 1 || a.time > maxArgonTime || a.memory < 8*uint32(a.threads) || a.memory > maxArgonMemory {
		return nil, fmt.Errorf("has parameters out of range: m up to %d KiB, t up to %d", maxArgonMemory, maxArgonTime)
	}
	encoding := base64.RawStdEncoding.Strict()
	var errSalt, errHash error
	a.salt, errSalt = encoding.DecodeString(fields[4])
	a.hash, errHash = encoding.DecodeString(fields[5])
	if errSalt != nil || errHash != nil || len(a.salt) < 8 || len(a.hash) < 16 || len(a.hash) > 64 {
		return nil, errors.New("has a salt of less than 8 bytes, or a hash not of 16 to 64, in base64 without =")
	}
	return a, nil
}

// matches takes as long for a wrong password as for the right one.
func (h passwordHash) matches(password string) bool {
	if h.argon != nil {
		a := h.argon
		got := argon2.IDKey([]byte(password), a.salt, a.time, a.memory, a.threads, uint32(len(a.hash)))
		return subtle.ConstantTimeCompare(got, a.hash) == 1
	}
	cut := password[:min(len(password), maxBcryptPassword)]
	right := bcrypt.CompareHashAndPassword(h.bcrypt, []byte(cut)) == nil
	return right && len(cut) == len(password) && !strings.Contains(password, "\x00")
}
