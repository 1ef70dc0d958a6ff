package authjwt

import (
	"bytes"
	"strings"
	"sync"
	"testing"
)

func TestKeyring(t *testing.T) {
	parse := func(kids ...string) *KeySet {
		set, err := ParseKeySet(jwksDocument(kids...))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	first := parse("a", "b")
	k := NewKeyring(first)
	if k.KeySet() != first {
		t.Error("the first set is not the current one")
	}
	k.Replace(parse("b", "a"))
	if k.KeySet() != first {
		t.Error("the same keys took the set's place")
	}
	second := parse("b", "c")
	k.Replace(second)
	if k.KeySet() != second {
		t.Error("other keys did not take the set's place")
	}
	if set, err := k.Refresh(t.Context(), first, "c"); set != second || err != nil {
		t.Errorf("Refresh: %p, %v", set, err)
	}
	if err := k.ReplaceJWKS(jwksDocument("d")); err != nil || !jwksHas(k.KeySet(), "d") || jwksHas(k.KeySet(), "c") {
		t.Errorf("ReplaceJWKS: %v", err)
	}
	k.Replace(nil)
	if k.KeySet() != nil {
		t.Error("a nil set did not take the keys away")
	}
}

func TestKeyringWithoutKeys(t *testing.T) {
	for _, k := range []*Keyring{new(Keyring), NewKeyring(nil)} {
		if k.KeySet() != nil {
			t.Error("keys from nowhere")
		}
		_, err := k.Refresh(t.Context(), nil, "a")
		wantUnavailable(t, err)
		k.Replace(nil)
		if err := k.ReplaceJWKS(jwksDocument("a")); err != nil || !jwksHas(k.KeySet(), "a") {
			t.Errorf("ReplaceJWKS: %v", err)
		}
	}
}

func TestKeyringRefusesBadDocuments(t *testing.T) {
	k := new(Keyring)
	if err := k.ReplaceJWKS(jwksDocument("a")); err != nil {
		t.Fatal(err)
	}
	good := k.KeySet()
	for name, document := range map[string][]byte{
		"empty":    nil,
		"no JSON":  []byte("s3cret"),
		"no keys":  jwksDocument(),
		"too long": append(jwksDocument("b"), bytes.Repeat([]byte{' '}, maxDocument)...),
	} {
		err := k.ReplaceJWKS(document)
		if err == nil || !strings.HasPrefix(err.Error(), "authjwt: ") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		if k.KeySet() != good {
			t.Errorf("%s: the keys were replaced", name)
		}
	}
}

// A document's bytes are the caller's again after ReplaceJWKS.
func TestKeyringKeepsNoBytes(t *testing.T) {
	k := new(Keyring)
	document := jwksDocument("a")
	if err := k.ReplaceJWKS(document); err != nil {
		t.Fatal(err)
	}
	clear(document)
	want, err := ParseKeySet(jwksDocument("a"))
	if err != nil {
		t.Fatal(err)
	}
	if !k.KeySet().equal(want) {
		t.Error("the keys changed with the document")
	}
}

func TestKeyringConcurrently(t *testing.T) {
	k := new(Keyring)
	var all sync.WaitGroup
	for _, kid := range []string{"a", "b", "c", "d"} {
		all.Go(func() {
			for range 200 {
				if err := k.ReplaceJWKS(jwksDocument(kid)); err != nil {
					t.Error(err)
				}
				if set, err := k.Refresh(t.Context(), nil, kid); err != nil || len(set.keys) != 1 {
					t.Errorf("Refresh: %v", err)
				}
			}
		})
	}
	all.Wait()
}
