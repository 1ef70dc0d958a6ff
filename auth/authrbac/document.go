package authrbac

import (
	"slices"
	"strings"
	"unicode/utf8"
)

// version is the document format's.
const version = "1"

// document is a policy as it is written, once each part by itself has been checked.
type document struct {
	roles    map[string]*roleText
	bindings []*binding
	trust    []*trust
}

type roleText struct {
	rules    []*rule
	inherits []string
}

// walker reads a document and collects what is wrong with it.
type walker struct{ problems }

// read returns nil if the document has no shape at all; problems are in w.
func (w *walker) read(text []byte) *document {
	v, ok := parseJSON(text, &w.problems)
	if !ok {
		return nil
	}
	if v.kind != object {
		w.add("", "the document is %s, not %s", v.kind, object)
		return nil
	}
	m := w.members(v, "", "version", "roles", "bindings", "trust")
	switch v, ok := m["version"]; {
	case !ok:
		w.add("version", "missing")
	case v.kind != number || v.text != version:
		w.add("version", "not %s, the only one that is known", version)
	}
	d := &document{roles: make(map[string]*roleText)}
	if roles, ok := w.required(m, "", "roles"); ok {
		w.roles(d, roles)
	}
	if v, ok := m["bindings"]; ok {
		w.each(v, "bindings", func(place string, v value) { d.bindings = append(d.bindings, w.binding(place, v)) })
	}
	if v, ok := m["trust"]; ok {
		w.each(v, "trust", func(place string, v value) { d.trust = append(d.trust, w.trust(place, v)) })
	}
	return d
}

func (w *walker) roles(d *document, v value) {
	if !w.is(v, object, "roles") {
		return
	}
	if len(v.members) == 0 {
		w.add("roles", "empty")
	}
	for _, m := range v.members {
		place := under("roles", m.name)
		w.checked(m.name, place, checkName)
		d.roles[m.name] = w.role(place, m.value)
	}
}

func (w *walker) role(place string, v value) *roleText {
	r := new(roleText)
	m := w.members(v, place, "allow", "deny", "inherits")
	if v.kind == object && len(v.members) == 0 {
		w.add(place, "empty")
	}
	for _, effect := range []string{"deny", "allow"} {
		if v, ok := m[effect]; ok {
			w.each(v, under(place, effect), func(place string, v value) {
				r.rules = append(r.rules, w.rule(place, v, effect == "deny"))
			})
		}
	}
	r.inherits = w.strings(m, place, "inherits", checkName)
	return r
}

func (w *walker) rule(place string, v value, deny bool) *rule {
	m := w.members(v, place, "actions", "resources", "scopes")
	w.required(m, place, "actions")
	w.required(m, place, "resources")
	actions := w.strings(m, place, "actions", checkAction)
	var patterns []pattern
	w.strings(m, place, "resources", func(text string) string {
		p, err := parsePattern(text)
		if err != nil {
			return err.Error()
		}
		patterns = append(patterns, p)
		return ""
	})
	scopes := w.strings(m, place, "scopes", checkScope)
	if deny && len(scopes) > 0 {
		w.add(under(place, "scopes"), "in a deny rule: a caller would be allowed more for having fewer scopes")
	}
	return newRule(place, deny, actions, patterns, scopes)
}

func (w *walker) binding(place string, v value) *binding {
	m := w.members(v, place, "roles", "subjects", "issuers", "methods", "claims")
	w.required(m, place, "roles")
	w.required(m, place, "subjects")
	b := &binding{
		name:     place,
		roleText: w.strings(m, place, "roles", checkName),
		subjects: w.strings(m, place, "subjects", checkSubject),
		from:     w.origin(m, place, v),
	}
	if claims, ok := m["claims"]; ok && w.is(claims, object, under(place, "claims")) {
		here := under(place, "claims")
		if len(claims.members) == 0 {
			w.add(here, "empty")
		}
		values := w.members(claims, here)
		for _, c := range claims.members {
			b.claims = append(b.claims, claim{c.name, w.strings(values, here, c.name, checkText)})
		}
	}
	return b
}

