package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/ballast-go/ballast/auth"
)

// users are those who may log in. They are never changed.
type users struct {
	byName map[string]user
	names  []string // sorted
	seed   maphash.Seed
}

type user struct {
	hash          passwordHash
	text          string // of the hash, by which a change is seen
	stamp         string // of text, for tokens
	roles, scopes []string
}

// stampClaim is the claim of a user's tokens that says which of their passwords
// they logged in with.
const stampClaim = "pwd"

// stampOf is another for each hash. It is in tokens, and tells nothing of the
// password to who does not know the hash's salt.
func stampOf(hash string) string {
	sum := sha256.Sum256([]byte(hash))
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// current accepts tokens of users that there are, with the passwords that they
// have. A list of revocations does not suffice: it is not there in a replica that
// was started after the password was changed, and a login may have looked at the
// password before the change, and be given its tokens after it.
type current struct {
	tokens auth.Authenticator
	users  *atomic.Pointer[users]
}

func (c current) Authenticate(ctx context.Context, credentials auth.Credentials) (*auth.Principal, error) {
	p, err := c.tokens.Authenticate(ctx, credentials)
	if err != nil {
		return nil, err
	}
	one, known := c.users.Load().byName[p.Subject]
	if stamp, _ := p.Claims[stampClaim].(string); !known || stamp != one.stamp {
		return nil, &auth.Error{Cause: auth.ErrInvalid, Reason: "the user is gone, or has another password by now"}
	}
	return p, nil
}

const maxUserName = 256

// parseUsers reads an object of users by name:
//
//	{"alice@example.com": {"password": "$argon2id$…", "roles": ["analyst"], "scopes": []}}
//
// Its error says everything that is wrong, and quotes no hash.
func parseUsers(data []byte) (*users, error) {
	u := &users{byName: make(map[string]user), seed: maphash.MakeSeed()}
	var errs []error
	err := members(data, func(name string, value json.RawMessage) error {
		one, err := parseUser(value)
		if !isUserName(name) {
			errs = append(errs, fmt.Errorf("user %.64q: the name is empty, has control characters, or more than %d bytes", name, maxUserName))
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("user %.64q: %w", name, err))
		}
		u.byName[name] = one
		return nil
	})
	if err != nil {
		return nil, errors.Join(append(errs, err)...)
	}
	u.names = slices.Sorted(maps.Keys(u.byName))
	return u, errors.Join(errs...)
}

func isUserName(s string) bool {
	return s != "" && len(s) <= maxUserName && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

func parseUser(data []byte) (one user, err error) {
	var errs []error
	errObject := members(data, func(name string, value json.RawMessage) error {
		var err error
		switch name {
		case "password":
			if one.text, err = text(value); err == nil {
				one.hash, err = parsePasswordHash(one.text)
				one.stamp = stampOf(one.text)
			}
		case "roles":
			one.roles, err = texts(value)
		case "scopes":
			one.scopes, err = texts(value)
		default:
			err = errors.New("is unknown")
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%.64q %w", name, err))
		}
		return nil
	})
	if errObject == nil && one.text == "" {
		errs = append(errs, errors.New("has no password"))
	}
	return one, errors.Join(append(errs, errObject)...)
}

// verify returns the user of that name if it is their password. It costs as much
// for a name that there is not, or the answer's time would tell which there are.
func (u *users) verify(name, password string) (user, bool) {
	one, known := u.candidate(name)
	if one.text == "" { // there are no users
		return user{}, false
	}
	right := one.hash.matches(password)
	if !known || !right {
		return user{}, false
	}
	return one, true
}

// candidate returns whose hash the password is compared with. For a name that
// there is not that is some user's, for a decoy, and the same one's each time: a
// name whose time changed would be none.
func (u *users) candidate(name string) (one user, known bool) {
	one, known = u.byName[name]
	if !known && len(u.names) > 0 {
		one = u.byName[u.names[maphash.String(u.seed, name)%uint64(len(u.names))]]
	}
	return one, known
}
