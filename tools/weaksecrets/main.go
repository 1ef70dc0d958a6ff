// Command weaksecrets makes the list of known shared secrets that authjwt
// refuses, out of lists with one secret a line:
//
//	go run ./weaksecrets -o ../auth/authjwt/weaksecrets.bin jwt.secrets.list …
//
// The lists are those that password crackers use for HMACs of JSON Web Tokens,
// such as github.com/wallarm/jwt-secrets.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// shortest is how long a secret must be to matter: authjwt refuses those below
// 32 bytes for their length, and those of which over 8 bytes are padding.
const shortest = 32 - 8

// defaults are what jwt.io signs its example tokens with.
var defaults = []string{
	"a-string-secret-at-least-256-bits-long",
	"a-valid-string-secret-that-is-at-least-384-bits-long",
	"a-valid-string-secret-that-is-at-least-512-bits-long-which-is-very-long",
}

func main() { os.Exit(run(os.Args[1:], os.Stderr)) }

// run returns the exit code.
func run(args []string, stderr io.Writer) int {
	flags := flag.NewFlagSet("weaksecrets", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "", "`file` to write")
	if flags.Parse(args) != nil {
		return 2
	}
	sums := make(map[uint64]bool)
	for _, secret := range defaults {
		add(sums, []byte(secret))
	}
	for _, name := range flags.Args() {
		list, err := os.ReadFile(name)
		if err != nil {
			fmt.Fprintln(stderr, "weaksecrets:", err)
			return 1
		}
		for line := range bytes.Lines(list) {
			add(sums, bytes.TrimRight(line, "\r\n"))
		}
	}
	if err := os.WriteFile(*out, encode(sums), 0o644); err != nil {
		fmt.Fprintln(stderr, "weaksecrets:", err)
		return 1
	}
	fmt.Fprintln(stderr, "weaksecrets:", len(sums), "secrets")
	return 0
}

// add adds the sums of what a program may make of a line: its bytes, or what
// they encode, each also without what authjwt takes for padding.
func add(sums map[uint64]bool, line []byte) {
	forms := [][]byte{line}
	text := string(bytes.TrimSpace(line))
	for _, decode := range []func(string) ([]byte, error){
		base64.RawStdEncoding.DecodeString,
		base64.RawURLEncoding.DecodeString,
		hex.DecodeString,
	} {
		if b, err := decode(strings.TrimRight(text, "=")); err == nil {
			forms = append(forms, b)
		}
	}
	for _, form := range forms {
		addSum(sums, form)
		addSum(sums, bytes.TrimSpace(bytes.TrimRight(form, "\x00")))
	}
}

func addSum(sums map[uint64]bool, secret []byte) {
	if len(secret) >= shortest {
		sum := sha256.Sum256(secret)
		sums[binary.BigEndian.Uint64(sum[:])] = true
	}
}

// encode writes the sums in ascending order, eight bytes each.
func encode(sums map[uint64]bool) []byte {
	sorted := make([]uint64, 0, len(sums))
	for sum := range sums {
		sorted = append(sorted, sum)
	}
	slices.Sort(sorted)
	b := make([]byte, 0, 8*len(sorted))
	for _, sum := range sorted {
		b = binary.BigEndian.AppendUint64(b, sum)
	}
	return b
}
