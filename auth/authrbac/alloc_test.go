package authrbac

import (
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// To allow is on every request's way, however the caller has come by the role.
func TestAllocations(t *testing.T) {
	if raceEnabled {
		return
	}
	p := policyOf(t, strings.NewReplacer(
		`"models/*"`, `"*/**/x*", "m*s/*"`,
		`"bindings": [`, `"trust": [{"issuers": ["https://id.example.org"], "roles": ["user"]}], "bindings": [
			{"roles": ["user"], "subjects": ["repo:*"], "methods": ["jwt"], "claims": {"realm.groups": ["ml"]}},`,
	).Replace(small))
	for name, who := range map[string]*auth.Principal{
		"role":  user,
		"mTLS":  {Subject: "spiffe://prod.example.org/batch/1", Method: auth.MethodMTLS, Scopes: []string{"predict"}},
		"claim": {Subject: "repo:a", Method: auth.MethodJWT, Scopes: []string{"predict"}, Claims: map[string]any{"realm": map[string]any{"groups": []any{"a", "ml"}}}},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if rule, err := p.Decide(t.Context(), who, "predict", "models/llama-3-70b"); err != nil || rule != "roles.user.allow[0]" {
				t.Errorf("%q, %v", rule, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
