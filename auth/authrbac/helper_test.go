package authrbac

import (
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// small is a policy of a handful of rules.
const small = `{
	"version": 1,
	"roles": {
		"authenticated": {"allow": [{"actions": ["list"], "resources": ["models"]}]},
		"viewer":  {"allow": [{"actions": ["read"], "resources": ["models/*"]}]},
		"user": {
			"inherits": ["viewer"],
			"allow": [{"actions": ["predict"], "resources": ["models/*"], "scopes": ["predict"]}],
			"deny":  [{"actions": ["*"], "resources": ["models/secret-*"]}]
		},
		"admin": {"allow": [{"actions": ["*"], "resources": ["**"]}]}
	},
	"bindings": [
		{"roles": ["user"], "subjects": ["spiffe://prod.example.org/batch/*"], "methods": ["mtls"]},
		{"roles": ["admin"], "subjects": ["ada"], "issuers": ["https://id.example.org"]}
	]
}`

func policyOf(t testing.TB, document string) *Policy {
	t.Helper()
	p, err := New(Config{Document: []byte(document)})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

var user = &auth.Principal{
	Subject: "grace", Issuer: "https://id.example.org", Method: auth.MethodJWT,
	Roles: []string{"user"}, Scopes: []string{"openid", "predict"},
}
