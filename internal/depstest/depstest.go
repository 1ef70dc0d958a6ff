// Package depstest lets a package's deps_test.go state what the package must
// never import, and why.
package depstest

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "github.com/ballast-go/ballast"
	internal = module + "/internal" // the leaves that every package of this module may import
)

// Forbid gives, for each import path that must not be reached, the reason.
// A path covers every package below it.
type Forbid map[string]string

// Check fails t for every package that the package under test, the one in the
// working directory, imports directly or through others outside its tests,
// and that
//
//   - is covered by forbid: the failure gives the reason; the longest
//     matching path wins, whatever else allows the package; or
//   - is imported by a package of this module, and is neither in the standard
//     library, nor below this module's internal/, nor covered by one of the
//     allowed paths. What an allowed library imports in turn is its own
//     affair, and changes with its versions.
//
// It runs the go command, which "go test" puts on the PATH.
func Check(t testing.TB, forbid Forbid, allowed ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps",
		"-f", `{{.ImportPath}} {{.Standard}} {{join .Imports " "}}`, ".")
	list, err := cmd.Output()
	if err != nil {
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, exit.Stderr)
		}
		t.Fatalf("go list: %v", err)
	}
	for _, complaint := range judge(string(list), forbid, slices.Concat(allowed, []string{internal})) {
		t.Error(complaint)
	}
}

// judge reads lines of "path standard imports…", dependencies first and the
// package under test last, and words what is wrong with them.
func judge(list string, forbid Forbid, allowed []string) []string {
	var paths []string
	standard := make(map[string]bool)
	importer := make(map[string]string) // the last listed is the nearest to the package under test
	ours := make(map[string]bool)       // imported by a package of this module
	for line := range strings.Lines(list) {
		f := strings.Fields(line)
		paths = append(paths, f[0])
		standard[f[0]] = f[1] == "true"
		for _, imported := range f[2:] {
			importer[imported] = f[0]
			ours[imported] = ours[imported] || covers(module, f[0])
		}
	}
	var complaints []string
	for _, path := range paths[:max(0, len(paths)-1)] {
		if reason, ok := forbid.reason(path); ok {
			complaints = append(complaints, fmt.Sprintf("%s (imported by %s) is forbidden: %s", path, importer[path], reason))
		} else if ours[path] && !standard[path] && !coveredByAny(path, allowed) {
			complaints = append(complaints, fmt.Sprintf("%s (imported by %s) is not among the allowed imports", path, importer[path]))
		}
	}
	return complaints
}

// reason finds the longest entry that covers path.
func (f Forbid) reason(path string) (reason string, ok bool) {
	longest := -1
	for prefix, why := range f {
		if covers(prefix, path) && len(prefix) > longest {
			longest, reason, ok = len(prefix), why, true
		}
	}
	return reason, ok
}

func coveredByAny(path string, prefixes []string) bool {
	for _, prefix := range prefixes {
		if covers(prefix, path) {
			return true
		}
	}
	return false
}

// covers reports whether path is prefix or below it.
func covers(prefix, path string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}
