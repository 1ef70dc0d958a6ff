package authjwt

import (
	"context"
	"testing"
	"time"
)

func BenchmarkMint(b *testing.B) {
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		b.Run(alg, func(b *testing.B) {
			i, _ := testIssuer(b, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey(alg)} })
			b.ReportAllocs()
			for b.Loop() {
				_, _ = i.Mint(MintRequest{Subject: "ada", Roles: []string{"user"}, AccessOnly: true})
			}
		})
	}
}

func BenchmarkRefresh(b *testing.B) {
	i, _ := testIssuer(b, func(cfg *IssuerConfig) { cfg.Keys = []SigningKey{signingKey("HS256")} })
	tokens := mint(b, i, MintRequest{Subject: "ada"})
	b.ReportAllocs()
	for b.Loop() {
		tokens, _ = i.Refresh(context.Background(), tokens.RefreshToken)
	}
}

func BenchmarkRevoked(b *testing.B) {
	list := newList(b, 0)
	_ = list.Revoke("somebody's", time.Time{})
	p := bearer(testIss, "ada", "jti", "sid", 1)
	b.ReportAllocs()
	for b.Loop() {
		list.Revoked(p)
	}
}
