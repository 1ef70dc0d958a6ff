package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// members calls each with the members of a JSON object. Unlike encoding/json it
// refuses one that comes twice, and what follows the object; names keep their
// capitals. Its errors quote no value.
func members(data []byte, each func(name string, value json.RawMessage) error) error {
	if !utf8.Valid(data) {
		return errors.New("is not UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	if t, err := dec.Token(); err != nil || t != json.Delim('{') {
		return errors.New("is no JSON object")
	}
	seen := make(map[string]bool)
	for dec.More() {
		t, err := dec.Token()
		name, ok := t.(string)
		var value json.RawMessage
		if err != nil || !ok || dec.Decode(&value) != nil {
			return fmt.Errorf("is no JSON at byte %d", dec.InputOffset())
		}
		if seen[name] {
			return fmt.Errorf("has %.64q twice", name)
		}
		seen[name] = true
		if err := each(name, value); err != nil {
			return err
		}
	}
	// At the end of what was cut short the error is io.EOF, too.
	end, err := dec.Token()
	if err == nil && end == json.Delim('}') {
		_, err = dec.Token()
	} else {
		err = io.ErrUnexpectedEOF
	}
	if err != io.EOF {
		return fmt.Errorf("is no JSON object alone at byte %d", dec.InputOffset())
	}
	return nil
}

// text reads a string. Null is none, and what cannot be decoded is no character.
func text(value json.RawMessage) (s string, err error) {
	if !bytes.HasPrefix(value, []byte(`"`)) || json.Unmarshal(value, &s) != nil || strings.ContainsRune(s, utf8.RuneError) {
		return "", errors.New("is no string of characters")
	}
	return s, nil
}

// texts reads an array of strings that are not empty.
func texts(value json.RawMessage) ([]string, error) {
	var items []json.RawMessage
	if !bytes.HasPrefix(value, []byte("[")) || json.Unmarshal(value, &items) != nil {
		return nil, errors.New("is no array of strings")
	}
	all := make([]string, len(items))
	for i, item := range items {
		var err error
		if all[i], err = text(item); err != nil || all[i] == "" {
			return nil, errors.New("has an entry that is no string, or empty")
		}
	}
	return all, nil
}
