package authrbac

import (
	"slices"
	"strings"

	"github.com/ballast-go/ballast/auth"
)

// query is a question and what is known of its answer so far.
type query struct {
	p                *auth.Principal
	action, resource string

	deny  *rule
	allow *rule
	short *rule // would allow, if the caller had its scopes; of several the nearest
	lacks int   // scopes, of short
}

// decide returns what rule decides, if any does.
func (c *compiled) decide(p *auth.Principal, action, resource string) (string, error) {
	if p == nil {
		return "", auth.ErrNoCredential
	}
	q := query{p: p, action: action, resource: resource}
	if action != "" && wellFormed(resource) {
		c.ask(&q)
	}
	switch {
	case q.deny != nil:
		return q.deny.name, q.forbidden(q.deny.name, nil)
	case q.allow != nil:
		return q.allow.name, nil
	case q.short != nil:
		// What is told is about roles that the caller has. Nobody learns about others'.
		return "", q.forbidden("", q.short.scopes)
	}
	return "", q.forbidden("", nil)
}

func (q *query) forbidden(rule string, scopes []string) error {
	return &auth.ForbiddenError{
		Subject: q.p.Subject, Action: q.action, Resource: q.resource,
		Rule: rule, Scopes: slices.Clone(scopes),
	}
}

// ask asks all roles that q.p has, until one of them denies.
func (c *compiled) ask(q *query) {
	if c.everyone != nil {
		q.askRole(c.everyone)
	}
	for _, name := range q.p.Roles {
		if q.deny != nil {
			return
		}
		if r := c.roles.get(name); r != nil && c.believes(q.p, r) {
			q.askRole(r)
		}
	}
	for _, b := range c.subjects.get(q.p.Subject) {
		q.askBinding(b)
	}
	for _, b := range c.patterns {
		if b.prefixes(q.p.Subject) {
			q.askBinding(b)
		}
	}
}

// believes reports whether p's word is taken for having r.
func (c *compiled) believes(p *auth.Principal, r *role) bool {
	if c.trust == nil {
		return true
	}
	for _, t := range c.trust {
		if t.from.match(p) && (len(t.roles) == 0 || slices.Contains(t.roles, r)) {
			return true
		}
	}
	return false
}

func (q *query) askBinding(b *binding) {
	if q.deny != nil || !b.from.match(q.p) || !b.claimed(q.p) {
		return
	}
	for _, r := range b.roles {
		q.askRole(r)
	}
}

// askRole asks r and what it inherits.
func (q *query) askRole(r *role) {
	for _, r := range r.all {
		for _, x := range r.exact.get(q.resource) {
			if x.does(q.action) {
				q.take(x)
			}
		}
		if rules := r.actions.get(q.action); rules != nil {
			q.askGlobs(rules)
		}
		if r.any != nil {
			q.askGlobs(r.any)
		}
	}
}

// askGlobs asks rules that are for q.action.
func (q *query) askGlobs(rules []*rule) {
	for _, x := range rules {
		if (x.deny || q.allow == nil) && x.covers(q.resource) {
			q.take(x)
		}
	}
}

// take takes in a rule that matches action and resource.
func (q *query) take(x *rule) {
	if x.deny {
		q.deny = x
		return
	}
	if q.allow != nil {
		return
	}
	switch lacks := x.lacks(q.p); {
	case lacks == 0:
		q.allow = x
	case q.short == nil || lacks < q.lacks ||
		lacks == q.lacks && slices.Compare(x.scopes, q.short.scopes) < 0:
		q.short, q.lacks = x, lacks
	}
}

func (x *rule) does(action string) bool { return x.anyAction || x.actions.get(action) }

func (x *rule) covers(resource string) bool {
	for i := range x.globs {
		if x.globs[i].match(resource) {
			return true
		}
	}
	return false
}

// lacks returns how many of x's scopes p has not.
func (x *rule) lacks(p *auth.Principal) (n int) {
	for _, s := range x.scopes {
		if !slices.Contains(p.Scopes, s) {
			n++
		}
	}
	return n
}

func (o *origin) match(p *auth.Principal) bool {
	return (len(o.issuers) == 0 || slices.Contains(o.issuers, p.Issuer)) &&
		(len(o.methods) == 0 || slices.Contains(o.methods, p.Method))
}

// prefixes reports whether subject begins as one of those of b that end in a star.
func (b *binding) prefixes(subject string) bool {
	for _, s := range b.subjects {
		if prefix, wild := strings.CutSuffix(s, "*"); wild && strings.HasPrefix(subject, prefix) {
			return true
		}
	}
	return false
}

// names reports whether subject is one of b's.
func (b *binding) names(subject string) bool {
	return slices.Contains(b.subjects, subject) || b.prefixes(subject)
}

// claimed reports whether p has all claims of b.
func (b *binding) claimed(p *auth.Principal) bool {
	for _, c := range b.claims {
		if !c.holds(p.Claims) {
			return false
		}
	}
	return true
}

func (c *claim) holds(claims map[string]any) bool {
	switch v := find(claims, c.name).(type) {
	case string:
		return slices.Contains(c.values, v)
	case []string:
		return slices.ContainsFunc(v, func(s string) bool { return slices.Contains(c.values, s) })
	case []any:
		return slices.ContainsFunc(v, func(x any) bool {
			s, ok := x.(string)
			return ok && slices.Contains(c.values, s)
		})
	}
	return false
}

// find returns the claim of that name, or else the one to which the name's dots lead.
// Names of objects may have dots, too: the longest counts, as in authjwt.
func find(claims map[string]any, name string) any {
	if v, ok := claims[name]; ok {
		return v
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '.' {
			continue
		}
		if inner, ok := claims[name[:i]].(map[string]any); ok {
			if v := find(inner, name[i+1:]); v != nil {
				return v
			}
		}
	}
	return nil
}
