package authrbac

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// 4 MiB of roles that inherit from one that inherits from many took 16 GB.
func TestInheritanceInTotal(t *testing.T) {
	const leaf = `"%c%d": {"allow": [{"actions": ["a"], "resources": ["b"]}]},`
	hub := func(n int) string {
		var roles, names, heirs strings.Builder
		for i := range n {
			fmt.Fprintf(&roles, leaf, 'l', i)
			fmt.Fprintf(&names, `"l%d",`, i)
			fmt.Fprintf(&heirs, `"h%d": {"inherits": ["hub"]},`, i)
		}
		return `{"version": 1, "roles": {` + roles.String() + heirs.String() + `"hub": {"inherits": [` + strings.TrimSuffix(names.String(), ",") + `]}}}`
	}
	if _, err := New(Config{Document: []byte(hub(1000))}); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Document: []byte(hub(2000))}); err == nil || err.Error() != "authrbac: roles: they inherit more than 1048576 roles in total" {
		t.Error(err)
	}
}

// A list of another kind of thing is one mistake to whoever reads of it.
func TestManyMistakes(t *testing.T) {
	_, err := New(Config{Document: []byte(`{"version": 1, "roles": {"r": {"allow": [` + strings.Repeat("1,", 10000) + `1]}}}`)})
	all, ok := errors.AsType[interface {
		error
		Unwrap() []error
	}](err)
	if !ok || len(all.Unwrap()) != maxProblems+1 || !strings.HasSuffix(err.Error(), "authrbac: and there is more") {
		t.Errorf("%.100v", err)
	}
}
