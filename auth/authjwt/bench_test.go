package authjwt

import (
	"context"
	"fmt"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

func BenchmarkVerifier(b *testing.B) {
	tokens := make([]auth.Credentials, 256) // of as many callers
	for _, alg := range []string{"HS256", "RS256", "ES256", "EdDSA"} {
		trust := testTrust(b)
		trust.Keys = testSet(b, alg)
		for i := range tokens {
			claims := goodClaims.with(members{"sub": fmt.Sprint("caller-", i), "jti": fmt.Sprint("id-", i), "exp": at.Unix() + 300 + int64(i)})
			tokens[i] = auth.Credentials{Token: sign(b, alg, members{"alg": alg, "kid": alg, "typ": "at+jwt"}, claims), At: at}
		}
		for name, entries := range map[string]int{"hit": 0, "miss": -1} {
			b.Run(alg+"/"+name, func(b *testing.B) {
				v := newVerifier(b, Config{Trust: []Trust{trust}, CacheEntries: entries})
				ctx := context.Background()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if _, err := v.Authenticate(ctx, tokens[i%len(tokens)]); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
