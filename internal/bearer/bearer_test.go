package bearer

import (
	"regexp"
	"strings"
	"testing"
)

func TestToken(t *testing.T) {
	for field, want := range map[string][2]string{
		"Bearer abc":                           {"abc", ""},
		"bEARER   a.b-c_d~e+f/g==":             {"a.b-c_d~e+f/g==", ""},
		"Basic dTpw":                           {"", ""},
		"Negotiate":                            {"", ""},
		"":                                     {"", MalformedField},
		" Bearer abc":                          {"", MalformedField},
		"Bearer":                               {"", MalformedField},
		"Bearer ":                              {"", MalformedField},
		"Bearer a b":                           {"", MalformedField},
		"Bearer a,b":                           {"", MalformedField},
		"Bearer a, Bearer b":                   {"", MalformedField},
		"Bearer\tabc":                          {"", MalformedField},
		"Béarer abc":                           {"", MalformedField},
		"Bearer " + strings.Repeat("a", Max):   {strings.Repeat("a", Max), ""},
		"Bearer " + strings.Repeat("a", Max+1): {"", TooLong},
		"Bearer " + strings.Repeat(" ", 1000) + "a": {"a", ""},
	} {
		if token, reason := Token(field); token != want[0] || reason != want[1] {
			t.Errorf("%.40q: %.40q, %q", field, token, reason)
		}
	}
}

func TestIsToken(t *testing.T) {
	for s, want := range map[string]bool{"X-API-Key": true, "a!#$%&'*+-.^_`|~9Z": true, "": false, "a b": false, "a:b": false, "é": false, "a\x00": false} {
		if IsToken(s) != want {
			t.Errorf("%q: %v", s, !want)
		}
	}
}

// wellFormed is RFC 6750 §2.1's grammar, but for the alphabet of the token.
var wellFormed = regexp.MustCompile(`^(?is:bearer) +([^ ,]+)$`)

// otherScheme is a field of RFC 9110 §11.4 whose scheme is not ours.
var otherScheme = regexp.MustCompile("^(?s)[!#$%&'*+.^_`|~0-9A-Za-z-]+( .*)?$")

// FuzzToken compares the parser with the grammar.
func FuzzToken(f *testing.F) {
	for _, seed := range []string{
		"", " ", "Bearer", "Bearer ", "Bearer a", "bearer  a.b-c_~+/==", "BEARER a b", "Bearer a,b", "Bearer\ta", "Bearer a\t",
		"Basic YTpi", "Bear er", "Bearerx a", " Bearer a", "Digest a=\"b\", c=d", "Bearer \x00", "Bearer é", "Béarer a", "bearer:a", "Basic",
		"Bearer a, Basic b", "Bearer ,", "Negotiate", "Bearer\u00a0a", "ſ a", "Bearer " + strings.Repeat("a", 16<<10+1),
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, field string) {
		token, reason := Token(field)
		switch m := wellFormed.FindStringSubmatch(field); {
		case m != nil && len(m[1]) <= Max:
			if token != m[1] || reason != "" {
				t.Errorf("%q: %q, %q; want %q", field, token, reason, m[1])
			}
		case m == nil && otherScheme.MatchString(field) && !strings.EqualFold(strings.SplitN(field, " ", 2)[0], "Bearer"):
			if token != "" || reason != "" {
				t.Errorf("%q: %q, %q; want nothing", field, token, reason)
			}
		default:
			if token != "" || reason == "" {
				t.Errorf("%q: %q, %q; want a reason", field, token, reason)
			}
		}
	})
}
