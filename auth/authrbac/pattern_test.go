package authrbac

import (
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		pattern, yes, no string // resources, divided by spaces
	}{
		{"models/llama", "models/llama", "models/llama2 models/Llama models models/llama/x *"},
		{"models/*", "models/a models/* models/**", "models models/a/b model/a xmodels/a"},
		{"models/**", "models/a models/a/b models/a/b/c", "models modelsx/a"},
		{"*", "a é", "a/b"},
		{"**", "a a/b a/b/c", ""},
		{"models/llama-*", "models/llama- models/llama-3-70b", "models/llama models/llama-3/x"},
		{"models/*-70b", "models/-70b models/llama-3-70b", "models/llama-70b-x models/a/b-70b"},
		{"*/llama", "models/llama", "llama a/b/llama"},
		{"**/llama", "models/llama a/b/llama", "llama"},
		{"a/**/b", "a/x/b a/x/y/b", "a/b a/xb ab"},
		{"tenants/*/models/*", "tenants/t/models/m", "tenants/t/models/m/x tenants/t/u/models/m tenants/models/m"},
		{"tenants/*/**", "tenants/t/m tenants/t/m/n", "tenants/t"},
		{"**a**b**", "ab xaxbx a/b x/a/y/b/z", "ba a b"},
		{"*a*/*b", "a/b xax/xb a/bb", "a/b/b ab a/x"},
		{"**a*/b*c**", "a/bc x/a/bc/a/bc ay/bxc/z", "a/b/c"},
		{"**a*b/c**d", "ab/cd a/ab/c/d", "a/b/cd"},
		{"a**b", "ab a/b abab", "a/bc"},
		{"ab*ba", "abba abxba", "aba"},
		{"日本*語", "日本語 日本の語", "日本/語"},
	} {
		p, err := parsePattern(c.pattern)
		if err != nil {
			t.Errorf("%s: %v", c.pattern, err)
		}
		for _, s := range strings.Fields(c.yes) {
			if !p.match(s) || !refMatch(c.pattern, s) {
				t.Errorf("%s does not match %s", c.pattern, s)
			}
		}
		for _, s := range strings.Fields(c.no) {
			if p.match(s) || refMatch(c.pattern, s) {
				t.Errorf("%s matches %s", c.pattern, s)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"":                                  "empty",
		"a/***":                             "three stars",
		"a?":                                "only wildcards",
		"[ab]":                              "only wildcards",
		"{a,b}":                             "only wildcards",
		`a\*`:                               "only wildcards",
		"a//b":                              "no resource matches",
		"/a":                                "no resource matches",
		"a/":                                "no resource matches",
		"a/../b":                            "no resource matches",
		"./a":                               "no resource matches",
		"a\nb":                              "no resource matches",
		"a\u0085b":                          "no resource matches",
		"a\xffb":                            "no resource matches",
		strings.Repeat("a", maxPattern+1):   "longer than 512 bytes",
		"*" + strings.Repeat("a", 64) + "*": "more than 63 bytes between",
	} {
		if _, err := parsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", pattern, err, want)
		}
	}
	for _, pattern := range []string{strings.Repeat("a", maxPattern), "*" + strings.Repeat("a", 63) + "*"} {
		if p, err := parsePattern(pattern); err != nil || !p.match(pattern) {
			t.Errorf("%q: %v", pattern, err)
		}
	}
}

func TestWellFormed(t *testing.T) {
	for _, s := range []string{"a", "a/b", "...", ".a", "a.", "a..b", "*", "**", "a b", "é/日本", `a\b`, "%2e%2e", "a:b@c", strings.Repeat("a", maxResource)} {
		if !wellFormed(s) || !refWellFormed(s) {
			t.Errorf("%q is refused", s)
		}
	}
	for _, s := range []string{
		"", ".", "..", "/", "/a", "a/", "a//b", "a/./b", "a/..", "../a", "a\x00", "a\n", "\ta", "a\x7f",
		"a\u0080", "a\u2028", "a\u2029b", "a\xff", "\xc0\xae\xc0\xae/a", "\xed\xa0\x80", strings.Repeat("a", maxResource+1),
	} {
		if wellFormed(s) || refWellFormed(s) {
			t.Errorf("%q is let through", s)
		}
	}
}

// Patterns and resources on which an implementation that goes back to try again would
// still be at it when the test is ended.
func TestHostilePatterns(t *testing.T) {
	long := strings.Repeat("a", maxResource)
	slashes := strings.Repeat("a/", maxResource/2-1) + "a"
	for _, pattern := range []string{
		strings.Repeat("*a", 63) + "*b",
		strings.Repeat("**a", 63) + "**b",
		strings.Repeat("**a*", 31) + "b",
		strings.Repeat("*a**", 31) + "b",
		"**" + strings.Repeat("a", 63) + "**b",
		"**" + strings.Repeat("a/", 31) + "**b",
		"**" + strings.Repeat("*a/**a", 10) + "*b",
	} {
		pattern = strings.ReplaceAll(pattern, "***", "**")
		p, err := parsePattern(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
			continue
		}
		for _, resource := range []string{long, slashes} {
			for range rounds(1000) {
				if p.match(resource) {
					t.Fatalf("%s matches", pattern)
				}
			}
		}
	}
}

// A resource that is asked for is data.
func TestResourceIsNoPattern(t *testing.T) {
	p := policyOf(t, `{"version": 1, "roles": {"authenticated": {
		"allow": [{"actions": ["read"], "resources": ["models/*", "data"]}],
		"deny": [{"actions": ["*"], "resources": ["models/secret"]}]}}}`)
	for resource, allowed := range map[string]bool{
		"models/*": true, "models/secret": false, "models/secre*": true, "*": false, "**": false, "dat*": false, "data": true,
	} {
		if got := answerOf(t, p, user, "read", resource).allowed; got != allowed {
			t.Errorf("%s: %v", resource, got)
		}
	}
	for _, action := range []string{"*", "", "rea*", "READ", "read "} {
		if answerOf(t, p, user, action, "data").allowed {
			t.Errorf("action %q is allowed", action)
		}
	}
}

func FuzzPattern(f *testing.F) {
	f.Add("**a*b/c**d", "ab/c/d")
	f.Add("tenants/*/models/*", "tenants/t/models/m")
	f.Add("*é*", "aéb")
	f.Fuzz(func(t *testing.T, pattern, resource string) {
		if wellFormed(resource) != refWellFormed(resource) {
			t.Fatalf("%q: %v", resource, wellFormed(resource))
		}
		p, err := parsePattern(pattern)
		if err != nil || strings.Count(pattern, "*") > 5 || len(resource) > 40 { // the reference is slow
			return
		}
		if got, want := p.match(resource), refMatch(pattern, resource); got != want {
			t.Fatalf("%q on %q: %v, want %v", pattern, resource, got, want)
		}
	})
}
