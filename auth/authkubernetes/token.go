package authkubernetes

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/ballast-go/ballast/auth"
)

// maxToken is how long a token may be that is looked at.
const maxToken = 16 << 10

// unverified is what a token says of itself. Only the API server can tell whether
// it is true: here it decides where a token goes, and when it is over for sure.
type unverified struct {
	issuer  string
	expires time.Time // zero: never
}

// parse reads a token with two dots.
func parse(token string) (u unverified, err error) {
	if strings.Trim(token, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" {
		return u, invalid("token is not in base64url")
	}
	_, rest, _ := strings.Cut(token, ".")
	middle, signature, _ := strings.Cut(rest, ".")
	payload, err := base64.RawURLEncoding.DecodeString(middle)
	if err != nil || signature == "" {
		return u, invalid("token is not in base64url, or not signed")
	}
	// Into a map, since a struct's fields match whatever their case.
	var claims map[string]json.RawMessage
	if err := json.Unmarshal(payload, &claims); err != nil || claims == nil {
		return u, invalid("token's claims are not a JSON object")
	}
	if iss := claims["iss"]; iss != nil && json.Unmarshal(iss, &u.issuer) != nil {
		return u, invalid("iss is not a string")
	}
	if exp := claims["exp"]; exp != nil {
		var seconds float64
		if json.Unmarshal(exp, &seconds) != nil || seconds < 1 || seconds > 1<<38 {
			return u, invalid("exp is not a time")
		}
		u.expires = time.Unix(int64(seconds), 0)
	}
	return u, nil
}

func invalid(format string, args ...any) error {
	return &auth.Error{Cause: auth.ErrInvalid, Reason: fmt.Sprintf("kubernetes: "+format, args...)}
}

// withheld returns the API server's words for a log: cut short, quoted, and not at
// all if they repeat a part of the token.
func withheld(words, token string) string {
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 8 && strings.Contains(words, part) {
			return "(withheld, for it repeats the token)"
		}
	}
	return fmt.Sprintf("%.200q", words)
}
