package authbench

// Coming from another library: the same small service before and after. These
// examples are compiled and run, so they cannot rot.

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	jwtmiddleware "github.com/auth0/go-jwt-middleware/v3"
	"github.com/auth0/go-jwt-middleware/v3/validator"
	"github.com/go-chi/jwtauth/v5"
	"github.com/golang-jwt/jwt/v5"
	jwt2 "github.com/lestrrat-go/jwx/v2/jwt"
	"github.com/lestrrat-go/jwx/v3/jwa"
	jwt3 "github.com/lestrrat-go/jwx/v3/jwt"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// visit sends the service a request with a good token, one that has expired, and
// none.
func visit(i *issuer, service http.Handler) {
	good, err := i.token(7)
	if err != nil {
		panic(err)
	}
	expired, err := i.sign(i.header(), i.claims(7).with(members{"exp": time.Now().Add(-time.Hour).Unix()}))
	if err != nil {
		panic(err)
	}
	for _, r := range []*http.Request{request("Bearer " + good), request("Bearer " + expired), request()} {
		w := &discard{header: http.Header{}, status: http.StatusOK}
		service.ServeHTTP(w, r)
		fmt.Println(strings.TrimSpace(fmt.Sprint(w.status, " ", w.header.Get("WWW-Authenticate"))))
	}
}

// newService is what each example comes to: it greets the token's subject, and
// knows whether it may predict.
func newService(i *issuer) (http.Handler, error) {
	keys, err := authjwt.NewKeySet(authjwt.Key{ID: i.kid, Algorithm: i.alg, Key: i.public}) // or NewJWKS
	if err != nil {
		return nil, err
	}
	tokens, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers:   []string{"https://id.example.org/"},
		Audiences: []string{"https://models.example.org"},
		Keys:      keys,
	}}})
	if err != nil {
		return nil, err
	}
	hello := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		p, _ := auth.PrincipalFromContext(r.Context())
		fmt.Println("hello,", p.Subject, p.Scopes)
	})
	return auth.Middleware(tokens, auth.MiddlewareConfig{})(hello), nil
}

// From github.com/golang-jwt/jwt/v5, with the middleware that one writes around it.
//
//	Parse(token, keyFunc)             Verifier.Authenticate, or Middleware, which reads the header
//	a Keyfunc                         Trust.Keys: a KeySet, a Keyring that is fed, a JWKS that fetches
//	WithValidMethods                  each key has one algorithm; Trust.Algorithms leaves some out
//	WithIssuer, WithAudience          Trust.Issuers, Trust.Audiences: required
//	WithExpirationRequired            always; so are WithIssuedAt and WithStrictDecoding
//	WithLeeway                        Config.Leeway: 10 s, at most a minute, below 0 none
//	WithSubject                       an Authorizer's matter
//	WithoutClaimsValidation           none
//	RegisteredClaims                  Principal: Subject, Issuer, ExpiresAt
//	claims of one's own               Principal.Claims; Trust.RolesClaims and ScopesClaims for what decides
//	ParseUnverified                   none
//	errors.Is(err, ErrTokenExpired)   errors.Is(err, auth.ErrExpired), which is an auth.ErrInvalid, as all others are
//	NewWithClaims, SignedString       authjwt.NewIssuer
//	MicahParks/keyfunc                authjwt.NewJWKS
func Example_fromGolangJWT() {
	i := testIssuers()["RS256"]

	// Before.
	type claims struct {
		Scope string `json:"scope"`
		jwt.RegisteredClaims
	}
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"RS256"}), jwt.WithIssuer("https://id.example.org/"),
		jwt.WithAudience("https://models.example.org"), jwt.WithExpirationRequired(), jwt.WithStrictDecoding())
	old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, found := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		var c claims
		_, err := parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return i.public, nil })
		if !found || err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		fmt.Println("hello,", c.Subject, strings.Fields(c.Scope))
	})
	visit(i, old)

	// After: a token that was good is not verified again until the cache forgets it.
	service, err := newService(i)
	if err != nil {
		fmt.Println(err)
		return
	}
	visit(i, service)

	// Output:
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401
	// 401
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401 Bearer error="invalid_token"
	// 401 Bearer
}

