package authjwt

import (
	"encoding/base64"
	"errors"
	"strings"
)

// maxToken is the longest token that is looked at.
const maxToken = 16 << 10

var (
	errLong    = errors.New("longer than allowed")
	errCompact = errors.New("no JWS in compact serialisation")
	errBase64  = errors.New("not base64url without padding")
)

// token is a JWS in compact serialisation (RFC 7515 §3.1), cut at its dots. The
// other serialisations are not supported.
type token struct {
	whole   string
	signed  string // header and payload with the dot between: what is signed
	header  string
	payload string
	sig     string
}

// split cuts a token at its two dots. Header and signature must not be empty: an
// empty signature is what the algorithm "none" has.
func split(s string) (t token, err error) {
	first := strings.IndexByte(s, '.')
	last := strings.LastIndexByte(s, '.')
	if first <= 0 || last <= first || last+1 == len(s) || strings.IndexByte(s[first+1:last], '.') >= 0 {
		return t, errCompact
	}
	return token{whole: s, signed: s[:last], header: s[:first], payload: s[first+1 : last], sig: s[last+1:]}, nil
}

// compact reports whether s has the two dots of a compact JWS.
func compact(s string) bool { return strings.Count(s, ".") == 2 }

// strict refuses padding, and bits behind the last byte, by which the same
// bytes could be spelled in several ways.
var strict = base64.RawURLEncoding.Strict()

// decode appends the bytes that s encodes to b (RFC 7515 §2).
func decode(b []byte, s string) ([]byte, error) {
	// encoding/base64 skips line ends, even where it is strict.
	if strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 {
		return nil, errBase64
	}
	b, err := strict.AppendDecode(b, []byte(s))
	if err != nil {
		return nil, errBase64
	}
	return b, nil
}
