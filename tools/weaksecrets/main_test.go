package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRun(t *testing.T) {
	secret := []byte("\xfb\xff a secret of more than 24 bytes")
	list := strings.Join([]string{
		"short",
		" " + string(secret),
		base64.StdEncoding.EncodeToString(append(secret, '1')),
		base64.RawURLEncoding.EncodeToString(append(secret, '2')),
		hex.EncodeToString(append(secret, '3')),
	}, "\r\n")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in"), filepath.Join(dir, "out")
	if err := os.WriteFile(in, []byte(list), 0o600); err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	if code := run([]string{"-o", out, in}, &stderr); code != 0 {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	// Three defaults, which may be read as base64url; the second line as it is and
	// trimmed; the encoded ones as they are and decoded, and what is hexadecimal
	// may be read as base64, too.
	if len(got) != 8*(6+2+2+2+3) {
		t.Errorf("%d bytes", len(got))
	}
	for i := 8; i < len(got); i += 8 {
		if bytes.Compare(got[i-8:i], got[i:i+8]) >= 0 {
			t.Errorf("sums %d and %d are not in ascending order", i/8-1, i/8)
		}
	}
	for _, suffix := range []string{"", "1", "2", "3"} {
		sum := sha256.Sum256([]byte(string(secret) + suffix))
		if i := bytes.Index(got, sum[:8]); i < 0 || i%8 != 0 {
			t.Errorf("secret %q is not there", suffix)
		}
	}
}

func TestRunFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing", "file")
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"-nonsense"}, 2},
		{[]string{missing}, 1},
		{[]string{"-o", missing}, 1},
	} {
		var stderr strings.Builder
		if code := run(tt.args, &stderr); code != tt.code || stderr.Len() == 0 {
			t.Errorf("%q: exit code %d, said %q", tt.args, code, &stderr)
		}
	}
}