// Of golang-jwt without HTTP: what was wrong.
func Example_fromGolangJWT_errors() {
	i := testIssuers()["EdDSA"]
	expired, err := i.sign(i.header(), i.claims(7).with(members{"exp": time.Now().Add(-time.Hour).Unix()}))
	if err != nil {
		fmt.Println(err)
		return
	}

	// Before.
	_, err = jwt.Parse(expired, func(*jwt.Token) (any, error) { return i.public, nil })
	fmt.Println(errors.Is(err, jwt.ErrTokenExpired), errors.Is(err, jwt.ErrTokenMalformed))

	// After.
	tokens, err := newVerifier(0, false, i)
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	_, err = tokens.Authenticate(ctx, auth.Credentials{Token: expired})
	fmt.Println(errors.Is(err, auth.ErrExpired), errors.Is(err, auth.ErrInvalid))
	_, err = tokens.Authenticate(ctx, auth.Credentials{Token: "sk_live_1"}) // an API key, which another may read
	fmt.Println(errors.Is(err, auth.ErrNoCredential))

	// Output:
	// true false
	// true true
	// true
}

// From github.com/auth0/go-jwt-middleware/v3.
//
//	validator.New                       authjwt.New
//	WithKeyFunc(provider.KeyFunc)       Trust.Keys
//	jwks.NewCachingProvider             authjwt.NewJWKS(JWKSConfig{Discovery: issuer}): fetched before it is needed,
//	                                       not by whoever makes up key ids
//	WithAlgorithm                       each key has one
//	WithIssuer, WithIssuers             Trust.Issuers; a Trust for each whose keys are others
//	WithAudience, WithAudiences         Trust.Audiences
//	WithAllowedClockSkew                Config.Leeway
//	WithCustomClaims                    Principal.Claims, Trust.Claims
//	New(WithValidator(v)).CheckJWT      auth.Middleware(v, MiddlewareConfig{})
//	WithCredentialsOptional(true)       MiddlewareConfig.AllowAnonymous
//	WithExclusionUrls                   mount those outside
//	WithValidateOnOptions(false)        mount a CORS middleware outside
//	CookieTokenExtractor                MiddlewareConfig.Cookie, which looks where the request comes from
//	ParameterTokenExtractor             none: URLs are in logs
//	WithErrorHandler                    MiddlewareConfig.Deny, WriteError
//	GetClaims[T](ctx)                   PrincipalFromContext(ctx)
//	CustomClaims with a HasScope        Principal.Scopes; a rule of authrbac's may ask for them
//	DPoP                                none
func Example_fromAuth0() {
	i := testIssuers()["RS256"]

	// Before.
	v, err := validator.New(
		validator.WithKeyFunc(func(context.Context) (any, error) { return i.public, nil }),
		validator.WithAlgorithm(validator.RS256),
		validator.WithIssuer("https://id.example.org/"),
		validator.WithAudience("https://models.example.org"),
	)
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := jwtmiddleware.New(jwtmiddleware.WithValidator(v))
	if err != nil {
		fmt.Println(err)
		return
	}
	visit(i, m.CheckJWT(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		c, err := jwtmiddleware.GetClaims[*validator.ValidatedClaims](r.Context())
		if err != nil {
			return
		}
		fmt.Println("hello,", c.RegisteredClaims.Subject)
	})))

	// After.
	service, err := newService(i)
	if err != nil {
		fmt.Println(err)
		return
	}
	visit(i, service)

	// Output:
	// hello, user-0000007
	// 200
	// 401 Bearer realm="api", error="invalid_token", error_description="The access token expired"
	// 401 Bearer realm="api"
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401 Bearer error="invalid_token"
	// 401 Bearer
}

