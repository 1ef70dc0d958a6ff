package authrbac

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

func BenchmarkAuthorize(b *testing.B) {
	models := make([]string, 10_000)
	for i := range models {
		models[i] = fmt.Sprintf("models/m%d", i)
	}
	long := &refPolicy{Version: 1, Roles: map[string]refRole{"user": {Allow: []refRule{{Actions: []string{"predict"}, Resources: models}}}}}
	wild := strings.Replace(small, `"models/*"], "scopes"`, `"*/**-*b"], "scopes"`, 1)
	for _, c := range []struct {
		name     string
		p        *Policy
		resource string
	}{
		{"handful", policyOf(b, small), "models/llama-3-70b"},
		{"wildcards", policyOf(b, wild), "models/llama-3-70b"},
		{"10000models", long.compile(b), models[7000]},
	} {
		b.Run(c.name, func(b *testing.B) { authorize(b, c.p, user, c.resource, true) })
	}
	b.Run("denied", func(b *testing.B) { authorize(b, policyOf(b, small), user, "models/secret-x", false) })
}

func authorize(b *testing.B, p *Policy, who *auth.Principal, resource string, allowed bool) {
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Authorize(ctx, who, "predict", resource); (err == nil) != allowed {
			b.Fatal(err)
		}
	}
}

// A pattern that others take exponential time for, on resources of which each is
// four times as long as the one before.
func BenchmarkHostile(b *testing.B) {
	p, err := parsePattern("**" + strings.Repeat("a*a**", 20) + "b**")
	if err != nil {
		b.Fatal(err)
	}
	for n := 32; n <= maxResource; n *= 4 {
		resource := strings.Repeat("a", n-1) + "c"
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			for b.Loop() {
				if p.match(resource) {
					b.Fatal("matches")
				}
			}
		})
	}
}
