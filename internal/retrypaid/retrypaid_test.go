package retrypaid_test

import (
	"testing"

	"github.com/ballast-go/ballast/internal/depstest"
	"github.com/ballast-go/ballast/internal/retrypaid"
)

func TestHas(t *testing.T) {
	ours, other := new(int), new(int)
	ctx := t.Context()
	if retrypaid.Has(ctx, ours) {
		t.Error("paid without a payment")
	}
	ctx = retrypaid.Into(ctx, ours)
	if !retrypaid.Has(ctx, ours) || retrypaid.Has(ctx, other) {
		t.Error("it is not this budget that has its share")
	}
}

func TestDependencies(t *testing.T) {
	depstest.Check(t, depstest.Forbid{
		"github.com/ballast-go/ballast": "a leaf that every package may import imports none of them",
	})
}
