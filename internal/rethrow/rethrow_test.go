package rethrow_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
	"github.com/ballast-go/ballast/internal/rethrow"
)

// ends returns what f panics with, and whether it returned.
func ends(f func()) (value any, returned bool) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { value = recover() }()
		f()
		returned = true
	}()
	<-done
	return value, returned
}

func TestPanic(t *testing.T) {
	if value, returned := ends(func() { rethrow.Panic(http.ErrAbortHandler, "text", "stack") }); value != http.ErrAbortHandler || returned {
		t.Error(value, returned)
	}
	if value, returned := ends(func() { rethrow.Panic(nil, "text", "stack") }); value != nil || returned {
		t.Error(value, returned)
	}
}

func TestStack(t *testing.T) {
	var stack string
	func() {
		defer func() {
			_ = recover()
			stack = rethrow.Stack()
		}()
		here()
	}()
	if !strings.Contains(stack, "rethrow_test.here") || len(stack) > 16<<10 {
		t.Error(stack)
	}
}

func here() { panic("here") }

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast": "a leaf that every package may import imports none of them",
	})
}
