package auth

import (
	"errors"
	"net/http"
	"strings"
	"testing"
)

// FuzzCookie: wherever net/http finds a cookie, cookieValue finds the same one, or
// refuses; and it takes none that net/http does not.
func FuzzCookie(f *testing.F) {
	for _, seed := range []string{
		"s=a", "s=a; s=b", " s = a ", "s=", "s", "t=1;s=a;u=2", "s=\"a\"", "s=a b", "xs=a", "s=a=b", ";;s=a;", "s=a\x7f; s=b", "S=a", "s\t=a", "s=a,b",
	} {
		f.Add(seed, "")
	}
	f.Add("s=a", "s=b")
	f.Fuzz(func(t *testing.T, first, second string) {
		h := http.Header{"Cookie": {first}}
		if second != "" {
			h["Cookie"] = append(h["Cookie"], second)
		}
		value, err := cookieValue(h, "s")
		if err != nil {
			if value != "" || !errors.Is(err, ErrInvalid) {
				t.Errorf("%q: %q, %v", h["Cookie"], value, err)
			}
			return
		}
		theirs := (&http.Request{Header: h}).CookiesNamed("s")
		if len(theirs) > 1 || len(theirs) == 1 && theirs[0].Value != strings.Trim(value, `"`) {
			t.Errorf("%q: %q, and net/http finds %v", h["Cookie"], value, theirs)
		}
	})
}