func (w *walker) trust(place string, v value) *trust {
	m := w.members(v, place, "issuers", "methods", "roles")
	return &trust{from: w.origin(m, place, v), roleText: w.strings(m, place, "roles", checkName)}
}

// origin reads where principals come from. What says neither would take the word of
// each issuer that there is, now and later, and a subject is one within its issuer only.
func (w *walker) origin(m map[string]value, place string, v value) origin {
	_, issuers := m["issuers"]
	_, methods := m["methods"]
	if v.kind == object && !issuers && !methods {
		w.add(place, "has neither issuers nor methods: whose subjects are meant?")
	}
	return origin{
		issuers: w.strings(m, place, "issuers", checkIssuer),
		methods: w.strings(m, place, "methods", checkName),
	}
}

// members returns v's by name, and complains of others than those known, if any are
// given.
func (w *walker) members(v value, place string, known ...string) map[string]value {
	if place != "" && !w.is(v, object, place) {
		return nil
	}
	m := make(map[string]value, len(v.members))
	for _, x := range v.members {
		if len(known) > 0 && !slices.Contains(known, x.name) {
			w.add(under(place, x.name), "unknown; known are %s", strings.Join(known, ", "))
		}
		m[x.name] = x.value
	}
	return m
}

func (w *walker) required(m map[string]value, place, name string) (value, bool) {
	v, ok := m[name]
	if !ok && m != nil {
		w.add(under(place, name), "missing")
	}
	return v, ok
}

// each goes over a list that may not be empty.
func (w *walker) each(v value, place string, do func(place string, v value)) {
	if !w.is(v, list, place) {
		return
	}
	if len(v.array) == 0 {
		w.add(place, "empty")
	}
	for i, v := range v.array {
		do(at(place, i), v)
	}
}

// strings reads a list of strings, each of which check has nothing against.
func (w *walker) strings(m map[string]value, place, name string, check func(string) string) (all []string) {
	v, ok := m[name]
	if !ok {
		return nil
	}
	w.each(v, under(place, name), func(place string, v value) {
		if w.is(v, text, place) {
			w.checked(v.text, place, check)
			all = append(all, v.text)
		}
	})
	return all
}

func (w *walker) checked(s, place string, check func(string) string) {
	if wrong := check(s); wrong != "" {
		w.add(place, "%s", wrong)
	}
}

func (w *walker) is(v value, want kind, place string) bool {
	if v.kind != want {
		w.add(place, "%s, not %s", v.kind, want)
	}
	return v.kind == want
}

func checkName(s string) string {
	if s == "" {
		return "empty"
	}
	return checkText(s)
}

// checkText refuses, too, what stands for what could not be decoded, such as half a
// surrogate pair: two that differed would be one.
func checkText(s string) string {
	if !goodText(s) || strings.ContainsRune(s, utf8.RuneError) {
		return "has a control character, or one that is no valid Unicode"
	}
	return ""
}

// checkIssuer allows the empty one: API keys have none.
func checkIssuer(s string) string {
	if strings.Contains(s, "*") {
		return "issuers have no wildcards"
	}
	return checkText(s)
}

func checkAction(s string) string {
	if s != "*" && strings.Contains(s, "*") {
		return "an action is exact, or * for all"
	}
	return checkName(s)
}

func checkSubject(s string) string {
	if strings.Contains(strings.TrimSuffix(s, "*"), "*") {
		return "a subject is exact, or has one * at its end"
	}
	return checkName(s)
}

// checkScope allows what a scope-token may be (RFC 6749 §3.3): they are told to clients
// in a header field.
func checkScope(s string) string {
	bad := strings.IndexFunc(s, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' })
	if s == "" || bad >= 0 {
		return "not a scope (RFC 6749 §3.3)"
	}
	return ""
}
