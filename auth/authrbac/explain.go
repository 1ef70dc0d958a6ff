package authrbac

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ballast-go/ballast/auth"
)

// Explanation is how a decision comes about, for people: for a command line, a test of
// a policy, or an operator's endpoint. It must not be shown to callers, for it says what
// would have to be true for them to get through.
type Explanation struct {
	Subject  string `json:"subject"`
	Issuer   string `json:"issuer,omitempty"`
	Method   string `json:"method,omitempty"`
	Action   string `json:"action"`
	Resource string `json:"resource"`
	Allowed  bool   `json:"allowed"`
	// Rule decided; empty if none did.
	Rule string `json:"rule,omitempty"`
	// Reason says in a sentence why.
	Reason string `json:"reason"`
	// Scopes are, of a caller who lacks nothing but scopes, those of the rule.
	Scopes []string `json:"scopes,omitempty"`
	// Roles are those that the caller has, brings without their counting, or would
	// have by a binding that does not apply.
	Roles []ExplainedRole `json:"roles"`
	// Rules are those of the roles that count.
	Rules []ExplainedRule `json:"rules"`
}

// ExplainedRole is a role that was looked at.
type ExplainedRole struct {
	Name string `json:"name"`
	// From is where the caller has it from: "everyone", "principal", a binding's place,
	// or "inherited by" and a role.
	From string `json:"from"`
	// Ignored says why it does not count; empty if it does.
	Ignored string `json:"ignored,omitempty"`
}

// ExplainedRule is a rule that was looked at.
type ExplainedRule struct {
	// Rule is its place in the document.
	Rule string `json:"rule"`
	Deny bool   `json:"deny,omitempty"`
	// Pattern is the first of its resources that matches.
	Pattern string `json:"pattern,omitempty"`
	// Unmatched says why it does not apply; empty if it does.
	Unmatched string `json:"unmatched,omitempty"`
}

// Explain decides like [Policy.Decide], and tells everything that it looked at. It
// allocates as it likes.
func (p *Policy) Explain(who *auth.Principal, action, resource string) Explanation {
	c := p.now.Load()
	rule, err := c.decide(who, action, resource)
	e := Explanation{
		Action: action, Resource: resource, Allowed: err == nil, Rule: rule,
		Roles: []ExplainedRole{}, Rules: []ExplainedRule{},
	}
	if who == nil {
		e.Reason = "nobody is asking"
		return e
	}
	e.Subject, e.Issuer, e.Method = who.Subject, who.Issuer, who.Method
	if forbidden, ok := err.(*auth.ForbiddenError); ok {
		e.Scopes = forbidden.Scopes
	}
	for _, r := range e.roles(c, who) {
		for _, x := range r.rules {
			e.Rules = append(e.Rules, x.explain(who, action, resource))
		}
	}
	e.Reason = e.reason()
	return e
}

func (e *Explanation) reason() string {
	switch {
	case e.Allowed:
		return "allowed by " + e.Rule
	case e.Rule != "":
		return "denied by " + e.Rule
	case e.Action == "":
		return "no action is named"
	case !wellFormed(e.Resource):
		return "the resource is not well formed"
	case len(e.Scopes) > 0:
		return "it takes the scopes " + strings.Join(e.Scopes, ", ")
	}
	return "no rule allows it"
}

// roles lists roles and returns those that count, none twice.
func (e *Explanation) roles(c *compiled, who *auth.Principal) (all []*role) {
	add := func(r *role, from string) {
		for i, x := range r.all {
			if slices.Contains(all, x) {
				continue
			}
			all = append(all, x)
			if i > 0 {
				from = "inherited by " + r.name
			}
			e.Roles = append(e.Roles, ExplainedRole{Name: x.name, From: from})
		}
	}
	ignore := func(name, from, why string) {
		e.Roles = append(e.Roles, ExplainedRole{Name: name, From: from, Ignored: why})
	}
	if c.everyone != nil {
		add(c.everyone, "everyone")
	}
	for _, name := range who.Roles {
		switch r := c.roles.get(name); {
		case r == nil:
			ignore(name, "principal", "not in the policy")
		case !c.believes(who, r):
			ignore(name, "principal", "not trusted from this issuer and method")
		default:
			add(r, "principal")
		}
	}
	for _, b := range c.bindings {
		if !b.names(who.Subject) {
			continue
		}
		why := b.explain(who)
		for _, r := range b.roles {
			if why == "" {
				add(r, b.name)
			} else {
				ignore(r.name, b.name, why)
			}
		}
	}
	return all
}

func (b *binding) explain(who *auth.Principal) string {
	if !b.from.match(who) {
		return "another issuer or method"
	}
	for _, c := range b.claims {
		if !c.holds(who.Claims) {
			return fmt.Sprintf("claim %q has none of the values", c.name)
		}
	}
	return ""
}

func (x *rule) explain(who *auth.Principal, action, resource string) ExplainedRule {
	e := ExplainedRule{Rule: x.name, Deny: x.deny}
	for i := range x.patterns {
		if e.Pattern == "" && wellFormed(resource) && x.patterns[i].match(resource) {
			e.Pattern = x.patterns[i].text
		}
	}
	var lacking []string
	for _, s := range x.scopes {
		if !slices.Contains(who.Scopes, s) {
			lacking = append(lacking, s)
		}
	}
	switch {
	case !x.does(action):
		e.Unmatched = "another action"
	case e.Pattern == "":
		e.Unmatched = "another resource"
	case len(lacking) > 0:
		e.Unmatched = "without the scopes " + strings.Join(lacking, ", ")
	}
	return e
}

// String is the explanation as text of several lines.
func (e Explanation) String() string {
	var b strings.Builder
	verdict := "forbidden"
	if e.Allowed {
		verdict = "allowed"
	}
	fmt.Fprintf(&b, "%s: %s, %q on %q by %q", verdict, e.Reason, e.Action, e.Resource, e.Subject)
	if e.Issuer != "" {
		fmt.Fprintf(&b, " of %q", e.Issuer)
	}
	b.WriteByte('\n')
	for _, r := range e.Roles {
		fmt.Fprintf(&b, "  role %q (%s)", r.Name, r.From)
		if r.Ignored != "" {
			b.WriteString(" does not count: " + r.Ignored)
		}
		b.WriteByte('\n')
	}
	for _, r := range e.Rules {
		switch {
		case r.Unmatched != "":
			fmt.Fprintf(&b, "  %s: %s\n", r.Rule, r.Unmatched)
		case r.Deny:
			fmt.Fprintf(&b, "  %s: denies %s\n", r.Rule, r.Pattern)
		default:
			fmt.Fprintf(&b, "  %s: allows %s\n", r.Rule, r.Pattern)
		}
	}
	return b.String()
}
