package authjwt

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// secretErrors are what may be said of a bad secret: none of it.
var secretErrors = regexp.MustCompile(`^authjwt: keys\[0\]: (` +
	`a secret of \d+ bytes; at least the hash's \d+ are needed \(RFC 7518 §3\.2\)|` +
	`a short secret, padded with zeros or white space|` +
	`a short secret, repeated|` +
	`a secret that is publicly known; make one with crypto/rand)$`)

// refusedSecret reports whether no set takes secret for HS256, and that for no more
// than the reasons above.
func refusedSecret(t *testing.T, secret []byte) bool {
	t.Helper()
	_, err := NewKeySet(Key{Algorithm: "HS256", Key: secret})
	if err != nil && !secretErrors.MatchString(err.Error()) {
		t.Errorf("it says %q", err)
	}
	return err != nil
}

// forms returns what a program may make of a line of a list.
func forms(line string) map[string][]byte {
	all := map[string][]byte{
		"":                []byte(line),
		"with a line end": []byte(line + "\r\n"),
		"between spaces":  []byte("  " + line + " "),
		"and zeros":       append([]byte(line), make([]byte, max(1, 32-len(line)))...),
	}
	if 0 < len(line) && len(line) <= 16 {
		all["repeated"] = bytes.Repeat([]byte(line), 64/len(line))
	}
	text := strings.TrimRight(line, "=")
	for name, decode := range map[string]func(string) ([]byte, error){
		"as base64": base64.RawStdEncoding.DecodeString, "as base64url": base64.RawURLEncoding.DecodeString, "as hex": hex.DecodeString,
	} {
		if b, err := decode(text); err == nil {
			all[name] = b
			all[name+" and a zero"] = append(b, 0)
		}
	}
	return all
}

func TestKnownSecrets(t *testing.T) {
	dir, ok := vectors(t)
	if !ok {
		return
	}
	list, err := os.ReadFile(filepath.Join(dir, "weak-hmac-keys", "jwt.secrets.list"))
	if err != nil {
		t.Fatal(err)
	}
	lines, tried := 0, 0
	for line := range strings.Lines(string(list)) {
		line = strings.TrimRight(line, "\r\n")
		if lines++; raceEnabled && lines%20 != 0 {
			continue // one goroutine, and slow
		}
		for how, secret := range forms(line) {
			tried++
			if !refusedSecret(t, secret) {
				t.Errorf("line %d is taken %s", lines, how)
			}
		}
	}
	if lines < 103_979 {
		t.Errorf("%d lines", lines)
	}
	t.Logf("%d secrets, %d ways to use them", lines, tried)
}

func TestCheckSecret(t *testing.T) {
	random := make([]byte, 32)
	_, _ = rand.Read(random)
	for name, tt := range map[string]struct {
		secret []byte
		why    string
	}{
		"empty":             {nil, "0 bytes"},
		"31 bytes":          {random[:31], "31 bytes"},
		"zeros":             {make([]byte, 32), "padded"},
		"spaces":            {bytes.Repeat([]byte(" "), 40), "padded"},
		"padded with zeros": {append([]byte("hunter2"), make([]byte, 25)...), "padded"},
		"23 and 9 zeros":    {append(random[:23:23], make([]byte, 9)...), "padded"},
		"one byte":          {bytes.Repeat([]byte{7}, 32), "repeated"},
		"a word":            {[]byte("secretsecretsecretsecretsecretse"), "repeated"},
		"16 bytes twice":    {append(random[:16:16], random[:16]...), "repeated"},
		"jwt.io, 256 bits":  {[]byte("a-string-secret-at-least-256-bits-long"), "known"},
		"jwt.io, 512 bits":  {[]byte("a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long"), "known"},
		"and a line end":    {[]byte("a-string-secret-at-least-256-bits-long\n"), "known"},
		"digits":            {[]byte("12345678901234567890123456789012"), "repeated"},
	} {
		err := checkSecret(tt.secret, 32)
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v, want %s", name, err, tt.why)
		}
	}
}

// RFC 7515's example key is in everybody's tests.
func TestCheckSecretOfRFC7515(t *testing.T) {
	secret, err := decode(nil, "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	if err != nil || checkSecret(secret, 32) == nil {
		t.Errorf("it is taken (%v)", err)
	}
}

func TestRandomSecrets(t *testing.T) {
	for range 20_000 {
		b := make([]byte, 64)
		_, _ = rand.Read(b)
		for _, secret := range [][]byte{
			b[:32], b[:48], b, []byte(hex.EncodeToString(b[:16])), []byte(base64.StdEncoding.EncodeToString(b[:32]) + "\n"), []byte(rand.Text() + rand.Text()),
		} {
			if err := checkSecret(secret, 32); err != nil {
				t.Fatalf("%x: %v", secret, err)
			}
		}
	}
}

func TestWeakSums(t *testing.T) {
	if len(weakSums)%8 != 0 || len(weakSums) < 8*3000 {
		t.Fatalf("%d bytes", len(weakSums))
	}
	for i := 8; i < len(weakSums); i += 8 {
		if weakSums[i-8:i] >= weakSums[i:i+8] {
			t.Fatalf("sums %d and %d are not in ascending order", i/8-1, i/8)
		}
	}
}
