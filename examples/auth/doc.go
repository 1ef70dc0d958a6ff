// Command auth is a service with models, which some callers may use and others not,
// and tells what it answers them.
//
//	go run ./examples/auth
//
// Callers are known by a token of an issuer's or by an API key; what they may do is in
// policy.yaml. The service is service.go:
//
//	logging → auth.Middleware → ratelimit → mux → auth.Require, by the route
//	                                            → auth.Check, by a model that the body names
//
// limits.go has the limits: requests by caller, and bad credentials by address.
// issuer.go is an issuer, to have one, whose keys the service fetches as it would
// another's. client.go has the callers, of whom grace gets tokens for her password. What
// is told is who asked for what, and the answer:
//
//	grace            /v1/models/fraud-v3/predict                 200
//	grace            /v1/models/churn/predict                    403
//	grace            /v1/models/fraud-internal/predict           403
//	grace, unscoped  /v1/models/fraud-v3/predict                 403 Bearer error="insufficient_scope", scope="models"
//	grace            /v1/predict {"model":"fraud-v3"}            200
//	grace            /v1/predict {"model":"churn"}               403
//	etl, by key      /v1/models/churn/predict                    200
//	etl, by key      /v1/models/x%2f..%2fchurn/predict           400
//	forged           /v1/models/churn/predict                    401 Bearer realm="models", error="invalid_token"
//	nobody           /v1/models/churn/predict                    401 Bearer realm="models"
//
// Grace is an analyst, who may use all models of fraud's but one. Her token is good for
// it only if she has asked for the scope. The log, on standard error, has each decision
// with the rule that made it, such as roles.analyst.deny[0], and no token or key.
//
// A service that runs for longer has its policy in a file (authrbac.Config.File), which
// is watched, and its API keys' hashes where its secrets are.
package main
