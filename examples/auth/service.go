package main

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"sigs.k8s.io/yaml"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/auth/authrbac"
	"github.com/ballast-go/ballast/logging"
	"github.com/ballast-go/ballast/ratelimit"
)

// Names of the issuer and of the service that its tokens are for, and how API keys begin.
const (
	issuerName = "https://id.example.org"
	audience   = "https://models.example.org"
	keyPrefix  = "demo_"
)

//go:embed policy.yaml
var policyYAML []byte

// newService has models, which callers with a token of the issuer's, whose keys are
// jwks, or one of the API keys may use as the policy says.
func newService(jwks authjwt.KeySource, keys []auth.APIKey, log *logging.Logger) (http.Handler, error) {
	tokens, err := authjwt.New(authjwt.Config{Trust: []authjwt.Trust{{
		Issuers: []string{issuerName}, Audiences: []string{audience}, Keys: jwks,
	}}})
	apiKeys, err2 := auth.NewAPIKeys(auth.APIKeysConfig{Prefix: keyPrefix, Keys: keys})
	policy, err3 := authrbac.New(authrbac.Config{Document: policyYAML, ToJSON: yaml.YAMLToJSONStrict})
	requests, err4 := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(maxRequests), MaxKeys: 1 << 16})
	attempts, err5 := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(maxFailures), MaxKeys: 1 << 16})
	if err := errors.Join(err, err2, err3, err4, err5); err != nil {
		return nil, err
	}
	models := auth.Audited(policy, log)

	mux := http.NewServeMux()
	mux.Handle("POST /v1/models/{model}/predict",
		auth.Require(models, "predict", auth.PathValue("model"))(http.HandlerFunc(predict)))
	mux.HandleFunc("POST /v1/predict", func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Model string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil {
			http.Error(w, "The body names no model.", http.StatusBadRequest)
		} else if err := auth.Check(r.Context(), models, "predict", body.Model); err != nil { // known only now
			auth.WriteError(w, r, err)
		} else {
			predict(w, r)
		}
	})
	bad := failures{attempts, ratelimit.ByClientIP(nil)}
	identify := auth.Middleware(auth.First(tokens, apiKeys), auth.MiddlewareConfig{
		Realm: "models", Audit: log, Admit: bad.admit, Failed: bad.failed,
	})
	limit := ratelimit.Middleware(requests, ratelimit.MiddlewareConfig{Key: byCaller})
	return logging.Middleware(log, logging.MiddlewareConfig{})(identify(limit(mux))), nil
}

func predict(w http.ResponseWriter, r *http.Request) {
	caller, _ := auth.PrincipalFromContext(r.Context())
	fmt.Fprintf(w, "42, %s", caller.Subject)
}
