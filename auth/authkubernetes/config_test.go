package authkubernetes_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth/authkubernetes"
)

func TestConfigErrors(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	bad := authkubernetes.Client{QPS: math.NaN(), Burst: -1, MaxInFlight: 5000, Timeout: time.Hour}
	_, err := authkubernetes.New(authkubernetes.Config{
		Client: bad, Issuers: []string{""}, CacheTTL: time.Hour, RefusedTTL: time.Minute, CacheEntries: -1,
	})
	all := []string{
		"Config.Client.REST is nil", "Config.Client.QPS is NaN", "Config.Client.Burst is -1", "Config.Client.MaxInFlight is 5000",
		"Config.Client.Timeout is 1h0m0s", "Config.Audiences is empty", "Config.Issuers[0] is empty", "Config.CacheTTL is 1h0m0s",
		"Config.RefusedTTL is 1m0s", "Config.CacheEntries is -1",
	}
	named(t, err, all...)
	if !errors.Is(err, rest.ErrNotInCluster) {
		t.Errorf("%v does not say why there is no REST", err)
	}
	_, err = authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{
		Client: bad, AllowedTTL: time.Hour, DeniedTTL: time.Hour, CacheEntries: -1,
	})
	named(t, err, "AuthorizerConfig.Client.REST is nil", "AuthorizerConfig.Client.QPS", "AuthorizerConfig.Client.Burst",
		"AuthorizerConfig.Client.MaxInFlight", "AuthorizerConfig.Client.Timeout", "AuthorizerConfig.Resource is empty",
		"AuthorizerConfig.AllowedTTL", "AuthorizerConfig.DeniedTTL", "AuthorizerConfig.CacheEntries")

	ok := direct(nil)
	for _, qps := range []float64{-1, 5001, math.Inf(1)} {
		c := ok
		c.QPS = qps
		_, err = authkubernetes.New(authkubernetes.Config{Client: c, Audiences: []string{"a"}})
		named(t, err, "Config.Client.QPS")
	}
	_, err = authkubernetes.New(authkubernetes.Config{Client: ok, Audiences: []string{"a", ""}})
	named(t, err, "Config.Audiences[1] is empty")
	_, err = authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{Client: ok, Resource: "models", Attributes: authkubernetes.Paths})
	named(t, err, "AuthorizerConfig.Attributes")
	for _, config := range []*rest.Config{
		{Host: "https://a.test", TLSClientConfig: rest.TLSClientConfig{CAData: []byte("no certificate")}},
		{Host: "https://a.test/%zz"},
	} {
		_, err = authkubernetes.New(authkubernetes.Config{Client: authkubernetes.Client{REST: config}, Audiences: []string{"a"}})
		named(t, err, "Client.REST")
		_, err = authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{Client: authkubernetes.Client{REST: config}, Resource: "models"})
		named(t, err, "Client.REST")
	}
}

// named checks that err has a line for each name, and no other.
func named(t *testing.T, err error, names ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want %v", names)
	}
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != len(names) {
		t.Errorf("%d errors, want %d:\n%v", len(lines), len(names), err)
	}
	for _, name := range names {
		if !strings.Contains(err.Error(), "authkubernetes: "+name) {
			t.Errorf("%s is missing from:\n%v", name, err)
		}
	}
}

// The caller's rest.Config is neither changed nor used for waiting.
func TestRESTConfigIsTheCallers(t *testing.T) {
	c := direct(all())
	c.REST.QPS, c.REST.Burst = 0.0001, 1
	a := authenticator(t, authkubernetes.Config{Client: c})
	for range 50 {
		if err := try(a, account("client")); err != nil {
			t.Fatal(err)
		}
	}
	if c.REST.QPS != 0.0001 || c.REST.UserAgent != "" {
		t.Errorf("it was changed: %v", c.REST)
	}
}
