package audittext

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestSafe(t *testing.T) {
	for s, want := range map[string]string{
		"":                        "",
		"alice":                   "alice",
		"Zoë 山田":                  "Zoë 山田",
		"a\nb\r\tc":               "a\ufffdb\ufffd\ufffdc",
		"a\u0085b\u2028c\u2029d":  "a\ufffdb\ufffdc\ufffdd",
		"\x1b[2J\x00\x7f":         "\ufffd[2J\ufffd\ufffd",
		"\u202egpj.exe\u200b":     "\ufffdgpj.exe\ufffd",
		"\xff\xc0\xaf":            "\ufffd\ufffd\ufffd",
		strings.Repeat("a", 256):  strings.Repeat("a", 256),
		strings.Repeat("a", 257):  strings.Repeat("a", 253) + "…",
		strings.Repeat("é", 200):  strings.Repeat("é", 126) + "…",
		strings.Repeat("\n", 200): strings.Repeat("\ufffd", 84) + "…",
	} {
		if got := Safe(s); got != want {
			t.Errorf("%.40q: %.300q, want %.300q", s, got, want)
		}
	}
}

func FuzzSafe(f *testing.F) {
	for _, seed := range []string{"a\nb", "\xffa", strings.Repeat("é\n", 200), strings.Repeat("a", 256) + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := Safe(s)
		if len(got) > Max || !utf8.ValidString(got) || Safe(got) != got ||
			strings.ContainsFunc(got, func(r rune) bool { return r != utf8.RuneError && !unicode.IsPrint(r) }) {
			t.Errorf("%q", got)
		}
	})
}
