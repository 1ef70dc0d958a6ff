package authrbac

import (
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

// A refPolicy is a document and, in decide, what its format means, written down as
// plainly as can be.
type refPolicy struct {
	Version  int                `json:"version"`
	Roles    map[string]refRole `json:"roles"`
	Bindings []refBinding       `json:"bindings,omitempty"`
	Trust    []refTrust         `json:"trust,omitempty"`
}

type refRole struct {
	Allow    []refRule `json:"allow,omitempty"`
	Deny     []refRule `json:"deny,omitempty"`
	Inherits []string  `json:"inherits,omitempty"`
}

type refRule struct {
	Actions   []string `json:"actions"`
	Resources []string `json:"resources"`
	Scopes    []string `json:"scopes,omitempty"`
}

type refBinding struct {
	Roles    []string            `json:"roles"`
	Subjects []string            `json:"subjects"`
	Issuers  []string            `json:"issuers,omitempty"`
	Methods  []string            `json:"methods,omitempty"`
	Claims   map[string][]string `json:"claims,omitempty"`
}

type refTrust struct {
	Issuers []string `json:"issuers,omitempty"`
	Methods []string `json:"methods,omitempty"`
	Roles   []string `json:"roles,omitempty"`
}

type refAnswer struct {
	allowed, denied bool
	scopes          []string
}

func (r *refPolicy) decide(p *auth.Principal, action, resource string) (a refAnswer) {
	if action == "" || !refWellFormed(resource) {
		return a
	}
	best := -1
	for name := range r.rolesOf(p) {
		for _, x := range r.Roles[name].Deny {
			a.denied = a.denied || refMatches(x, action, resource)
		}
		for _, x := range r.Roles[name].Allow {
			if !refMatches(x, action, resource) {
				continue
			}
			lacks, scopes := 0, slices.Compact(slices.Sorted(slices.Values(x.Scopes)))
			for _, s := range scopes {
				if !slices.Contains(p.Scopes, s) {
					lacks++
				}
			}
			if lacks == 0 {
				a.allowed = true
				continue
			}
			if best < 0 || lacks < best || lacks == best && slices.Compare(scopes, a.scopes) < 0 {
				best, a.scopes = lacks, scopes
			}
		}
	}
	if a.denied {
		a.allowed = false
	}
	if a.denied || a.allowed {
		a.scopes = nil
	}
	return a
}

func (r *refPolicy) rolesOf(p *auth.Principal) map[string]bool {
	has := map[string]bool{everyone: true}
	for _, name := range p.Roles {
		has[name] = has[name] || r.Trust == nil || slices.ContainsFunc(r.Trust, func(t refTrust) bool {
			return oneOf(t.Issuers, p.Issuer) && oneOf(t.Methods, p.Method) && oneOf(t.Roles, name)
		})
	}
	for _, b := range r.Bindings {
		applies := oneOf(b.Issuers, p.Issuer) && oneOf(b.Methods, p.Method) &&
			slices.ContainsFunc(b.Subjects, func(s string) bool { return refMatch(strings.Replace(s, "*", "**", 1), p.Subject) })
		for name, values := range b.Claims {
			claim, _ := p.Claims[name].(string)
			applies = applies && slices.Contains(values, claim)
		}
		for _, name := range b.Roles {
			has[name] = has[name] || applies
		}
	}
	maps.DeleteFunc(has, func(_ string, yes bool) bool { return !yes })
	for range r.Roles { // as often as anything can be inherited
		for name := range maps.Clone(has) {
			for _, parent := range r.Roles[name].Inherits {
				has[parent] = true
			}
		}
	}
	return has
}

func oneOf(all []string, s string) bool { return len(all) == 0 || slices.Contains(all, s) }

func refMatches(x refRule, action, resource string) bool {
	return (slices.Contains(x.Actions, action) || slices.Contains(x.Actions, "*")) &&
		slices.ContainsFunc(x.Resources, func(p string) bool { return refMatch(p, resource) })
}

// refMatch tries everything.
func refMatch(pattern, s string) bool {
	switch {
	case strings.HasPrefix(pattern, "**"):
		return refMatch(pattern[2:], s) || s != "" && refMatch(pattern, s[1:])
	case strings.HasPrefix(pattern, "*"):
		return refMatch(pattern[1:], s) || s != "" && s[0] != '/' && refMatch(pattern, s[1:])
	case pattern == "" || s == "":
		return pattern == s
	}
	return pattern[0] == s[0] && refMatch(pattern[1:], s[1:])
}

func refWellFormed(s string) bool {
	for _, segment := range strings.Split(s, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return false
		}
	}
	return len(s) <= maxResource && strings.ToValidUTF8(s, "") == s &&
		!strings.ContainsFunc(s, func(r rune) bool { return r < 32 || r > 126 && r < 160 || r == 0x2028 || r == 0x2029 })
}

// choices makes policies and questions of bytes, by which a fuzzer can lead it.
type choices []byte

