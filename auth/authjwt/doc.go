// Package authjwt verifies JSON Web Tokens, and mints them for services that
// have no identity provider.
//
//	keys, err := authjwt.NewJWKS(authjwt.JWKSConfig{Discovery: "https://login.example.com"})
//	…
//	verifier, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
//		Issuers:   []string{"https://login.example.com"},
//		Audiences: []string{"https://models.example.com"},
//		Keys:      keys,
//	}}})
//	handler := auth.Middleware(verifier, auth.MiddlewareConfig{})(mux)
//
// A [Verifier] is an auth.Authenticator. A [Trust] is an issuer, and what its
// tokens must be like; several issuers take several of them.
//
//	KeySet     keys that never change, also from a JWK Set
//	Keyring    keys that are fed, by whoever watches a secret
//	JWKS       keys that are fetched: a URL, OpenID Connect discovery, a file, a function
//	Issuer     mints access and refresh tokens, and publishes its keys
//	RevocationList   tokens that are no longer good
//
// # What is accepted
//
// A JWS in compact serialisation (RFC 7515 §3.1) of at most 16 KiB, signed with
// HS256, RS256, PS256, ES256, their longer siblings or EdDSA with Ed25519. The rules
// of RFC 8725 are no options:
//
//   - A key is good for one algorithm, which it states; the token's alg only has to
//     be that. Keys come from the Trust alone: jku, x5u, jwk and x5c are not heeded.
//   - RSA has 2048 to 8192 bits, a shared secret is as long as the hash or longer, and not
//     one of those known from leaks and tutorials. A JWK's use, key_ops and alg count.
//   - The signature is verified before the claims are decoded. Until then all that is
//     read is the header, of at most 8 KiB and 64 values.
//   - Base64url is without padding, line ends and stray bits. JSON has no member twice, at any
//     level, is UTF-8, and nested 16 levels deep at most. A header with crit is refused,
//     whatever is in it.
//   - exp must be there, and before the year 10000. nbf and iat may be, and are not ahead. The
//     clocks may differ by Config.Leeway, which is 10 s unless set.
//   - iss, and aud, or client_id in its place where the Trust says so, are what the Trust
//     names. typ is JWT, at+jwt or missing, unless it names others.
//   - The subject is a string, and not empty.
//
// # The cache
//
// A token that was found good is not verified again while nothing has changed by which it
// was: that spares most requests most of the work. What is kept is bounded in entries and in
// bytes. Each request compares its time with exp, MaxAge and CacheTTL, the issuer's keys with
// those that verified the token, and the revocations' generation with that of before; if that
// has changed, they are asked again. A key that is taken away, and a token that is revoked,
// are refused by every request that begins after Replace or Revoke has returned, in this
// process. The others learn of it as their own KeySource and Revocations do.
//
// # Errors
//
//	auth.ErrNoCredential   no token, or none with two dots
//	auth.ErrInvalid        not good, or too long; auth.Error.Reason says why, in here only
//	auth.ErrExpired        was good until its exp
//	auth.ErrUnavailable    the keys are not to be had
//	ctx's own              it ended while keys were waited for
//
// # Concurrency
//
// Everything is safe for concurrent use. Only [NewJWKS] starts goroutines that stay: whoever
// calls it owns its Close. A Verifier of several issuers asks the sources that lack a token's
// key at the same time, and waits for all; what one of them panics with, its caller does. In
// testing/synctest, use a JWKS in the bubble that it was made in.
//
// # What it does not
//
// No encryption (JWE), no JSON serialisation, no nested tokens, no proof of possession
// (RFC 9449, RFC 8705): who has a token is whom it names, until it expires. It does not
// introspect opaque tokens (RFC 7662); an auth.Authenticator of the user's own may. An Issuer has
// no users, no passwords and no consent: it is not an identity provider.
package authjwt
