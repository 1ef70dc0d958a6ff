package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
)

func bcryptHash(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(hash)
}

func TestPasswordHashes(t *testing.T) {
	long := strings.Repeat("x", 72)
	for name, tt := range map[string]struct {
		hash, right string
		wrong       []string
	}{
		"argon2id":    {cheapHash("p"), "p", []string{"", "P", "p ", "pp"}},
		"bcrypt":      {bcryptHash(t, "p"), "p", []string{"", "P", "p ", "pp", "p\x00p"}},
		"htpasswd's":  {"$2y" + bcryptHash(t, "p")[3:], "p", []string{"q"}},
		"72 bytes":    {bcryptHash(t, long), long, []string{long + "x", long[1:]}},
		"argon2, 100": {cheapHash(long + long), long + long, []string{long}},
	} {
		h, err := parsePasswordHash(tt.hash)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !h.matches(tt.right) {
			t.Errorf("%s: the password is wrong", name)
		}
		for _, wrong := range tt.wrong {
			if h.matches(wrong) {
				t.Errorf("%s: %q is right", name, wrong)
			}
		}
	}
	good := cheapHash("p")
	for _, bad := range []string{
		"", "hunter2", "$2b$10$short", "$argon2id$", "$argon2i" + good[9:],
		strings.Replace(good, "v=19", "v=16", 1), strings.Replace(good, "m=64", "m=7", 1), strings.Replace(good, "m=64", "m=999999999", 1),
		strings.Replace(good, "m=64", "m=064", 1), strings.Replace(good, "t=1", "t=0", 1), strings.Replace(good, "t=1", "t=17", 1),
		strings.Replace(good, "p=1", "p=0", 1), strings.Replace(good, "p=1", "p=256", 1), strings.Replace(good, "p=1", "p=1,x=1", 1),
		good[:len(good)-30], good + "=", good + "$", "$2b$16" + bcryptHash(t, "p")[6:], bcryptHash(t, "p") + "x",
	} {
		if _, err := parsePasswordHash(bad); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Whom there is not has the hash of somebody there is, and always the same
// one's: neither the time nor its change tells.
func TestUnknownUsersCostTheSame(t *testing.T) {
	u, err := parseUsers([]byte(usersFile("alice:a", "bob:b", "carol:c")))
	if err != nil {
		t.Fatal(err)
	}
	decoys := make(map[string]bool)
	for i := range 50 {
		name := fmt.Sprint("nobody ", i)
		decoy, known := u.candidate(name)
		again, _ := u.candidate(name)
		if known || decoy.text == "" || again.text != decoy.text {
			t.Errorf("%s: decoys %q and %q", name, decoy.text, again.text)
		}
		decoys[decoy.text] = true
		// Each user's own password, so that the decoy's hash matches for one of them.
		for _, password := range []string{"password of alice", "password of bob", "password of carol"} {
			if _, ok := u.verify(name, password); ok {
				t.Errorf("%s has logged in as somebody's decoy", name)
			}
		}
	}
	if len(decoys) != 3 { // by chance once in 10^8
		t.Errorf("%d users are decoys", len(decoys))
	}
	if got, ok := u.verify("bob", "password of bob"); !ok || got.roles[0] != "b" {
		t.Errorf("%+v", got)
	}
	if _, ok := u.verify("bob", "password of alice"); ok {
		t.Error("bob has alice's password")
	}
	nobody, err := parseUsers([]byte("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := nobody.verify("bob", ""); ok {
		t.Error("somebody logged in where there is nobody")
	}
}

func TestParseUsersRefuses(t *testing.T) {
	hash := cheapHash("p")
	for text, want := range map[string]string{
		``:                        "is no JSON object",
		`[]`:                      "is no JSON object",
		`{} x`:                    "alone at byte",
		`{"a": {`:                 "is no JSON at byte",
		"{\"\xff\": 1}":           "is not UTF-8",
		`{"a": 1}`:                `user "a": is no JSON object`,
		`{"a": null}`:             `user "a": is no JSON object`,
		`{"a": {}, "\u0061": {}}`: `has "a" twice`,
		`{"a": {"password": 1}}`:  `"password" is no string`,
		`{"a": {"password": "` + hash + `", "password": "x"}}`: `has "password" twice`,
		`{"a": {"password": "` + hash + `", "Roles": []}}`:     `"Roles" is unknown`,
		`{"a": {"password": "` + hash + `", "roles": null}}`:   `"roles" is no array of strings`,
		`{"a": {"password": "` + hash + `", "roles": [""]}}`:   `"roles" has an entry that is no string, or empty`,
		`{"a": {"password": "` + hash + `", "scopes": [1]}}`:   `"scopes" has an entry`,
		`{"": {"password": "` + hash + `"}}`:                   `the name is empty`,
		`{"a\u0000": {"password": "` + hash + `"}}`:            `control characters`,
		`{"` + strings.Repeat("a", 257) + `": {}}`:             `more than 256 bytes`,
	} {
		if _, err := parseUsers([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), hash) {
			t.Errorf("%.60s: %v", text, err)
		}
	}
}

// The files that the documentation shows are good.
func TestExampleFiles(t *testing.T) {
	s, _ := newTestService(t, "-auth-users=testdata/users.json", "-auth-api-keys=testdata/api-keys.json", "-auth-policy=testdata/policy.json")
	c := &secured{t: t, s: s, h: s.handler(), from: "192.0.2.1"}
	resp, got := c.login("test@example.com", "password123") // the guide's
	if resp.StatusCode != 200 {
		t.Fatalf("%d %s", resp.StatusCode, read(t, resp))
	}
	seven, err := os.ReadFile("testdata/seven.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, header := range [][]string{bearer(got.Access), {"X-API-Key", "sk_example-not-a-secret"}} {
		if resp := c.do("POST", "/predict", string(seven), header...); resp.StatusCode != 200 {
			t.Errorf("%d %s", resp.StatusCode, read(t, resp))
		}
	}
	if resp := c.predict(403, "digits-small", bearer(got.Access)...); resp.StatusCode != 403 {
		t.Error("the policy is another")
	}
}

// members never accepts what encoding/json does not, nor what has a name twice.
func FuzzMembers(f *testing.F) {
	for _, s := range []string{`{}`, `{"a": 1, "b": [{}]}`, `{"a": 1, "a": 2}`, `{"a": 1} {}`, `{"a"`, `{`, `{"a": 1`, `{"a": 1,`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got := make(map[string]string)
		n := 0
		err := members(data, func(name string, value json.RawMessage) error {
			got[name] = string(value)
			n++
			return nil
		})
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil || len(want) != len(got) || n != len(got) {
			t.Fatalf("%d members of %d names; encoding/json has %d, %v", n, len(got), len(want), err)
		}
	})
}
