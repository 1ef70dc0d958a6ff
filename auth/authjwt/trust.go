package authjwt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// maxAge bounds Trust.MaxAge and Config.CacheTTL: more is a mistake.
const maxAge = 366 * 24 * time.Hour

// trust is a Trust that was checked.
type trust struct {
	issuers   []issuer
	audiences []string
	clients   []string
	source    KeySource
	algs      []string
	types     []string
	claims    []required
	subject   path
	roles     []path
	scopes    []path
	maxAge    time.Duration
}

// issuer is an accepted value of iss: before, or before, the value of a claim,
// and after.
type issuer struct {
	before, claim, after string
}

// required is a claim that must have one of values.
type required struct {
	name   path
	values []string
}

// path leads to a claim: its name, or names joined by dots, each but the last
// one that of an object. Names may have dots themselves: the longest counts.
type path string

func newPaths(names []string) []path {
	paths := make([]path, len(names))
	for i, name := range names {
		paths[i] = path(name)
	}
	return paths
}

// of returns the claim, or nil if there is none.
func (p path) of(claims map[string]any) any {
	if v, ok := claims[string(p)]; ok {
		return v
	}
	for i := len(p) - 1; i > 0; i-- {
		if p[i] != '.' {
			continue
		}
		if object, ok := claims[string(p[:i])].(map[string]any); ok {
			if v := p[i+1:].of(object); v != nil {
				return v
			}
		}
	}
	return nil
}

// newTrust checks t, whose place in the configuration is where.
func newTrust(t Trust, where string) (*trust, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("authjwt: "+where+"."+format, args...))
	}
	out := &trust{
		audiences: slices.Clone(t.Audiences), clients: slices.Clone(t.ClientIDs), source: t.Keys,
		algs: slices.Clone(t.Algorithms), maxAge: t.MaxAge,
		types: []string{"jwt", "at+jwt", ""},
	}
	out.subject, out.roles, out.scopes = t.paths()
	if len(t.Issuers) == 0 {
		bad("Issuers is empty")
	}
	for i, name := range t.Issuers {
		iss, ok := newIssuer(name)
		if !ok {
			bad("Issuers[%d] is empty, or has a { without a claim's name and a }", i)
		}
		out.issuers = append(out.issuers, iss)
	}
	if len(t.Audiences)+len(t.ClientIDs) == 0 {
		bad("Audiences and ClientIDs are empty: tokens for any service would be accepted")
	}
	if slices.Contains(t.Audiences, "") {
		bad("Audiences has an empty one")
	}
	if slices.Contains(t.ClientIDs, "") {
		bad("ClientIDs has an empty one")
	}
	if isNil(t.Keys) {
		bad("Keys is nil")
	}
	for i, alg := range t.Algorithms {
		if !knownAlgorithm(alg) {
			bad("Algorithms[%d] is %q, which is not supported", i, alg)
		}
	}
	if t.Types != nil {
		out.types = nil
		for _, typ := range t.Types {
			out.types = append(out.types, mediaType(typ))
		}
		if len(out.types) == 0 {
			bad("Types is empty, and not nil")
		}
	}
	for name, values := range t.Claims {
		if name == "" || len(values) == 0 || slices.Contains(values, "") {
			bad("Claims[%q] has no name, no values or an empty one", name)
		}
		out.claims = append(out.claims, required{path(name), slices.Clone(values)})
	}
	if t.MaxAge < 0 || t.MaxAge > maxAge {
		bad("MaxAge is %v, not within 0 and %v", t.MaxAge, maxAge)
	}
	return out, errors.Join(errs...)
}

// isNil reports whether x is nil, or a nil pointer that an interface hides: that of
// a constructor whose error was not looked at.
func isNil(x any) bool {
	v := reflect.ValueOf(x)
	return !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil()
}

// paths says where a Principal's fields come from.
func (t Trust) paths() (subject path, roles, scopes []path) {
	subject, roles, scopes = "sub", newPaths([]string{"roles", "groups"}), newPaths([]string{"scope", "scp"})
	if t.SubjectClaim != "" {
		subject = path(t.SubjectClaim)
	}
	if t.RolesClaims != nil {
		roles = newPaths(t.RolesClaims)
	}
	if t.ScopesClaims != nil {
		scopes = newPaths(t.ScopesClaims)
	}
	return subject, roles, scopes
}

// newIssuer reads an entry of Trust.Issuers.
func newIssuer(s string) (issuer, bool) {
	before, rest, found := strings.Cut(s, "{")
	if !found {
		return issuer{before: s}, s != ""
	}
	claim, after, found := strings.Cut(rest, "}")
	return issuer{before, claim, after}, found && claim != "" && before != "" && !strings.ContainsAny(after, "{}")
}

// accepts reports whether iss is the issuer that the entry names, for claims.
func (i issuer) accepts(iss string, claims map[string]any) bool {
	if i.claim == "" {
		return iss == i.before
	}
	value, _ := claims[i.claim].(string)
	// A value with more in it than a name could make one issuer out of another.
	return value != "" && !strings.ContainsAny(value, "/?#@:") && iss == i.before+value+i.after
}

// allows reports whether the trust accepts alg, if the key does.
func (t *trust) allows(alg string) bool {
	return len(t.algs) == 0 || slices.Contains(t.algs, alg)
}
