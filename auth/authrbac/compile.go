package authrbac

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Everyone is the role of whoever is authenticated.
const everyone = "authenticated"

const (
	// maxInheritance is how many roles may inherit one from the other in a row.
	maxInheritance = 16

	// maxInherited is how many roles all roles may have by inheritance, together: of n
	// roles that inherit from one that inherits from n others, each has all of those.
	maxInherited = 1 << 20
)

// compiled is a policy in force. It never changes.
type compiled struct {
	everyone *role // nil: none
	roles    dict[*role]
	trust    []*trust // nil: all roles are believed
	subjects dict[[]*binding]
	patterns []*binding // those with a subject that ends in a star
	bindings []*binding // all of them
}

// role is what those who have it may do: its own rules and those of what it inherits.
// What it keeps is as large as what is written, however rules multiply, but for all.
type role struct {
	name     string
	rules    []*rule // own ones
	inherits []*role
	all      []*role // itself, then those inherited, nearest first; none twice

	exact   dict[[]*rule] // by resources that they name literally, whatever their action
	actions dict[[]*rule] // by action; those with other patterns
	any     []*rule       // those for all actions; the same
}

type rule struct {
	name      string // its place
	deny      bool
	anyAction bool
	actions   dict[bool]
	patterns  []pattern
	globs     []pattern // those that are not literal
	scopes    []string  // sorted
}

func newRule(name string, deny bool, actions []string, patterns []pattern, scopes []string) *rule {
	r := &rule{name: name, deny: deny, patterns: patterns}
	set := make(map[string]bool)
	for _, a := range actions {
		set[a] = true
		r.anyAction = r.anyAction || a == "*"
	}
	r.actions = newDict(set)
	for _, p := range patterns {
		if !p.literal() {
			r.globs = append(r.globs, p)
		}
	}
	slices.Sort(scopes)
	r.scopes = slices.Compact(scopes)
	return r
}

// origin is where principals come from: all of what is not empty must hold.
type origin struct{ issuers, methods []string }

// binding gives roles to principals.
type binding struct {
	name     string
	roleText []string
	roles    []*role
	subjects []string
	from     origin
	claims   []claim
}

// claim must be there with one of the values.
type claim struct {
	name   string
	values []string
}

// trust says whose word is taken for roles.
type trust struct {
	from     origin
	roleText []string
	roles    []*role // empty: all
}

// compile reads a JSON document. All that is wrong with it comes at once.
func compile(text []byte) (*compiled, error) {
	var w walker
	d := w.read(text)
	if d == nil {
		return nil, errors.Join(w.problems...)
	}
	roles := make(map[string]*role, len(d.roles))
	for name, text := range d.roles {
		roles[name] = &role{name: name, rules: text.rules}
	}
	w.link(d, roles)
	if len(w.problems) > 0 {
		return nil, errors.Join(w.problems...)
	}
	inherited := 0
	for _, r := range roles {
		r.all = r.closure()
		r.index()
		if inherited += len(r.all) - 1; inherited > maxInherited {
			return nil, fmt.Errorf("authrbac: roles: they inherit more than %d roles in total", maxInherited)
		}
	}
	c := &compiled{everyone: roles[everyone], roles: newDict(roles), trust: d.trust, bindings: d.bindings}
	c.bind()
	return c, nil
}

// link puts roles in the place of their names.
func (w *walker) link(d *document, roles map[string]*role) {
	for _, name := range slices.Sorted(maps.Keys(d.roles)) {
		place := under(under("roles", name), "inherits")
		roles[name].inherits = w.lookup(roles, d.roles[name].inherits, place)
	}
	for _, b := range d.bindings {
		b.roles = w.lookup(roles, b.roleText, under(b.name, "roles"))
	}
	for i, t := range d.trust {
		t.roles = w.lookup(roles, t.roleText, under(at("trust", i), "roles"))
	}
	depths := make(map[*role]int)
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		w.depth(roles[name], nil, depths)
	}
}

func (w *walker) lookup(roles map[string]*role, names []string, place string) (found []*role) {
	for i, name := range names {
		switch r, ok := roles[name]; {
		case name == everyone:
			w.add(at(place, i), "everyone has %q already", name)
		case !ok && checkName(name) == "":
			w.add(at(place, i), "no such role: %.100q", name)
		case ok:
			found = append(found, r)
		}
	}
	return found
}

// depth returns how many roles in a row r is the first of, and complains of cycles
// and of rows that are too long, once each.
func (w *walker) depth(r *role, path []*role, depths map[*role]int) int {
	const here = -1 // on the path
	switch d := depths[r]; {
	case d > 0:
		return d
	case d == here:
		var names []string
		for _, r := range append(path[slices.Index(path, r):], r) {
			names = append(names, r.name)
		}
		w.add(under(under("roles", r.name), "inherits"), "a cycle: %.500s", strings.Join(names, " → "))
		return 0
	}
	depths[r] = here
	d := 1
	for _, parent := range r.inherits {
		d = max(d, 1+w.depth(parent, append(path, r), depths))
	}
	if d == maxInheritance+1 {
		w.add(under(under("roles", r.name), "inherits"), "more than %d roles inherit one from the other", maxInheritance)
	}
	depths[r] = d
	return d
}

// closure lists r and all that it inherits, nearest first.
func (r *role) closure() []*role {
	all, seen := []*role{r}, map[*role]bool{r: true}
	for i := 0; i < len(all); i++ {
		for _, parent := range all[i].inherits {
			if !seen[parent] {
				seen[parent] = true
				all = append(all, parent)
			}
		}
	}
	return all
}

// index sorts r's own rules by what they are found by.
func (r *role) index() {
	exact, actions := make(map[string][]*rule), make(map[string][]*rule)
	for _, x := range r.rules {
		for _, p := range x.patterns {
			if p.literal() {
				exact[p.text] = appendNew(exact[p.text], x)
			}
		}
		switch {
		case len(x.globs) == 0:
		case x.anyAction:
			r.any = append(r.any, x)
		default:
			for _, a := range x.actions.keys() {
				actions[a] = append(actions[a], x)
			}
		}
	}
	r.exact, r.actions = newDict(exact), newDict(actions)
}

func (c *compiled) bind() {
	exact := make(map[string][]*binding)
	for _, b := range c.bindings {
		wild := false
		for _, s := range b.subjects {
			if strings.HasSuffix(s, "*") {
				wild = true
			} else {
				exact[s] = appendNew(exact[s], b)
			}
		}
		if wild {
			c.patterns = append(c.patterns, b)
		}
	}
	c.subjects = newDict(exact)
}

// appendNew appends x unless it is the last.
func appendNew[T comparable](all []T, x T) []T {
	if len(all) > 0 && all[len(all)-1] == x {
		return all
	}
	return append(all, x)
}
