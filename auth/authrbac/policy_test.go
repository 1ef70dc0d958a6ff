package authrbac

import (
	"errors"
	"slices"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// A question, the rule that decides, and whether it allows.
type ask struct {
	p                      *auth.Principal
	action, resource, rule string
	allowed                bool
	scopes                 []string
}

func (a ask) of(t *testing.T, p *Policy) {
	t.Helper()
	rule, err := p.Decide(t.Context(), a.p, a.action, a.resource)
	if rule != a.rule || (err == nil) != a.allowed {
		t.Errorf("%s on %s by %+v: rule %q, %#v", a.action, a.resource, a.p, rule, err)
	}
	if got := answerOf(t, p, a.p, a.action, a.resource); !slices.Equal(got.scopes, a.scopes) {
		t.Errorf("%s on %s by %+v: scopes %q, want %q", a.action, a.resource, a.p, got.scopes, a.scopes)
	}
}

func TestDecide(t *testing.T) {
	p := policyOf(t, small)
	nobody := &auth.Principal{Subject: "x", Issuer: "https://id.example.org"}
	noScope := &auth.Principal{Subject: "x", Roles: []string{"user"}, Scopes: []string{"Predict"}}
	ada := &auth.Principal{Subject: "ada", Issuer: "https://id.example.org"}
	elsewhere := &auth.Principal{Subject: "ada", Issuer: "https://id.example.com"}
	both := &auth.Principal{Roles: []string{"admin", "user"}}
	for _, a := range []ask{
		{p: nobody, action: "list", resource: "models", rule: "roles.authenticated.allow[0]", allowed: true},
		{p: nobody, action: "read", resource: "models/a"},
		{p: user, action: "predict", resource: "models/a", rule: "roles.user.allow[0]", allowed: true},
		{p: user, action: "read", resource: "models/a", rule: "roles.viewer.allow[0]", allowed: true},
		{p: user, action: "list", resource: "models", rule: "roles.authenticated.allow[0]", allowed: true},
		{p: user, action: "predict", resource: "models/a/b"},
		{p: user, action: "Predict", resource: "models/a"},
		{p: user, action: "predict", resource: "Models/a"},
		{p: user, action: "predict", resource: "models/secret-x", rule: "roles.user.deny[0]"},
		{p: user, action: "anything", resource: "models/secret-", rule: "roles.user.deny[0]"},
		{p: user, action: "predict", resource: "models/../models/a"},
		{p: user, action: "predict", resource: ""},
		{p: noScope, action: "predict", resource: "models/a", scopes: []string{"predict"}},
		{p: noScope, action: "predict", resource: "models/secret-x", rule: "roles.user.deny[0]"},
		{p: noScope, action: "predict", resource: "models/a/b"},
		{p: nobody, action: "predict", resource: "models/a"}, // has no role to which the scope would be of use
		{p: ada, action: "anything", resource: "a/b/c", rule: "roles.admin.allow[0]", allowed: true},
		{p: elsewhere, action: "anything", resource: "a/b/c"},
		{p: both, action: "read", resource: "models/secret-x", rule: "roles.user.deny[0]"}, // deny wins over each role
	} {
		a.of(t, p)
	}
}

func TestNobodyAsks(t *testing.T) {
	p := policyOf(t, small)
	if rule, err := p.Decide(t.Context(), nil, "list", "models"); rule != "" || !errors.Is(err, auth.ErrNoCredential) {
		t.Errorf("%q, %v", rule, err)
	}
	if e := p.Explain(nil, "list", "models"); e.Allowed || e.Reason != "nobody is asking" {
		t.Errorf("%+v", e)
	}
}

func TestBindings(t *testing.T) {
	p := policyOf(t, `{"version": 1,
		"roles": {"r": {"allow": [{"actions": ["do"], "resources": ["it"]}]}},
		"bindings": [
			{"roles": ["r"], "subjects": ["exact"], "methods": ["jwt", "mtls"]},
			{"roles": ["r"], "subjects": ["ns/train/*", "other"], "methods": ["kubernetes"], "issuers": ["", "i"]},
			{"roles": ["r"], "subjects": ["*"], "issuers": ["git"], "claims": {
				"repository": ["org/a", "org/b"], "realm.roles": ["x"], "dotted.name": ["y"]}},
			{"roles": ["r"], "subjects": ["*"], "issuers": ["cluster"], "claims": {"kubernetes.io.namespace": ["train"]}}
		]}`)
	claims := func(repository, roles, dotted any) map[string]any {
		return map[string]any{"repository": repository, "realm": map[string]any{"roles": roles}, "dotted.name": dotted}
	}
	for _, c := range []struct {
		p       auth.Principal
		allowed bool
	}{
		{auth.Principal{Subject: "exact", Method: "jwt"}, true},
		{auth.Principal{Subject: "exact", Method: "mtls", Issuer: "whatever"}, true},
		{auth.Principal{Subject: "exact", Method: "api-key"}, false},
		{auth.Principal{Subject: "exactly", Method: "jwt"}, false},
		{auth.Principal{Subject: "", Method: "jwt"}, false},
		{auth.Principal{Subject: "ns/train/a", Method: "kubernetes"}, true},
		{auth.Principal{Subject: "ns/train/a/b", Method: "kubernetes", Issuer: "i"}, true},
		{auth.Principal{Subject: "other", Method: "kubernetes", Issuer: "i"}, true},
		{auth.Principal{Subject: "other", Method: "kubernetes", Issuer: "j"}, false},
		{auth.Principal{Subject: "ns/trainer", Method: "kubernetes", Issuer: "i"}, false},
		{auth.Principal{Subject: "ns/train/*", Method: "jwt"}, false},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: claims("org/a", "x", "y")}, true},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: claims("org/b", []any{1, "x"}, []string{"y"})}, true},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: claims("org/c", "x", "y")}, false},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: claims("org/a", []any{"xx"}, "y")}, false},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: claims("org/a", "x", true)}, false},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: map[string]any{"repository": "org/a", "realm.roles": "z", "realm": map[string]any{"roles": "x"}, "dotted.name": "y"}}, false},
		{auth.Principal{Subject: "s", Issuer: "git", Claims: map[string]any{"repository": "org/a", "realm": "x", "dotted.name": "y"}}, false},
		{auth.Principal{Subject: "s", Issuer: "git"}, false},
		{auth.Principal{Subject: "s", Issuer: "cluster", Claims: map[string]any{"kubernetes.io": map[string]any{"namespace": "train"}}}, true},
		{auth.Principal{Subject: "s", Issuer: "cluster", Claims: map[string]any{"kubernetes.io": map[string]any{"namespace": "other"}}}, false},
		{auth.Principal{Subject: "s", Issuer: "Git", Claims: claims("org/a", "x", "y")}, false},
	} {
		if got := answerOf(t, p, &c.p, "do", "it").allowed; got != c.allowed {
			t.Errorf("%+v: %v\n%v", c.p, got, p.Explain(&c.p, "do", "it"))
		}
	}
}