func (c *choices) n(below int) int {
	if len(*c) == 0 {
		return 0
	}
	n := int((*c)[0]) % below
	*c = (*c)[1:]
	return n
}

func (c *choices) of(all ...string) string { return all[c.n(len(all))] }

func (c *choices) some(least int, all ...string) (some []string) {
	for n := least + c.n(3); len(some) < n; {
		some = append(some, c.of(all...))
	}
	return some
}

var (
	refNames    = []string{"a", "b", "c", "d", everyone}
	refActions  = []string{"read", "write", "Read"}
	refPieces   = []string{"a", "b", "ab", "/", "/", "*", "**", ".", "é", "-"}
	refIssuers  = []string{"", "i1", "i2"}
	refMethods  = []string{"m1", "m2"}
	refScopes   = []string{"s1", "s2", "s3"}
	refSubjects = []string{"x", "xy", "y", "*"}
)

func (c *choices) resource() (s string) {
	for n := 1 + c.n(7); n > 0; n-- {
		s += c.of(refPieces...)
	}
	return s
}

func (c *choices) rules(deny bool) (rules []refRule) {
	for range c.n(3) {
		r := refRule{Actions: c.some(1, append(refActions, "*")...), Scopes: c.some(0, refScopes...)}
		if deny {
			r.Scopes = nil
		}
		for range 1 + c.n(2) {
			if s := c.resource(); checkPattern(s) == nil {
				r.Resources = append(r.Resources, s)
			}
		}
		if r.Resources == nil {
			r.Resources = []string{c.of("a/**", "*", "**", "a", "a/b", "*/b", "a/*", "**b")}
		}
		rules = append(rules, r)
	}
	return rules
}

func (c *choices) policy() *refPolicy {
	p := &refPolicy{Version: 1, Roles: make(map[string]refRole)}
	for i, name := range refNames {
		r := refRole{Allow: c.rules(false), Deny: c.rules(true)}
		if i > 0 {
			r.Inherits = c.some(0, refNames[:i]...) // no cycles
		}
		if r.Allow == nil && r.Deny == nil && r.Inherits == nil {
			r.Allow = []refRule{{Actions: []string{"read"}, Resources: []string{"a"}}}
		}
		p.Roles[name] = r
	}
	for range c.n(3) {
		b := refBinding{
			Roles: c.some(1, refNames[:4]...), Subjects: c.some(1, "x", "xy", "x*", "*"),
			Issuers: c.some(0, refIssuers...), Methods: c.some(1, refMethods...),
		}
		if c.n(2) == 0 {
			b.Claims = map[string][]string{c.of("k", "l"): c.some(1, "v", "w")}
		}
		p.Bindings = append(p.Bindings, b)
	}
	for range c.n(3) {
		p.Trust = append(p.Trust, refTrust{Issuers: c.some(1, refIssuers...), Methods: c.some(0, refMethods...), Roles: c.some(0, refNames[:4]...)})
	}
	return p
}

func (c *choices) principal() *auth.Principal {
	return &auth.Principal{
		Subject: c.of(refSubjects...), Issuer: c.of(refIssuers...), Method: c.of(refMethods...),
		Roles: c.some(0, append(refNames, "unknown")...), Scopes: c.some(0, refScopes...),
		Claims: map[string]any{c.of("k", "l", "m"): c.of("v", "w")},
	}
}

func (r *refPolicy) compile(t testing.TB) *Policy {
	t.Helper()
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := New(Config{Document: text})
	if err != nil {
		t.Fatalf("%s\n%v", text, err)
	}
	return p
}

// asReference compares some decisions with the reference's.
func asReference(t testing.TB, c choices) {
	t.Helper()
	r := c.policy()
	p := r.compile(t)
	for range 8 {
		who, action, resource := c.principal(), c.of(append(refActions, "", "*")...), c.resource()
		want := r.decide(who, action, resource)
		got := answerOf(t, p, who, action, resource)
		if got.allowed != want.allowed || got.denied != want.denied || !slices.Equal(got.scopes, want.scopes) {
			text, _ := json.Marshal(r)
			t.Fatalf("%s\n%+v: %q on %q: %+v, want %+v", text, who, action, resource, got, want)
		}
	}
}

