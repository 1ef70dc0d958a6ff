package authrbac

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// withRule is a document that is good if the rule is.
func withRule(effect, rule string) string {
	return fmt.Sprintf(`{"version": 1, "roles": {"trainer": {%q: [%s]}}}`, effect, rule)
}

func withBinding(binding string) string {
	return fmt.Sprintf(`{"version": 1, "roles": {"r": {"allow": [{"actions": ["a"], "resources": ["b"]}]}}, "bindings": [%s]}`, binding)
}

func withRoles(roles string) string { return fmt.Sprintf(`{"version": 1, "roles": {%s}}`, roles) }

const oneRule = `"allow": [{"actions": ["a"], "resources": ["b"]}]`

// Each fault is named with its place.
func TestBadDocuments(t *testing.T) {
	for _, c := range []struct{ document, want string }{
		{"  \n", "the document is empty"},
		{"{", "the document is not JSON: byte 1: unexpected EOF"},
		{`{"version": 1,}`, "the document is not JSON: byte"},
		{`{} {}`, "something follows the document's end"},
		{"{\"version\": \"\xff\"}", "not valid UTF-8"},
		{`{"roles": {}}`, "version: missing"},
		{`{"version": 2, "roles": {}}`, "version: not 1"},
		{`{"version": "1", "roles": {}}`, "version: not 1"},
		{`{"version": 1.0, "roles": {}}`, "version: not 1"},
		{`{"version": 1}`, "roles: missing"},
		{`{"version": 1, "roles": {}}`, "roles: empty"},
		{`{"version": 1, "roles": []}`, "roles: a list, not an object"},
		{`{"version": 1, "roles": null}`, "roles: null, not an object"},
		{`{"version": 1, "Roles": {}}`, "Roles: unknown; known are version, roles, bindings, trust"},
		{`{"version": 1, "version": 1}`, "version: there twice"},
		{withRoles(`"r": {` + oneRule + `}, "r": {` + oneRule + `}`), "roles.r: there twice"},
		{withRoles(`"": {` + oneRule + `}`), `roles[""]: empty`},
		{withRoles(`"a\nb": {` + oneRule + `}`), `roles["a\nb"]: has a control character`},
		{withRoles(`"a\ud800": {` + oneRule + `}`), "has a control character, or one that is no valid Unicode"},
		{withRoles(`"r": {}`), "roles.r: empty"},
		{withRoles(`"r": []`), "roles.r: a list, not an object"},
		{withRoles(`"my.role": {"allow": []}`), `roles["my.role"].allow: empty`},
		{withRoles(`"r": {"allow": {}}`), "roles.r.allow: an object, not a list"},
		{withRoles(`"r": {"allows": []}`), "roles.r.allows: unknown; known are allow, deny, inherits"},
		{withRule("allow", `{"resources": ["b"]}`), "roles.trainer.allow[0].actions: missing"},
		{withRule("allow", `{"actions": ["a"]}`), "roles.trainer.allow[0].resources: missing"},
		{withRule("allow", `{"actions": [], "resources": ["b"]}`), "roles.trainer.allow[0].actions: empty"},
		{withRule("allow", `{"actions": ["a"], "resources": []}`), "roles.trainer.allow[0].resources: empty"},
		{withRule("allow", `{"actions": ["a"], "resources": ["b"], "scopes": []}`), "roles.trainer.allow[0].scopes: empty"},
		{withRule("allow", `{"actions": ["a"], "resources": ["b"], "scopes": null}`), "roles.trainer.allow[0].scopes: null, not a list"},
		{withRule("allow", `{"actions": ["a"], "resources": ["b"], "scope": ["s"]}`), "roles.trainer.allow[0].scope: unknown"},
		{withRule("allow", `{"actions": "a", "resources": ["b"]}`), "roles.trainer.allow[0].actions: a string, not a list"},
		{withRule("allow", `{"actions": ["a", 1], "resources": ["b"]}`), "roles.trainer.allow[0].actions[1]: a number, not a string"},
		{withRule("allow", `{"actions": ["a", true], "resources": ["b"]}`), "roles.trainer.allow[0].actions[1]: true or false, not a string"},
		{withRule("allow", `{"actions": ["a", ""], "resources": ["b"]}`), "roles.trainer.allow[0].actions[1]: empty"},
		{withRule("allow", `{"actions": ["pre*"], "resources": ["b"]}`), "roles.trainer.allow[0].actions[0]: an action is exact"},
		{withRule("deny", `{"actions": ["a"], "resources": ["b", "c//d"]}`), "roles.trainer.deny[0].resources[1]: \"c//d\": no resource matches"},
		{withRule("allow", `{"actions": ["a"], "resources": ["b"], "scopes": ["a b"]}`), "roles.trainer.allow[0].scopes[0]: not a scope"},
		{withRule("allow", `{"actions": ["a"], "resources": ["b"], "scopes": ["a\""]}`), "roles.trainer.allow[0].scopes[0]: not a scope"},
		{withRule("deny", `{"actions": ["a"], "resources": ["b"], "scopes": ["s"]}`), "roles.trainer.deny[0].scopes: in a deny rule"},
		{withRoles(`"r": {"inherits": ["s"]}`), `roles.r.inherits[0]: no such role: "s"`},
		{withRoles(`"r": {"inherits": []}`), "roles.r.inherits: empty"},
		{withRoles(`"r": {"inherits": ["r"]}`), "roles.r.inherits: a cycle: r → r"},
		{withRoles(`"a": {"inherits": ["b"]}, "b": {"inherits": ["c"]}, "c": {"inherits": ["b"]}`), "roles.b.inherits: a cycle: b → c → b"},
		{withRoles(`"r": {"inherits": ["authenticated"]}, "authenticated": {` + oneRule + `}`), `roles.r.inherits[0]: everyone has "authenticated" already`},
		{withBinding(`{"subjects": ["s"], "methods": ["m"]}`), "bindings[0].roles: missing"},
		{withBinding(`{"roles": ["r"], "methods": ["m"]}`), "bindings[0].subjects: missing"},
		{withBinding(`{"roles": ["r"], "subjects": ["s"]}`), "bindings[0]: has neither issuers nor methods"},
		{withBinding(`{"roles": ["x"], "subjects": ["s"], "methods": ["m"]}`), `bindings[0].roles[0]: no such role: "x"`},
		{withBinding(`{"roles": ["r"], "subjects": ["a*b"], "methods": ["m"]}`), "bindings[0].subjects[0]: a subject is exact"},
		{withBinding(`{"roles": ["r"], "subjects": ["a**"], "methods": ["m"]}`), "bindings[0].subjects[0]: a subject is exact"},
		{withBinding(`{"roles": ["r"], "subjects": ["a"], "issuers": ["i*"]}`), "bindings[0].issuers[0]: issuers have no wildcards"},
		{withBinding(`{"roles": ["r"], "subjects": ["a"], "methods": ["m"], "claims": {}}`), "bindings[0].claims: empty"},
		{withBinding(`{"roles": ["r"], "subjects": ["a"], "methods": ["m"], "claims": []}`), "bindings[0].claims: a list, not an object"},
		{withBinding(`{"roles": ["r"], "subjects": ["a"], "methods": ["m"], "claims": {"c": "v"}}`), "bindings[0].claims.c: a string, not a list"},
		{withBinding(`{"roles": ["r"], "subjects": ["a"], "methods": ["m"], "claims": {"https://x/c": []}}`), `bindings[0].claims["https://x/c"]: empty`},
		{withBinding(`{"roles": ["r"], "subject": ["a"], "methods": ["m"]}`), "bindings[0].subject: unknown"},
		{withBinding(`3`), "bindings[0]: a number, not an object"},
		{strings.Replace(withBinding(`{}`), "bindings", "trust", 1), "trust[0]: has neither issuers nor methods"},
		{strings.Replace(withBinding(`{"issuers": ["i"], "roles": ["x"]}`), "bindings", "trust", 1), `trust[0].roles[0]: no such role: "x"`},
		{strings.Replace(withBinding(``), "bindings", "trust", 1), "trust: empty"},
		{`{"version": ` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`, "nested too deep"},
		{withRoles(strings.Repeat(" ", maxDocument)), "longer than 4194304 bytes"},
	} {
		_, err := New(Config{Document: []byte(c.document)})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.300s\n  %v\n  want %s", c.document, err, c.want)
			continue
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "authrbac: ") {
				t.Errorf("%q does not say where it is from", line)
			}
		}
	}
}

// All faults come at once.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := New(Config{Document: []byte(`{
		"roles": {
			"a": {"allow": [{"actions": [], "resources": ["x/"]}], "inherits": ["b"]},
			"c": {"deny": [{"actions": ["x"], "resources": ["y"], "scopes": ["z"]}], "inherits": ["c"]}
		},
		"bindings": [{"roles": ["d"], "subjects": []}],
		"more": 1
	}`)})
	want := []string{
		"more: unknown; known are version, roles, bindings, trust",
		"version: missing",
		"roles.a.allow[0].actions: empty",
		`roles.a.allow[0].resources[0]: "x/": no resource matches`,
		"roles.c.deny[0].scopes: in a deny rule",
		"bindings[0].subjects: empty",
		"bindings[0]: has neither issuers nor methods",
		`roles.a.inherits[0]: no such role: "b"`,
		`bindings[0].roles[0]: no such role: "d"`,
		"roles.c.inherits: a cycle: c → c",
	}
	var lines []string
	if err != nil {
		lines = strings.Split(err.Error(), "\n")
	}
	if len(lines) != len(want) {
		t.Fatalf("%d faults, want %d:\n%v", len(lines), len(want), err)
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "authrbac: "+want[i]) {
			t.Errorf("%q, want %q", line, want[i])
		}
	}
}

func TestLongRowOfRoles(t *testing.T) {
	row := func(n int) string {
		roles := `"r000": {` + oneRule + `}`
		for i := 1; i < n; i++ {
			roles += fmt.Sprintf(`, "r%03d": {"inherits": ["r%03d"]}`, i, i-1)
		}
		return withRoles(roles)
	}
	if _, err := New(Config{Document: []byte(row(maxInheritance))}); err != nil {
		t.Error(err)
	}
	for _, n := range []int{maxInheritance + 1, 500} {
		_, err := New(Config{Document: []byte(row(n))})
		if err == nil || err.Error() != "authrbac: roles.r016.inherits: more than 16 roles inherit one from the other" {
			t.Errorf("%d in a row: %v", n, err)
		}
	}
}

func TestBadConfig(t *testing.T) {
	p, err := New(Config{PollInterval: 1, OnReload: func(error) {}})
	if p != nil || err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"Config.Document and Config.File are both empty", "Config.PollInterval is set", "Config.PollInterval is 1ns, less than 100ms", "Config.OnReload is set"} {
		if !strings.Contains(err.Error(), "authrbac: "+want) {
			t.Errorf("%v: not %s", err, want)
		}
	}
	if _, err := New(Config{Document: []byte(small), File: "f"}); err == nil || !strings.Contains(err.Error(), "both set") {
		t.Errorf("%v", err)
	}
	if p, err := New(Config{Document: []byte("{")}); p != nil || err == nil {
		t.Errorf("%v", err)
	}
	long := filepath.Join(t.TempDir(), "policy.json")
	write(t, long, only("one")+strings.Repeat(" ", maxDocument))
	if _, err := New(Config{File: long}); err == nil || !strings.Contains(err.Error(), "longer than 4194304 bytes") {
		t.Errorf("%v", err)
	}
	for _, file := range []string{"no-such-file", t.TempDir()} {
		if p, err := New(Config{File: file}); p != nil || err == nil || !strings.HasPrefix(err.Error(), "authrbac: Config.File: ") {
			t.Errorf("%v", err)
		}
	}
}

// yaml stands in for a library: of one line.
func yaml(document []byte) ([]byte, error) {
	text, ok := strings.CutPrefix(strings.TrimPrefix(string(document), "---\n"), "policy: ")
	if !ok {
		return nil, errors.New("line 1: not a policy")
	}
	return []byte(strings.TrimSuffix(text, "\n...\n")), nil
}

func TestToJSON(t *testing.T) {
	line := strings.Join(strings.Fields(small), "")
	for _, good := range []string{"policy: " + line, "---\npolicy: " + line, "policy: " + line + "\n...\n", small} {
		if _, err := New(Config{Document: []byte(good), ToJSON: yaml}); err != nil {
			t.Errorf("%.20s: %v", good, err)
		}
	}
	for _, c := range []struct {
		document, want string
		toJSON         func([]byte) ([]byte, error)
	}{
		{"policy: " + line, "Config.ToJSON is nil: for YAML, set it to YAMLToJSONStrict of sigs.k8s.io/yaml", nil},
		{"rules: {}", "authrbac: Config.ToJSON: line 1: not a policy", yaml},
		{"policy: " + line + "\n---\ndeny: everything", "goes on behind a line of --- or ...", yaml},
		{"policy: " + line + "\n...\ndeny: everything", "goes on behind a line of --- or ...", yaml},
		{"policy: " + line + "\n... # end\n\n---\n", "goes on behind a line of --- or ...", yaml},
		{"policy: " + line + "\r---\rdeny: everything", "goes on behind a line of --- or ...", yaml},
		{"policy: " + line + "\u2028---\u2028deny: everything", "goes on behind a line of --- or ...", yaml},
		{"# comment\n---\npolicy: " + line + "\n--- \n", "goes on behind a line of --- or ...", yaml},
		{"policy: []", "the document is a list, not an object", yaml},
		{"policy: " + strings.Repeat(" ", maxDocument-10), "authrbac: the document as JSON is longer", func([]byte) ([]byte, error) { return make([]byte, maxDocument+1), nil }},
	} {
		if _, err := New(Config{Document: []byte(c.document), ToJSON: c.toJSON}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.40q: %v, want %s", c.document, err, c.want)
		}
	}
}

// What is accepted answers, and what is not never panics.
func FuzzDocument(f *testing.F) {
	f.Add([]byte(small))
	f.Add([]byte(withBinding(`{"roles": ["r"], "subjects": ["a*"], "methods": ["m"], "claims": {"c.d": ["v"]}}`)))
	f.Fuzz(func(t *testing.T, document []byte) {
		p, err := New(Config{Document: document})
		if (p == nil) != (err != nil) {
			t.Fatalf("%v and %v", p, err)
		}
		if p != nil {
			answerOf(t, p, user, "predict", "models/llama")
		}
	})
}
