package authkubernetes_test

import (
	"testing"
	"time"

	"github.com/ballast-go/ballast/auth/authkubernetes"
)

// What a request costs whose token, or decision, is remembered.
func BenchmarkRemembered(b *testing.B) {
	f := all()
	b.Run("token", func(b *testing.B) {
		a := authenticator(b, authkubernetes.Config{Client: direct(f), CacheTTL: 5 * time.Minute})
		tok := token(map[string]any{
			"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:prod:client", "aud": audience,
			"padding": string(make([]byte, 100)), // six bytes each: about as long as a real one
		})
		b.ReportAllocs()
		for b.Loop() {
			if err := try(a, tok); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("decision", func(b *testing.B) {
		z := authorizer(b, authkubernetes.AuthorizerConfig{Client: direct(f), AllowedTTL: 5 * time.Minute})
		p := *client
		b.ReportAllocs()
		for b.Loop() {
			if err := z.Authorize(b.Context(), &p, "predict", "open"); err != nil {
				b.Fatal(err)
			}
		}
	})
}
