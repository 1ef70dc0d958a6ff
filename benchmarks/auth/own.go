package authbench

import "github.com/ballast-go/ballast/auth/authjwt"

// newVerifier trusts the issuers, which may be of different algorithms. entries
// and hashed are Config's.
func newVerifier(entries int, hashed bool, issuers ...*issuer) (*authjwt.Verifier, error) {
	cfg := authjwt.Config{CacheEntries: entries, CacheHashed: hashed}
	for _, i := range issuers {
		set, err := authjwt.NewKeySet(authjwt.Key{ID: i.kid, Algorithm: i.alg, Key: i.public})
		if err != nil {
			return nil, err
		}
		cfg.Trust = append(cfg.Trust, authjwt.Trust{Issuers: []string{issuerName}, Audiences: []string{audience}, Keys: set})
	}
	return authjwt.New(cfg)
}
