package authrbac_test

import (
	"context"
	"fmt"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authrbac"
)

func Example() {
	policy, err := authrbac.New(authrbac.Config{Document: []byte(`{
		"version": 1,
		"roles": {
			"analyst": {
				"allow": [{"actions": ["predict"], "resources": ["fraud-*"]}],
				"deny":  [{"actions": ["*"], "resources": ["fraud-internal"]}]
			}
		}
	}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	grace := &auth.Principal{Subject: "grace", Roles: []string{"analyst"}}
	for _, model := range []string{"fraud-v3", "fraud-internal", "churn"} {
		rule, err := policy.Decide(context.Background(), grace, "predict", model)
		fmt.Printf("%s: allowed %t, by %q\n", model, err == nil, rule)
	}
	// Output:
	// fraud-v3: allowed true, by "roles.analyst.allow[0]"
	// fraud-internal: allowed false, by "roles.analyst.deny[0]"
	// churn: allowed false, by ""
}

// All that is wrong with a policy is said at once.
func ExampleNew() {
	_, err := authrbac.New(authrbac.Config{Document: []byte(`{
		"version": 1,
		"roles": {"trainer": {"allow": [{"actions": [], "resources": ["models//x"]}], "inherits": ["viewer"]}}
	}`)})
	fmt.Println(err)
	// Output:
	// authrbac: roles.trainer.allow[0].actions: empty
	// authrbac: roles.trainer.allow[0].resources[0]: "models//x": no resource matches: it has an empty or a dot segment, a control character or invalid UTF-8
	// authrbac: roles.trainer.inherits[0]: no such role: "viewer"
}

func ExamplePolicy_Explain() {
	policy, err := authrbac.New(authrbac.Config{Document: []byte(`{
		"version": 1,
		"roles": {
			"viewer": {"allow": [{"actions": ["read"], "resources": ["**"]}]},
			"analyst": {
				"inherits": ["viewer"],
				"allow": [{"actions": ["predict"], "resources": ["fraud-*"], "scopes": ["models:predict"]}]
			},
			"trainer": {"allow": [{"actions": ["*"], "resources": ["**"]}]}
		},
		"bindings": [{"roles": ["trainer"], "subjects": ["ci"], "methods": ["mtls"]}]
	}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	ci := &auth.Principal{Subject: "ci", Method: auth.MethodAPIKey, Roles: []string{"analyst", "guest"}}
	fmt.Print(policy.Explain(ci, "predict", "fraud-v3"))
	// Output:
	// forbidden: it takes the scopes models:predict, "predict" on "fraud-v3" by "ci"
	//   role "analyst" (principal)
	//   role "viewer" (inherited by analyst)
	//   role "guest" (principal) does not count: not in the policy
	//   role "trainer" (bindings[0]) does not count: another issuer or method
	//   roles.analyst.allow[0]: without the scopes models:predict
	//   roles.viewer.allow[0]: another action
}

// A rule that denies covers what it says, and not what is below it. Allow what is
// meant rather than everything but what is not.
func ExamplePolicy_Authorize_incorrect() {
	policy, err := authrbac.New(authrbac.Config{Document: []byte(`{
		"version": 1,
		"roles": {"user": {
			"allow": [{"actions": ["read"], "resources": ["models/**"]}],
			"deny":  [{"actions": ["read"], "resources": ["models/secret"]}]
		}}
	}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	user := &auth.Principal{Subject: "grace", Roles: []string{"user"}}
	for _, resource := range []string{"models/secret", "models/secret/weights", "models/Secret"} {
		fmt.Println(resource, policy.Authorize(context.Background(), user, "read", resource) == nil)
	}
	// Correct: "deny" with "models/secret", "models/secret/**", and names that are
	// compared elsewhere as they are here; or, better, "allow" with "models/public/**".

	// Output:
	// models/secret false
	// models/secret/weights true
	// models/Secret true
}
