// Package auth finds out who a request comes from, and whether they may do what
// they ask for.
//
//	keys, err := auth.NewAPIKeys(auth.APIKeysConfig{Prefix: "sk_", Keys: loaded})
//	tokens, err := authjwt.New(authjwt.Config{Trust: trust})
//	…
//	identify := auth.Middleware(auth.First(tokens, keys), auth.MiddlewareConfig{Realm: "models"})
//	predict := auth.Require(policy, "predict", auth.PathValue("model"))
//	mux.Handle("POST /v1/models/{model}/predict", predict(handler))
//	http.ListenAndServe(":8080", identify(mux))
//
// Whatever a caller proves itself with, handlers see one [Principal]:
//
//	First, AuthenticatorFunc    several ways to prove it, or one's own
//	NewAPIKeys, NewMTLS         API keys, client certificates
//	Middleware, WriteError      HTTP servers
//	PrincipalFromContext        who is calling
//	Require, PathValue, Check   may they: by the route, or by what is in the body
//	Audited, Auditor            who was allowed what, written down
//	NewTransport, NewReuse      HTTP clients: a token for each call, fetched early
//	auth/authjwt                JSON Web Tokens: keys, JWKS, discovery, an issuer
//	auth/authrbac               an Authorizer by roles, scopes and rules
//	auth/authgrpc               interceptors and credentials
//	auth/authkubernetes         TokenReview, SubjectAccessReview; a module of its own
//
// # Place in the chain
//
// Middleware stands behind what observes, so that refusals are seen, and before what
// costs something: recover, tracing, logging, metrics, auth, ratelimit, concurrency
// or breaker, handler, batching, backend. A request is refused before its body is
// read. Behind an observer of this library's the time of a request is when it began,
// and its principal travels without another context or copy of the request; logs have
// its Subject. A limit by caller has a key of Method, Issuer and Subject, for a subject
// is unique among those of one issuer only: examples/auth/limits.go. Require stands
// inside the mux, around the handler of a route. What anybody may ask, such as probes
// and where one logs in, is on a mux outside. On the client's side: retry, breaker,
// ratelimit, auth, tracing, base.
//
// # Errors
//
// All are one of these by errors.Is. WriteError and authgrpc map them so; the client
// is told what is in the table and nothing else, and every body is
// application/problem+json.
//
//	                              HTTP                       gRPC
//	ErrNoCredential               401  challenge             Unauthenticated
//	ErrInvalid, ErrExpired        401  invalid_token         Unauthenticated
//	ErrAmbiguous                  401  invalid_request       Unauthenticated
//	ErrForbidden                  403  insufficient_scope    PermissionDenied
//	ErrPath                       400  ambiguous-path
//	error of Admit                429  Retry-After           ResourceExhausted
//	ErrUnavailable                503  auth-unavailable      Unavailable
//	others that state Retryable   503  auth-unavailable      Unavailable
//	context.DeadlineExceeded      504                        DeadlineExceeded
//	context.Canceled              499  for logs and metrics  Canceled
//	all others                    500                        Internal
//
// A challenge is WWW-Authenticate as RFC 6750 §3 has it. insufficient_scope is said
// where the Authorizer names scopes that would have done.
//
// # Threat model
//
// The attacker sends any bytes in any number, has a credential of its own with fewer
// rights, or reads what a client was told. It does not read this process's memory, nor
// what TLS protects.
//
//	forges a credential        authjwt: the algorithm is the key's and never the token's,
//	                           the signature comes before the claims; mTLS: only chains
//	                           that the handshake has verified
//	guesses one                keys have 256 random bits and are found by their hash;
//	                           Admit and Failed limit the attempts of a caller
//	sends two                  ErrAmbiguous: another reader, such as a proxy in front,
//	                           might have taken the other one; a bad one is never
//	                           saved by a good one of another kind behind it in First
//	names another resource     ErrPath: dot segments, encoded slashes and all else that
//	than it asks for           two readers may read in two ways, before anyone is asked;
//	                           the resource is what the mux has matched, or the body's
//	makes a browser send it    cookies are not read, or only if asked for, and then
//	                           nothing is changed for another origin
//	learns from answers        fixed texts; expired, unknown and forged look the same
//	floods with made-up ones   16 KiB at most; caches keep successes only and have a
//	                           bound; unknown key ids do not make keys be fetched
//	comes when keys are not    ErrUnavailable counts as no: nothing fails open
//	to be had
//	writes the journal         values in audits are printable and short
//	stays for longer           EndAtExpiry ends a stream with its credential; what
//	                           that cuts off counts against no breaker
//
// Not defended here, and what does:
//
//   - A stolen bearer token or key is good for whoever has it until it expires or is
//     revoked: there is no DPoP (RFC 9449) and tokens are not bound to certificates
//     (RFC 8705). Short lifetimes, and mTLS between services.
//   - Revocation reaches each process by itself. Once Revoke or Replace has returned
//     no request that begins later in this process is accepted; the other replicas learn
//     of it when whoever feeds them says so.
//   - Who sets the clock decides what has expired.
//   - Where a proxy ends TLS, client certificates are the proxy's: what it says of
//     them, as in X-Forwarded-Client-Cert, is never read. Let it forward TCP, or have
//     it authenticate by a token of its own.
//   - A handler that knows the resource by its body must ask [Check], and read the name
//     as whoever runs it does.
//   - Timing beside secrets: that a key exists may show in whether the answer is 401 or
//     403, and whether a token is cached in how fast it comes.
//
// # Concurrency
//
// Everything is safe for concurrent use. Middleware, Require and the Authenticators here
// start no goroutine; EndAtExpiry has a timer for each request, which ends with it. A
// [Reuse] fetches tokens in the background.
//
// # What it does not do
//
// It is no identity provider: no log-in pages, passwords or sessions. It reads no
// credential from a query or a body, where logs and histories would keep it. It does not
// log: what was refused is told to an Auditor and to Deny.
package auth
