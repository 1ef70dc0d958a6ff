package authbench

import (
	"context"
	"errors"
	"fmt"

	"github.com/casbin/casbin/v3"
	"github.com/casbin/casbin/v3/model"
	stringadapter "github.com/casbin/casbin/v3/persist/string-adapter"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authrbac"
)

// From github.com/casbin/casbin/v3.
//
//	NewEnforcer(model, policy)          authrbac.New: there is one model, roles with rules that allow or deny
//	e = some(where (p.eft == allow))    deny wins, always
//	Enforce(sub, obj, act)              Authorize(ctx, principal, action, resource); nil is yes
//	EnforceEx                           Decide, which names the rule; Explain, which names all that were looked at
//	p, analyst, churn, predict          "analyst": {"allow": [{"actions": ["predict"], "resources": ["churn"]}]}
//	p, …, deny                          "deny": […]
//	g, alice, analyst                   the token's roles, or a binding: {"roles": ["analyst"], "subjects": ["alice"], "issuers": […]}
//	g, admin, analyst                   "admin": {"inherits": ["analyst"]}
//	keyMatch("team/*")                  "team/**"; a single star ends at a slash
//	keyMatch2("/models/:id")            the route's, in PathValue; the resource is the model, not a path
//	regexMatch, ABAC, domains           none: an auth.Authorizer of one's own, or casbin behind one
//	LoadPolicy, a Watcher               Config.File, watched; Replace, Reload
//	SyncedEnforcer                      a Policy may be replaced while it decides
//	CachedEnforcer                      none is needed
func Example_fromCasbin() {
	// Before.
	m, err := model.NewModelFromString(`
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && r.act == p.act
`)
	if err != nil {
		fmt.Println(err)
		return
	}
	e, err := casbin.NewEnforcer(m, stringadapter.NewAdapter(`
p, analyst, fraud/*, predict, allow
p, analyst, fraud/internal, predict, deny
g, alice, analyst`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, resource := range []string{"fraud/v3", "fraud/internal", "churn"} {
		fmt.Println(e.Enforce("alice", resource, "predict"))
	}

	// After.
	policy, err := authrbac.New(authrbac.Config{Document: []byte(`{
		"version": 1,
		"roles": {"analyst": {
			"allow": [{"actions": ["predict"], "resources": ["fraud/**"]}],
			"deny":  [{"actions": ["predict"], "resources": ["fraud/internal"]}]
		}},
		"bindings": [{"roles": ["analyst"], "subjects": ["alice"], "issuers": ["https://id.example.org/"]}]
	}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	alice := &auth.Principal{Subject: "alice", Issuer: "https://id.example.org/"} // as the middleware has found out
	for _, resource := range []string{"fraud/v3", "fraud/internal", "churn"} {
		err := policy.Authorize(context.Background(), alice, "predict", resource)
		fmt.Println(err == nil, errors.Is(err, auth.ErrForbidden), err)
	}

	// Output:
	// true <nil>
	// false <nil>
	// false <nil>
	// true false <nil>
	// false true auth: forbidden: "alice" to do "predict" to "fraud/internal": by roles.analyst.deny[0]
	// false true auth: forbidden: "alice" to do "predict" to "churn": no rule allows it
}
