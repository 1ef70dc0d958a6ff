package auth

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFileTokenSource(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	src := FileTokenSource(path)
	for name, tt := range map[string]struct{ content, want, err string }{
		"token":       {"abc.def", "abc.def", ""},
		"white space": {"\n abc.def \r\n", "abc.def", ""},
		"empty":       {"", "", "is empty"},
		"blank":       {" \n", "", "is empty"},
		"largest":     {strings.Repeat("x", maxTokenFile), strings.Repeat("x", maxTokenFile), ""},
		"too large":   {strings.Repeat("x", maxTokenFile) + "\n", "", "has more than 16384 bytes"},
	} {
		if err := os.WriteFile(path, []byte(tt.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := src.Token(t.Context())
		if got.Value != tt.want || !got.ExpiresAt.IsZero() || (tt.err == "") != (err == nil) {
			t.Errorf("%s: %.20q %v", name, got.Value, err)
		}
		if err != nil && (!strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "xx")) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "none"), t.TempDir()} {
		if _, err := FileTokenSource(path).Token(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "auth: token file: ") {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestSendable(t *testing.T) {
	for token, want := range map[string]bool{
		"abc-._~+/==": true, "a|b:c": true, "": false, "a b": false, "a\r\nX: y": false, "a\x00": false, "ü": false, "a\x7f": false, " a": false,
	} {
		if sendable(token) != want {
			t.Errorf("%q", token)
		}
	}
}