// answerOf asks in each way there is, which must agree.
func answerOf(t testing.TB, p *Policy, who *auth.Principal, action, resource string) (a refAnswer) {
	t.Helper()
	rule, err := p.Decide(t.Context(), who, action, resource)
	forbidden, _ := errors.AsType[*auth.ForbiddenError](err)
	switch {
	case err == nil:
		a.allowed = true
	case forbidden == nil || !errors.Is(err, auth.ErrForbidden):
		t.Fatalf("error %v", err)
	default:
		a.denied, a.scopes = rule != "", forbidden.Scopes
		if forbidden.Rule != rule || forbidden.Subject != who.Subject || forbidden.Action != action || forbidden.Resource != resource {
			t.Fatalf("%+v of rule %q", forbidden, rule)
		}
	}
	if a.allowed && rule == "" {
		t.Fatal("allowed by no rule")
	}
	if err := p.Authorize(t.Context(), who, action, resource); (err == nil) != a.allowed {
		t.Fatalf("Authorize: %v", err)
	}
	e := p.Explain(who, action, resource)
	if e.Allowed != a.allowed || e.Rule != rule || !slices.Equal(e.Scopes, a.scopes) {
		t.Fatalf("Explain: %+v, want %+v by %q", e, a, rule)
	}
	explains(t, e, a)
	return a
}

// explains checks that the rules that an explanation lists lead to its answer.
func explains(t testing.TB, e Explanation, want refAnswer) {
	t.Helper()
	var allow, deny bool
	for _, r := range e.Rules {
		allow = allow || !r.Deny && r.Unmatched == ""
		deny = deny || r.Deny && r.Unmatched == ""
	}
	wellFormed := e.Action != "" && refWellFormed(e.Resource)
	if wellFormed && (deny != want.denied || (allow && !deny) != want.allowed) {
		t.Fatalf("the answer is %+v, and the explanation\n%v", want, e)
	}
}

func TestReference(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for range rounds(3000) {
		asReference(t, randomChoices(random))
	}
}

// rounds are fewer with the race detector, which makes one ten times as long.
func rounds(n int) int {
	if raceEnabled {
		return n / 10
	}
	return n
}

func randomChoices(random *rand.Rand) choices {
	c := make(choices, 400)
	for i := range c {
		c[i] = byte(random.Uint32())
	}
	return c
}

func FuzzReference(f *testing.F) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 8 {
		f.Add([]byte(randomChoices(random)))
	}
	f.Fuzz(func(t *testing.T, b []byte) { asReference(t, b) })
}

// Another deny rule never allows more, and their order decides nothing.
func TestMonotonyAndOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range rounds(1500) {
		c := randomChoices(random)
		r := c.policy()
		before := r.compile(t)
		shuffled := r.shuffled(random).compile(t)
		name := c.of(refNames...)
		role := r.Roles[name]
		role.Deny = append(slices.Clone(role.Deny), refRule{Actions: []string{c.of("read", "*")}, Resources: []string{c.of("a/**", "**", "a", "*b")}})
		r.Roles[name] = role
		after := r.compile(t)
		for range 8 {
			who, action, resource := c.principal(), c.of(refActions...), c.resource()
			was, is := answerOf(t, before, who, action, resource), answerOf(t, after, who, action, resource)
			if is.allowed && !was.allowed || was.denied && !is.denied {
				t.Fatalf("%+v before, and with another deny rule %+v", was, is)
			}
			other := answerOf(t, shuffled, who, action, resource)
			if other.allowed != was.allowed || other.denied != was.denied || !slices.Equal(other.scopes, was.scopes) {
				t.Fatalf("%+v, and in another order %+v", was, other)
			}
		}
	}
}

// More scopes never allow less.
func TestScopesAreMonotone(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range rounds(1000) {
		c := randomChoices(random)
		p := c.policy().compile(t)
		for range 8 {
			who, action, resource := c.principal(), c.of(refActions...), c.resource()
			more := *who
			more.Scopes = append(slices.Clone(who.Scopes), c.of(refScopes...))
			if answerOf(t, p, who, action, resource).allowed && !answerOf(t, p, &more, action, resource).allowed {
				t.Fatalf("%+v may %s %s, and with scopes %v not", who, action, resource, more.Scopes)
			}
		}
	}
}

func (r *refPolicy) shuffled(random *rand.Rand) *refPolicy {
	s := &refPolicy{Version: 1, Roles: make(map[string]refRole), Bindings: slices.Clone(r.Bindings), Trust: slices.Clone(r.Trust)}
	random.Shuffle(len(s.Bindings), func(i, j int) { s.Bindings[i], s.Bindings[j] = s.Bindings[j], s.Bindings[i] })
	random.Shuffle(len(s.Trust), func(i, j int) { s.Trust[i], s.Trust[j] = s.Trust[j], s.Trust[i] })
	for name, role := range r.Roles {
		role.Allow, role.Deny, role.Inherits = slices.Clone(role.Allow), slices.Clone(role.Deny), slices.Clone(role.Inherits)
		random.Shuffle(len(role.Allow), func(i, j int) { role.Allow[i], role.Allow[j] = role.Allow[j], role.Allow[i] })
		random.Shuffle(len(role.Deny), func(i, j int) { role.Deny[i], role.Deny[j] = role.Deny[j], role.Deny[i] })
		random.Shuffle(len(role.Inherits), func(i, j int) {
			role.Inherits[i], role.Inherits[j] = role.Inherits[j], role.Inherits[i]
		})
		s.Roles[name] = role
	}
	return s
}
