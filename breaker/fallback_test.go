package breaker_test

import (
	"context"
	"errors"
	"testing"

	"github.com/ballast-go/ballast/breaker"
)

var (
	errFirst  = errors.New("first")
	errSecond = errors.New("second")
)

type option = func(context.Context) (string, error)

func value(s string) option    { return func(context.Context) (string, error) { return s, nil } }
func failure(err error) option { return func(context.Context) (string, error) { return "partly", err } }

func TestFallback(t *testing.T) {
	dead, cancel := context.WithCancel(t.Context())
	cancel()
	ending, end := context.WithCancel(t.Context())
	never := func(context.Context) (string, error) { t.Error("tried"); return "", nil }
	ends := func(context.Context) (string, error) { end(); return "", errFirst }
	for name, tt := range map[string]struct {
		ctx     context.Context
		options []option
		want    string
		errs    []error
		text    string
	}{
		"the first":     {options: []option{value("a"), never}, want: "a"},
		"the second":    {options: []option{failure(errFirst), value("b"), never}, want: "b"},
		"the third":     {options: []option{failure(errFirst), failure(errSecond), value("c")}, want: "c"},
		"none":          {options: []option{failure(errFirst), failure(errSecond)}, errs: []error{errFirst, errSecond}, text: "first\nsecond"},
		"the only":      {options: []option{failure(errFirst)}, errs: []error{errFirst}, text: "first"},
		"no option":     {text: "breaker: Fallback has no option"},
		"dead ctx":      {ctx: dead, options: []option{never}, errs: []error{context.Canceled}, text: "context canceled"},
		"ctx that ends": {ctx: ending, options: []option{ends, never}, errs: []error{errFirst, context.Canceled}, text: "first\ncontext canceled"},
	} {
		if tt.ctx == nil {
			tt.ctx = t.Context()
		}
		got, err := breaker.Fallback(tt.ctx, tt.options...)
		if got != tt.want || (err == nil) != (tt.text == "") || err != nil && err.Error() != tt.text {
			t.Errorf("%s: %q, %v", name, got, err)
		}
		for _, want := range tt.errs {
			if !errors.Is(err, want) {
				t.Errorf("%s: %v is not %v", name, err, want)
			}
		}
	}
	if _, err := breaker.Fallback(t.Context(), failure(errFirst)); err != errFirst {
		t.Errorf("a single error is wrapped: %#v", err)
	}
}

func TestCauseFromContext(t *testing.T) {
	if err := breaker.CauseFromContext(t.Context()); err != nil {
		t.Errorf("outside: %v", err)
	}
	var causes []error
	fails := func(err error) option {
		return func(ctx context.Context) (string, error) {
			causes = append(causes, breaker.CauseFromContext(ctx))
			return "", err
		}
	}
	nested := func(ctx context.Context) (string, error) { return breaker.Fallback(ctx, fails(errSecond), fails(nil)) }
	if _, err := breaker.Fallback(t.Context(), fails(errFirst), fails(errSecond), nested); err != nil {
		t.Fatal(err)
	}
	first, second := causes[0], causes[1]
	if first != nil || second != errFirst {
		t.Errorf("%v, %v", first, second)
	}
	if in := causes[2]; !errors.Is(in, errFirst) || !errors.Is(in, errSecond) {
		t.Errorf("in the third, and so in the first of a nested one: %v", in)
	}
	if in := causes[3]; in != errSecond {
		t.Errorf("in the second of the nested one: %v", in)
	}
}

// The first option costs nothing, and gets the caller's own context.
func TestFallbackOfSuccess(t *testing.T) {
	ctx := t.Context()
	options := []option{func(in context.Context) (string, error) {
		if in != ctx {
			t.Error("another context")
		}
		return "a", nil
	}, value("b")}
	if n := testing.AllocsPerRun(100, func() { _, _ = breaker.Fallback(ctx, options...) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestFallbackPanicGoesOn(t *testing.T) {
	defer func() {
		if v := recover(); v != "a bug" {
			t.Errorf("recovered %v", v)
		}
	}()
	_, _ = breaker.Fallback(t.Context(), func(context.Context) (string, error) { panic("a bug") }, value("b"))
}
