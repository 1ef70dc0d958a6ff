package authbench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/casbin/casbin/v3"
	"github.com/casbin/casbin/v3/model"
	stringadapter "github.com/casbin/casbin/v3/persist/string-adapter"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authrbac"
)

const (
	tableRBAC    = "RBAC"
	casbinCached = "casbin, CachedEnforcer"
	casbinPlain  = "casbin"
	rbacRoles    = 20
)

// rbacDocument has roles that may predict with the models of their team, all but
// its internal ones.
func rbacDocument() []byte {
	type rule map[string][]string
	roles := map[string]any{}
	for n := range rbacRoles {
		team := fmt.Sprintf("team-%d", n)
		roles[team] = map[string][]rule{
			"allow": {{"actions": {"predict", "read"}, "resources": {team + "/**"}}},
			"deny":  {{"actions": {"*"}, "resources": {team + "/internal/**"}}},
		}
	}
	document, err := json.Marshal(map[string]any{"version": 1, "roles": roles})
	if err != nil {
		panic(err) // of strings in maps
	}
	return document
}

// casbinModel has casbin decide likewise: deny wins.
const casbinModel = `
[request_definition]
r = sub, obj, act
[policy_definition]
p = sub, obj, act, eft
[role_definition]
g = _, _
[policy_effect]
e = some(where (p.eft == allow)) && !some(where (p.eft == deny))
[matchers]
m = g(r.sub, p.sub) && keyMatch(r.obj, p.obj) && (p.act == "*" || r.act == p.act)
`

func casbinPolicy() string {
	var lines []string
	for n := range rbacRoles {
		lines = append(lines,
			fmt.Sprintf("p, team-%d, team-%d/*, predict, allow", n, n), fmt.Sprintf("p, team-%d, team-%d/*, read, allow", n, n),
			fmt.Sprintf("p, team-%d, team-%d/internal/*, *, deny", n, n))
	}
	return strings.Join(append(lines, "g, alice, team-7", "g, alice, team-11"), "\n")
}

// question is one that an Authorizer is asked about alice, who is of teams 7 and 11.
type question struct {
	resource, action string
	allowed          bool
}

var errDecision = errors.New("the other decision than expected")

// questions end in a decision by an allowing rule, by one that denies, and by none.
func questions() []question {
	return []question{
		{"team-7/churn", "predict", true}, {"team-11/fraud/v3", "read", true},
		{"team-7/internal/x", "predict", false}, {"team-3/churn", "predict", false},
	}
}

// decider answers a question; err only if it could not.
type decider func(resource, action string) (allowed bool, err error)

// deciders are the libraries' makers, by name.
func deciders() []struct {
	name, note string
	new        func() (decider, error)
} {
	return []struct {
		name, note string
		new        func() (decider, error)
	}{
		{Ours, "", ballastRBAC},
		{casbinPlain, "", func() (decider, error) {
			e, err := newCasbin(func(m model.Model, a *stringadapter.Adapter) (*casbin.Enforcer, error) {
				return casbin.NewEnforcer(m, a)
			})
			if err != nil {
				return nil, err
			}
			return func(resource, action string) (bool, error) { return e.Enforce("alice", resource, action) }, nil
		}},
		{casbinCached, "remembers each question, as many as there are", func() (decider, error) {
			e, err := newCasbin(func(m model.Model, a *stringadapter.Adapter) (*casbin.CachedEnforcer, error) {
				return casbin.NewCachedEnforcer(m, a)
			})
			if err != nil {
				return nil, err
			}
			return func(resource, action string) (bool, error) { return e.Enforce("alice", resource, action) }, nil
		}},
	}
}

func newCasbin[E any](enforcer func(model.Model, *stringadapter.Adapter) (E, error)) (E, error) {
	m, err := model.NewModelFromString(casbinModel)
	if err != nil {
		var none E
		return none, err
	}
	return enforcer(m, stringadapter.NewAdapter(casbinPolicy()))
}

func ballastRBAC() (decider, error) {
	p, err := authrbac.New(authrbac.Config{Document: rbacDocument()})
	if err != nil {
		return nil, err
	}
	ctx, alice := context.Background(), &auth.Principal{Subject: "alice", Roles: []string{"team-7", "team-11"}}
	return func(resource, action string) (bool, error) {
		err := p.Authorize(ctx, alice, action, resource)
		if errors.Is(err, auth.ErrForbidden) {
			return false, nil
		}
		return err == nil, err
	}, nil
}

// rbacTable asks the questions in turn.
func rbacTable() Table {
	t := Table{Name: tableRBAC, Title: fmt.Sprintf("Authorization, %d roles with three rules each, half of the questions denied", rbacRoles), Workers: 1, Batch: 64}
	for _, d := range deciders() {
		t.Contenders = append(t.Contenders, Contender{Name: d.name, Note: d.note, Open: func() (Op, func(), error) {
			decide, err := d.new()
			if err != nil {
				return nil, nil, err
			}
			asked := questions()
			return func(_, n int) error {
				for i := range n {
					q := &asked[i%len(asked)]
					if allowed, err := decide(q.resource, q.action); err != nil || allowed != q.allowed {
						return fmt.Errorf("%w: %s %s: %v, %v", errDecision, q.action, q.resource, allowed, err)
					}
				}
				return nil
			}, nil, nil
		}})
	}
	return t
}