// From github.com/go-chi/jwtauth/v5.
//
//	New("RS256", nil, key, options…)   authjwt.New
//	WithIssuer, WithAudience of jwx    Trust.Issuers, Trust.Audiences: without them any token of the key's is good
//	Verifier(a), then Authenticator(a) auth.Middleware(v, …): one that is not good does not get to the next handler
//	Verifier(a) alone                  MiddlewareConfig.AllowAnonymous, but a bad token is refused
//	TokenFromHeader                    the Authorization field, once
//	TokenFromCookie                    MiddlewareConfig.Cookie, off by default
//	TokenFromQuery                     none
//	FromContext(ctx)                   PrincipalFromContext(ctx)
//	claims["user_id"]                  Principal.Claims["user_id"]; Trust.SubjectClaim makes it the Subject
//	Encode(claims)                     authjwt.NewIssuer
//	SetExpiryIn                        IssuerConfig's: 15 minutes
func Example_fromJWTAuth() {
	i := testIssuers()["RS256"]

	// Before.
	a := jwtauth.New("RS256", nil, i.public,
		jwt2.WithIssuer("https://id.example.org/"), jwt2.WithAudience("https://models.example.org"), jwt2.WithRequiredClaim("exp"))
	hello := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		token, claims, _ := jwtauth.FromContext(r.Context())
		scope, _ := claims["scope"].(string)
		fmt.Println("hello,", token.Subject(), strings.Fields(scope))
	})
	visit(i, jwtauth.Verifier(a)(jwtauth.Authenticator(a)(hello)))

	// After.
	service, err := newService(i)
	if err != nil {
		fmt.Println(err)
		return
	}
	visit(i, service)

	// Output:
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401
	// 401
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401 Bearer error="invalid_token"
	// 401 Bearer
}

// From github.com/lestrrat-go/jwx/v3.
//
//	jwt.ParseRequest, jwt.ParseString   auth.Middleware, Verifier.Authenticate
//	jwt.WithKey(alg, key)               NewKeySet(Key{Algorithm: alg, Key: key})
//	jwt.WithKeySet(set)                 ParseKeySet, or NewJWKS for a URL, a file or an issuer
//	jwk.Cache, jws.WithVerifyAuto       NewJWKS; a token's jku is never followed
//	jws.WithUseDefault, InferAlgorithm  a token without a kid is tried with the keys of its alg, at most four
//	jwt.WithIssuer, jwt.WithAudience    Trust.Issuers, Trust.Audiences
//	jwt.WithRequiredClaim("exp")        always
//	jwt.WithClaimValue                  Trust.Claims
//	jwt.WithAcceptableSkew              Config.Leeway
//	jwt.WithValidator                   an Authorizer
//	token.Get("roles", &roles)          Principal.Roles, by Trust.RolesClaims
//	jwt.TokenExpiredError               auth.ErrExpired
//	jwe, JSON serialisation             none
func Example_fromJWX() {
	i := testIssuers()["RS256"]

	// Before.
	old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := jwt3.ParseRequest(r, jwt3.WithKey(jwa.RS256(), i.public),
			jwt3.WithIssuer("https://id.example.org/"), jwt3.WithAudience("https://models.example.org"), jwt3.WithRequiredClaim("exp"))
		if err != nil {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		subject, _ := token.Subject()
		var scope string
		_ = token.Get("scope", &scope)
		fmt.Println("hello,", subject, strings.Fields(scope))
	})
	visit(i, old)

	// After.
	service, err := newService(i)
	if err != nil {
		fmt.Println(err)
		return
	}
	visit(i, service)

	// Output:
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401
	// 401
	// hello, user-0000007 [models:read models:predict]
	// 200
	// 401 Bearer error="invalid_token"
	// 401 Bearer
}