// A second issuer that calls someone an admin is not taken at its word.
func TestTrust(t *testing.T) {
	const document = `{"version": 1,
		"roles": {
			"admin": {"allow": [{"actions": ["*"], "resources": ["**"]}], "inherits": ["viewer"]},
			"viewer": {"allow": [{"actions": ["read"], "resources": ["**"]}]}
		},
		"trust": [
			{"issuers": ["https://id.example.org"]},
			{"issuers": [""], "methods": ["api-key"]},
			{"issuers": ["https://partner.example"], "roles": ["viewer"]}
		]}`
	p := policyOf(t, document)
	for _, c := range []struct {
		p           auth.Principal
		write, read bool
	}{
		{auth.Principal{Issuer: "https://id.example.org", Roles: []string{"admin"}}, true, true},
		{auth.Principal{Method: "api-key", Roles: []string{"admin"}}, true, true},
		{auth.Principal{Method: "jwt", Roles: []string{"admin"}}, false, false},
		{auth.Principal{Issuer: "https://partner.example", Roles: []string{"admin"}}, false, false},
		{auth.Principal{Issuer: "https://partner.example", Roles: []string{"admin", "viewer"}}, false, true},
		{auth.Principal{Issuer: "https://id.example.org/", Roles: []string{"admin"}}, false, false},
	} {
		if w, r := answerOf(t, p, &c.p, "write", "x").allowed, answerOf(t, p, &c.p, "read", "x").allowed; w != c.write || r != c.read {
			t.Errorf("%+v: write %v, read %v", c.p, w, r)
		}
	}
}

