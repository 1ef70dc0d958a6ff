package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
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
	roles, scopes []string
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
