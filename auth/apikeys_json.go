package auth

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// ParseAPIKeys reads keys from JSON, for [APIKeysConfig] and
// [APIKeys.Replace]: an array of objects such as
//
//	{"sha256": "9f86d0…", "id": "ci-2026", "owner": "ci", "roles": ["predictor"],
//	 "scopes": ["models:read"], "expires_at": "2027-01-01T00:00:00Z"}
//
// sha256, 64 hexadecimal digits, and owner are required; expires_at is as in RFC
// 3339. It is strict, since what it misread would let somebody in: members that
// are unknown, come twice or are written with other capitals are errors, and so
// are null and text that is not Unicode. The error says what is wrong with the
// keys, the first 20 mistakes, and never quotes what was read.
func ParseAPIKeys(data []byte) ([]APIKey, error) {
	const what = "ParseAPIKeys: keys"
	if !utf8.Valid(data) || !bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("[")) {
		return nil, errors.New("auth: ParseAPIKeys: not a JSON array in UTF-8")
	}
	var items []json.RawMessage
	if err := json.Unmarshal(data, &items); err != nil {
		offset := int64(len(data))
		if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
			offset = syntax.Offset // its text quotes a byte
		}
		return nil, fmt.Errorf("auth: ParseAPIKeys: not JSON at byte %d", offset)
	}
	keys := make([]APIKey, len(items))
	var errs []error
	for i, item := range items {
		mistakes := parseKey(item, &keys[i])
		for _, err := range mistakes {
			errs = append(errs, fmt.Errorf("auth: %s[%d]%w", what, i, err))
		}
		if len(mistakes) == 0 {
			errs = checkKey(errs, what, i, &keys[i])
		}
	}
	if len(errs) == 0 {
		_, errs = newKeyTable(what, keys) // there may be duplicates
	}
	if len(errs) > 0 {
		return nil, joinKeyErrors(errs)
	}
	return keys, nil
}

// parseKey reads an object, which is correct JSON, into k. Its errors go on
// after the key's name.
func parseKey(item []byte, k *APIKey) (errs []error) {
	dec := json.NewDecoder(bytes.NewReader(item))
	if t, _ := dec.Token(); t != json.Delim('{') {
		return []error{errors.New(" is no object")}
	}
	seen := make(map[string]bool)
	for dec.More() {
		t, _ := dec.Token()
		name, _ := t.(string)
		var value json.RawMessage
		_ = dec.Decode(&value)
		switch known, err := k.set(name, value); {
		case !known:
			errs = append(errs, errors.New(" has an unknown member: sha256, id, owner, roles, scopes and expires_at are known"))
		case seen[name]:
			errs = append(errs, fmt.Errorf(".%s comes twice", name))
		case err != nil:
			errs = append(errs, fmt.Errorf(".%s %w", name, err))
		}
		seen[name] = true
	}
	for _, name := range []string{"sha256", "owner"} {
		if !seen[name] {
			errs = append(errs, fmt.Errorf(".%s is missing", name))
		}
	}
	return errs
}

// set sets the field of k that name stands for, and reports whether there is one.
func (k *APIKey) set(name string, value json.RawMessage) (known bool, err error) {
	switch name {
	case "sha256":
		return true, k.setHash(value)
	case "id":
		return true, decodeText(value, &k.ID)
	case "owner":
		return true, decodeText(value, &k.Owner)
	case "roles":
		return true, decodeTexts(value, &k.Roles)
	case "scopes":
		return true, decodeTexts(value, &k.Scopes)
	case "expires_at":
		return true, k.setExpiry(value)
	}
	return false, nil
}

func (k *APIKey) setHash(value json.RawMessage) error {
	var text string
	if err := decodeText(value, &text); err != nil {
		return err
	}
	if len(text) != hex.EncodedLen(len(k.Hash)) {
		return errors.New("is not 64 hexadecimal digits")
	}
	if _, err := hex.Decode(k.Hash[:], []byte(text)); err != nil { // its text quotes a byte
		return errors.New("is not 64 hexadecimal digits")
	}
	return nil
}

func (k *APIKey) setExpiry(value json.RawMessage) error {
	var text string
	if err := decodeText(value, &text); err != nil {
		return err
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.IsZero() { // zero would be never
		return errors.New("is no time as in RFC 3339")
	}
	k.ExpiresAt = t
	return nil
}

// decodeText reads a string. A half of a surrogate pair would become U+FFFD, and
// two owners one.
func decodeText(value json.RawMessage, to *string) error {
	if !bytes.HasPrefix(value, []byte(`"`)) || json.Unmarshal(value, to) != nil {
		return errors.New("is no string")
	}
	if strings.ContainsRune(*to, utf8.RuneError) {
		return errors.New("has a character that is none")
	}
	return nil
}

func decodeTexts(value json.RawMessage, to *[]string) error {
	var items []json.RawMessage
	if !bytes.HasPrefix(value, []byte("[")) || json.Unmarshal(value, &items) != nil {
		return errors.New("is no array of strings")
	}
	*to = make([]string, len(items))
	for i, item := range items {
		if err := decodeText(item, &(*to)[i]); err != nil {
			return fmt.Errorf("has an entry that %w", err)
		}
	}
	return nil
}