// Of rules that are short of scopes, the one is told that lacks the fewest.
func TestScopes(t *testing.T) {
	p := policyOf(t, `{"version": 1, "roles": {
		"r": {"allow": [
			{"actions": ["a"], "resources": ["x"], "scopes": ["s3", "s2", "s1", "s1"]},
			{"actions": ["a"], "resources": ["x", "y"], "scopes": ["s2", "s4"]},
			{"actions": ["a"], "resources": ["*"], "scopes": ["s2", "s3"]}]},
		"other": {"allow": [{"actions": ["a"], "resources": ["z/*"], "scopes": ["s9"]}]}}}`)
	with := func(scopes ...string) *auth.Principal { return &auth.Principal{Roles: []string{"r"}, Scopes: scopes} }
	for _, a := range []ask{
		{p: with("s1", "s3"), action: "a", resource: "x", scopes: []string{"s1", "s2", "s3"}},
		{p: with("s4"), action: "a", resource: "x", scopes: []string{"s2", "s4"}},
		{p: with(), action: "a", resource: "x", scopes: []string{"s2", "s3"}},
		{p: with("s3", "s2"), action: "a", resource: "x", rule: "roles.r.allow[2]", allowed: true},
		{p: with("s2", "s4"), action: "a", resource: "y", rule: "roles.r.allow[1]", allowed: true},
		{p: with(), action: "b", resource: "x"},
		{p: with("s2"), action: "a", resource: "z/z"}, // of a role that the caller has not nothing is told
	} {
		a.of(t, p)
	}
	// Whoever changes what is told does not change the policy.
	err := p.Authorize(t.Context(), with(), "a", "x")
	forbidden, ok := errors.AsType[*auth.ForbiddenError](err)
	if !ok {
		t.Fatal(err)
	}
	forbidden.Scopes[0] = "none"
	ask{p: with(), action: "a", resource: "x", scopes: []string{"s2", "s3"}}.of(t, p)
}

func TestManyOfEverything(t *testing.T) {
	c := &refPolicy{Version: 1, Roles: map[string]refRole{}}
	var names []string
	for i := range 40 {
		name := string(rune('A'+i%26)) + string(rune('a'+i/26))
		names = append(names, name)
		c.Roles[name] = refRole{Allow: []refRule{{Actions: names, Resources: names}, {Actions: names, Resources: []string{name + "/*"}}}}
		c.Bindings = append(c.Bindings, refBinding{Roles: []string{name}, Subjects: []string{name, name}, Methods: []string{"m"}})
	}
	p := c.compile(t)
	for i, name := range names {
		who := &auth.Principal{Subject: name, Method: "m"}
		for j, other := range names {
			if got := answerOf(t, p, who, name, other).allowed; got != (j <= i) {
				t.Fatalf("%s on %s: %v", name, other, got)
			}
			if got := answerOf(t, p, who, other, name+"/x").allowed; got != (j <= i) {
				t.Fatalf("%s on %s/x: %v", other, name, got)
			}
		}
	}
}
