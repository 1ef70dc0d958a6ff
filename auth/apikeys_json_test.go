package auth

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"
)

func hexOf(key string) string {
	hash := HashAPIKey(key)
	return hex.EncodeToString(hash[:])
}

func TestParseAPIKeys(t *testing.T) {
	got, err := ParseAPIKeys([]byte(` [
		{"sha256": "` + strings.ToUpper(hexOf("a")) + `", "owner": "alice"},
		{"expires_at": "2027-01-01T01:00:00+01:00", "scopes": ["s"], "roles": ["r", "q"], "owner": "b\u00f6b", "id": "k", "sha256": "` + hexOf("b") + `"}
	] `))
	if err != nil {
		t.Fatal(err)
	}
	want := []APIKey{
		{Hash: HashAPIKey("a"), Owner: "alice"},
		{Hash: HashAPIKey("b"), ID: "k", Owner: "böb", Roles: []string{"r", "q"}, Scopes: []string{"s"}},
	}
	if !got[1].ExpiresAt.Equal(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("it expires at %v", got[1].ExpiresAt)
	}
	got[1].ExpiresAt = time.Time{}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v", got)
	}
	if keys, err := ParseAPIKeys([]byte("[]")); len(keys) != 0 || err != nil {
		t.Errorf("no keys: %v %v", keys, err)
	}
}

func TestParseAPIKeysRefuses(t *testing.T) {
	ok := `"sha256": "` + hexOf("a") + `", "owner": "o"`
	for text, want := range map[string]string{
		``:                                     "not a JSON array",
		`null`:                                 "not a JSON array",
		`{` + ok + `}`:                         "not a JSON array",
		"[\"\xff\"]":                           "not a JSON array in UTF-8",
		`sk_secret`:                            "not a JSON array",
		`[{` + ok + `}] x`:                     "not JSON at byte",
		`[{` + ok + `},]`:                      "not JSON at byte",
		`[{` + ok:                              "not JSON at byte",
		`[null]`:                               "keys[0] is no object",
		`["sk_secret"]`:                        "keys[0] is no object",
		`[[]]`:                                 "keys[0] is no object",
		`[{}]`:                                 "keys[0].sha256 is missing\nauth: ParseAPIKeys: keys[0].owner is missing",
		`[{` + ok + `, "x": 1}]`:               "keys[0] has an unknown member",
		`[{` + ok + `, "ID": "x"}]`:            "keys[0] has an unknown member",
		`[{` + ok + `, "owner":""}]`:           "keys[0].owner comes twice",
		`[{` + ok + `, "\u006fwner": "p"}]`:    "keys[0].owner comes twice",
		`[{` + ok + `, "id": null}]`:           "keys[0].id is no string",
		`[{` + ok + `, "id": "\ud800"}]`:       "keys[0].id has a character that is none",
		`[{` + ok + `, "roles": null}]`:        "keys[0].roles is no array of strings",
		`[{` + ok + `, "roles": "r"}]`:         "keys[0].roles is no array of strings",
		`[{` + ok + `, "roles": ["r", null]}]`: "keys[0].roles has an entry that is no string",
		`[{` + ok + `, "roles": [""]}]`:        "keys[0].Roles[0] is empty",
		`[{` + ok + `, "scopes": ["a b"]}]`:    "keys[0].Scopes[0] is no scope",
		`[{` + ok + `, "expires_at": 1}]`:      "keys[0].expires_at is no string",
		`[{` + ok + `, "expires_at": "2027-01-01"}]`:                     "keys[0].expires_at is no time",
		`[{` + ok + `, "expires_at": "0001-01-01T00:00:00Z"}]`:           "keys[0].expires_at is no time", // it would be never
		`[{` + ok + `, "expires_at": ""}]`:                               "keys[0].expires_at is no time",
		`[{"sha256": "sk_secret", "owner": "o"}]`:                        "keys[0].sha256 is not 64 hexadecimal digits",
		`[{"sha256": 7, "owner": "o"}]`:                                  "keys[0].sha256 is no string",
		`[{"sha256": "` + hexOf("a") + `00", "owner":1}]`:                "keys[0].sha256 is not 64",
		`[{"sha256": "` + strings.Repeat("sk", 32) + `", "owner": "o"}]`: "keys[0].sha256 is not 64",
		`[{"sha256": "` + strings.Repeat("0", 64) + `", "owner": "o"}]`:  "keys[0].Hash is not set",
		`[{` + ok + `}, {` + ok + `}]`:                                   "keys[1].Hash is that of ParseAPIKeys: keys[0]",
		`[{"sha256": "` + hexOf("a") + `", "owner": ""}]`:                "keys[0].Owner is empty",
	} {
		keys, err := ParseAPIKeys([]byte(text))
		if err == nil || keys != nil || !strings.HasPrefix(err.Error(), "auth: ParseAPIKeys: ") || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
		if err != nil && strings.Contains(err.Error(), "sk") {
			t.Errorf("%s: quoted in %v", text, err)
		}
	}
	// All at once, in their order.
	_, err := ParseAPIKeys([]byte(`[7, {` + ok + `, "roles": [""]}, {"owner": 1}]`))
	if n := strings.Count(err.Error(), "\n") + 1; n != 4 {
		t.Errorf("%d mistakes:\n%v", n, err)
	}
}

// What is parsed is what encoding/json makes of it, written out and back, and
// never surprises Replace.
func FuzzParseAPIKeys(f *testing.F) {
	f.Add([]byte(`[{"sha256": "` + hexOf("a") + `", "owner": "o", "id": "i", "roles": ["r"], "scopes": ["s"], "expires_at": "2027-01-01T00:00:00Z"}]`))
	f.Add([]byte(`[{"sha256": "` + hexOf("a") + `", "owner": "o"}, {"owner": "\ud800"}]`))
	f.Add([]byte(`[{"Owner": null}, 7, [], ""]`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := ParseAPIKeys(data)
		if err != nil {
			if keys != nil || !strings.HasPrefix(err.Error(), "auth: ParseAPIKeys: ") {
				t.Fatalf("%v %v", keys, err)
			}
			return
		}
		a, err := NewAPIKeys(APIKeysConfig{Keys: keys})
		if err != nil || a.Replace(keys) != nil {
			t.Fatalf("parsed, but not accepted: %v", err)
		}
		var reference []struct {
			SHA256        string `json:"sha256"`
			ID, Owner     string
			Roles, Scopes []string
			ExpiresAt     time.Time `json:"expires_at"`
		}
		if err := json.Unmarshal(data, &reference); err != nil || len(reference) != len(keys) {
			t.Fatalf("%d keys; encoding/json: %d %v", len(keys), len(reference), err)
		}
		for i, k := range keys {
			r := reference[i]
			if fmt.Sprintf("%x", k.Hash) != strings.ToLower(r.SHA256) || k.ID != r.ID || k.Owner != r.Owner || !k.ExpiresAt.Equal(r.ExpiresAt) ||
				fmt.Sprint(k.Roles, k.Scopes) != fmt.Sprint(r.Roles, r.Scopes) {
				t.Fatalf("%+v, not %+v", k, r)
			}
		}
	})
}
