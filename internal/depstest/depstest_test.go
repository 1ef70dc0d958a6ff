package depstest

import (
	"slices"
	"strings"
	"testing"
)

const listing = `fmt true
net true fmt
net/http true net
example.com/theirs false fmt
golang.org/x/time/rate false fmt example.com/theirs
golang.org/x/timely false fmt
github.com/ballast-go/ballast/internal/problem false net/http
github.com/ballast-go/ballast/auth false golang.org/x/timely
github.com/ballast-go/ballast/self false github.com/ballast-go/ballast/internal/problem github.com/ballast-go/ballast/auth golang.org/x/time/rate
`

func TestJudge(t *testing.T) {
	allowed := []string{"golang.org/x/time", "github.com/ballast-go/ballast/auth", internal}
	tests := []struct {
		name    string
		forbid  Forbid
		allowed []string
		want    []string // a part of each complaint
	}{
		{"standard library and internal need no leave", nil, allowed[:2], []string{
			"golang.org/x/timely (imported by github.com/ballast-go/ballast/auth) is not among",
			"ballast/internal/problem (imported by github.com/ballast-go/ballast/self) is not among",
		}},
		{"a path ends at a slash", nil, append(allowed, "golang.org/x/timely"), nil},
		{"forbidden beats allowed, with the reason", Forbid{"golang.org/x": "own clock"}, append(allowed, "golang.org/x"), []string{
			"golang.org/x/time/rate (imported by github.com/ballast-go/ballast/self) is forbidden: own clock",
			"golang.org/x/timely (imported by github.com/ballast-go/ballast/auth) is forbidden: own clock",
		}},
		{"standard library too", Forbid{"net/http": "transport-free", "net": "no network"}, append(allowed, "golang.org/x"), []string{
			"net (imported by net/http) is forbidden: no network",
			"net/http (imported by github.com/ballast-go/ballast/internal/problem) is forbidden: transport-free",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := judge(listing, tt.forbid, tt.allowed)
			if !slices.EqualFunc(got, tt.want, strings.Contains) {
				t.Errorf("judge() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestJudgeNothing(t *testing.T) {
	if got := judge("", nil, nil); got != nil {
		t.Errorf("judge() = %q", got)
	}
}

// recorder keeps what Check reports instead of failing.
type recorder struct {
	testing.TB
	errs []any
}

func (r *recorder) Error(args ...any) { r.errs = append(r.errs, args...) }

func TestCheck(t *testing.T) {
	Check(t, Forbid{"net/http": "this package runs a command, nothing more"})

	r := &recorder{TB: t}
	Check(r, Forbid{"os/exec": "for the sake of this test"})
	want := "os/exec (imported by github.com/ballast-go/ballast/internal/depstest) is forbidden: for the sake of this test"
	if len(r.errs) != 1 || r.errs[0] != want {
		t.Errorf("Check reported %q, want %q", r.errs, want)
	}
}
