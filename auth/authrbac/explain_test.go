package authrbac

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

func TestExplain(t *testing.T) {
	p := policyOf(t, strings.Replace(small, `"bindings"`, `"trust": [{"issuers": ["https://id.example.org"], "roles": ["user"]}], "bindings"`, 1))
	twice := &auth.Principal{
		Subject: "spiffe://prod.example.org/batch/1", Issuer: "https://id.example.org", Method: auth.MethodMTLS,
		Roles: []string{"user", "viewer", "admin", "user"}, Scopes: []string{"predict"},
	}
	for _, c := range []struct {
		p                *auth.Principal
		action, resource string
		want             []string // lines, in order
		not              string
	}{
		{user, "predict", "models/llama", []string{
			`allowed: allowed by roles.user.allow[0], "predict" on "models/llama" by "grace" of "https://id.example.org"`,
			`  role "authenticated" (everyone)`,
			`  role "user" (principal)`,
			`  role "viewer" (inherited by user)`,
			`  roles.authenticated.allow[0]: another action`,
			`  roles.user.deny[0]: another resource`,
			`  roles.user.allow[0]: allows models/*`,
			`  roles.viewer.allow[0]: another action`,
		}, "bindings"},
		{twice, "predict", "models/secret-x", []string{
			`forbidden: denied by roles.user.deny[0],`,
			`  role "viewer" (principal) does not count: not trusted from this issuer and method`,
			`  role "admin" (principal) does not count: not trusted`,
			`  roles.user.deny[0]: denies models/secret-*`,
			`  roles.user.allow[0]: allows models/*`,
		}, `"user" (bindings[0])`},
		{user, "predict", "models/../x\n", []string{
			`forbidden: the resource is not well formed, "predict" on "models/../x\n"`,
			`  roles.user.allow[0]: another resource`,
		}, ""},
		{user, "", "models/x", []string{`forbidden: no action is named, ""`}, ""},
		{&auth.Principal{Subject: "ada", Method: "jwt", Roles: []string{"root\n"}}, "read", "models/x", []string{
			`forbidden: no rule allows it, "read" on "models/x" by "ada"`,
			`  role "root\n" (principal) does not count: not in the policy`,
			`  role "admin" (bindings[1]) does not count: another issuer or method`,
		}, ""},
	} {
		text := p.Explain(c.p, c.action, c.resource).String()
		rest := text
		for _, line := range c.want {
			_, after, found := strings.Cut(rest, line)
			if !found {
				t.Fatalf("no line %q in\n%s", line, text)
			}
			rest = after
		}
		if c.not != "" && strings.Contains(text, c.not) {
			t.Errorf("%q is in\n%s", c.not, text)
		}
	}
}

// The claim that a binding lacks is named.
func TestExplainClaims(t *testing.T) {
	p := policyOf(t, withBinding(`{"roles": ["r"], "subjects": ["grace"], "methods": ["jwt"], "claims": {"team": ["core"]}}`))
	e := p.Explain(user, "a", "b")
	if len(e.Roles) != 2 || e.Roles[1].Ignored != `claim "team" has none of the values` {
		t.Errorf("%+v", e)
	}
}

func TestExplainJSON(t *testing.T) {
	p := policyOf(t, small)
	noScope := &auth.Principal{Subject: "x", Roles: []string{"user"}}
	for want, who := range map[string]*auth.Principal{
		`{"subject":"x","action":"predict","resource":"models/a","allowed":false,"reason":"it takes the scopes predict","scopes":["predict"],` +
			`"roles":[{"name":"authenticated","from":"everyone"},{"name":"user","from":"principal"},{"name":"viewer","from":"inherited by user"}],` +
			`"rules":[{"rule":"roles.authenticated.allow[0]","unmatched":"another action"},` +
			`{"rule":"roles.user.deny[0]","deny":true,"unmatched":"another resource"},` +
			`{"rule":"roles.user.allow[0]","pattern":"models/*","unmatched":"without the scopes predict"},` +
			`{"rule":"roles.viewer.allow[0]","pattern":"models/*","unmatched":"another action"}]}`: noScope,
		`{"subject":"","action":"predict","resource":"models/a","allowed":false,"reason":"nobody is asking","roles":[],"rules":[]}`: nil,
	} {
		text, err := json.Marshal(p.Explain(who, "predict", "models/a"))
		if err != nil || string(text) != want {
			t.Errorf("%v\n%s\nwant\n%s", err, text, want)
		}
	}
}

// The package comment shows a policy that works.
func TestDocumentation(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(doc), "\n//\t{\n")
	text, _, _ = strings.Cut("//\t{\n"+text, "\n//\n")
	p := policyOf(t, strings.ReplaceAll(text, "//\t", ""))
	by := func(issuer, method, role string, scopes ...string) *auth.Principal {
		return &auth.Principal{Subject: "s", Issuer: issuer, Method: method, Roles: []string{role}, Scopes: scopes}
	}
	ci := by("https://token.actions.githubusercontent.com", "jwt", "")
	ci.Subject, ci.Claims = "repo:acme/models:ref:refs/heads/main", map[string]any{"event_name": "push"}
	for _, a := range []ask{
		{p: by("", "", ""), action: "list", resource: "models", rule: "roles.authenticated.allow[0]", allowed: true},
		{p: by("https://id.example.org", "jwt", "analyst", "models:predict"), action: "predict", resource: "churn", rule: "roles.analyst.allow[0]", allowed: true},
		{p: by("https://id.example.org", "jwt", "analyst"), action: "predict", resource: "churn", scopes: []string{"models:predict"}},
		{p: by("https://id.example.org", "jwt", "analyst", "models:predict"), action: "predict", resource: "fraud-internal", rule: "roles.analyst.deny[0]"},
		{p: by("https://partner.example", "jwt", "trainer"), action: "deploy", resource: "churn"},
		{p: by("https://partner.example", "jwt", "analyst"), action: "read", resource: "a/b", rule: "roles.viewer.allow[0]", allowed: true},
		{p: by("", "api-key", "trainer"), action: "deploy", resource: "churn", rule: "roles.trainer.allow[0]", allowed: true},
		{p: ci, action: "deploy", resource: "churn", rule: "roles.trainer.allow[0]", allowed: true},
	} {
		a.of(t, p)
	}
}
