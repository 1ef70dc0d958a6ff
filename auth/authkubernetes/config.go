package authkubernetes

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
)

// Client says where the API server is and how much it may be asked.
type Client struct {
	// REST says where it is, and as whom to ask. Its QPS, Burst, RateLimiter and
	// Timeout are not used: those below are. nil means rest.InClusterConfig.
	REST *rest.Config

	// QPS is how many reviews a second there may be in the long run, and Burst how
	// many at once. 0 means 50, and twice QPS; at most 5000, and 10000.
	QPS   float64
	Burst int

	// MaxInFlight is how many reviews may be under way or wait for QPS. Those beyond
	// it are turned away at once with an auth.ErrUnavailable. 0 means 64; at most
	// 4096.
	MaxInFlight int

	// Timeout is how long a request waits for a review at most, its wait for QPS
	// included. 0 means 5 s; at most 1 min.
	Timeout time.Duration

	_ struct{}
}

// Config configures [New].
type Config struct {
	// Client is how the API server is asked.
	Client Client

	// Audiences are the names of this service. A token that was not issued for one
	// of them is refused, or whoever is sent tokens could use them here. Required.
	Audiences []string

	// Issuers, if there are any, are the values of a token's iss that make it one to
	// look at: all others are left to the next Authenticator, and never sent to the
	// API server. The iss is not verified for that. None: all tokens with two dots.
	Issuers []string

	// Cluster becomes Principal.Issuer: the name of the cluster whose users these are.
	// Services that trust several need one for each. "" means "kubernetes".
	Cluster string

	// CacheTTL is for how long a token that was found good is taken for good without
	// asking again. The API server remembers it for 10 s, too: both together are the
	// longest that it lives on after it was revoked. 0 means 10 s; below 0 not at all;
	// at most 5 min. A token's own end is obeyed besides.
	CacheTTL time.Duration

	// RefusedTTL is for how long a token that was refused is refused without asking
	// again. 0 means 1 s; below 0 not at all; at most 10 s. It is short because the
	// API server also says of a good token that it is not if it fails to look it up.
	RefusedTTL time.Duration

	// CacheEntries is how many tokens are remembered at most, and as many that were
	// refused. 0 means 8192.
	CacheEntries int

	_ struct{}
}

// AuthorizerConfig configures [NewAuthorizer].
type AuthorizerConfig struct {
	// Client is how the API server is asked. It is a budget of its own: a flood of
	// bad tokens does not use it up.
	Client Client

	// Group and Resource name the kind of thing that is asked about, such as
	// "serving.example.org" and "models", or "models/weights" for a subresource. It
	// need not exist in the cluster. The verb is the action, the name the resource.
	// Resource is required without Attributes.
	Group, Resource string
	// Namespace is where the things are. "": they are in none.
	Namespace string

	// Attributes says what to ask in the place of Group, Resource and Namespace: what
	// it returns needs ResourceAttributes or NonResourceAttributes; the rest of it is
	// filled in. [Paths] is one.
	Attributes func(action, resource string) authorizationv1.SubjectAccessReviewSpec

	// User says which user of the cluster p is, and whether p is one. nil: those that
	// an [Authenticator] of the same Cluster found, and nobody else, because the
	// subject "admin" of another issuer's token is not the cluster's "admin". It is
	// asked each time and must not change its mind for 10 s.
	User func(p *auth.Principal) (authenticationv1.UserInfo, bool)
	// Cluster is that of Config. "" means "kubernetes".
	Cluster string

	// AllowedTTL and DeniedTTL are for how long a decision is good without asking
	// again. 0 means 10 s; below 0 not at all; at most 5 min.
	AllowedTTL, DeniedTTL time.Duration

	// CacheEntries is how many that were allowed are remembered, and as many that
	// were denied. 0 means 8192.
	CacheEntries int

	_ struct{}
}

const (
	defaultCluster = "kubernetes"
	defaultTTL     = 10 * time.Second
	maxTTL         = 5 * time.Minute
	defaultEntries = 8192
)

// problems collects what is wrong with a configuration.
type problems []error

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Errorf("authkubernetes: "+format, args...))
}

// ttl fills in and checks the time that something is remembered for; below 0
// becomes -1.
func (p *problems) ttl(name string, d *time.Duration, standard, most time.Duration) {
	if *d > most {
		p.add("%s is %v, more than %v", name, *d, most)
	}
	*d = max(cmp.Or(*d, standard), -1)
}

func (p *problems) entries(name string, n *int) {
	if *n < 0 {
		p.add("%s is %d", name, *n)
	}
	*n = cmp.Or(*n, defaultEntries)
}

// withDefaults fills c in, adding what is wrong with it to p.
func (c Client) withDefaults(name string, p *problems) Client {
	if c.REST == nil {
		var err error
		if c.REST, err = rest.InClusterConfig(); err != nil {
			p.add("%s.REST is nil: %w", name, err)
		}
	}
	if !(c.QPS >= 0 && c.QPS <= 5000) { // NaN is neither
		p.add("%s.QPS is %v, not 0 to 5000", name, c.QPS)
		c.QPS = 0
	}
	if c.Burst < 0 || c.Burst > 10000 {
		p.add("%s.Burst is %d, not 0 to 10000", name, c.Burst)
	}
	if c.MaxInFlight < 0 || c.MaxInFlight > 4096 {
		p.add("%s.MaxInFlight is %d, not 0 to 4096", name, c.MaxInFlight)
	}
	if c.Timeout < 0 || c.Timeout > time.Minute {
		p.add("%s.Timeout is %v, not 0 to 1m", name, c.Timeout)
	}
	c.QPS = cmp.Or(c.QPS, 50)
	c.Burst = cmp.Or(c.Burst, int(math.Ceil(2*c.QPS)))
	c.MaxInFlight = cmp.Or(c.MaxInFlight, 64)
	c.Timeout = cmp.Or(c.Timeout, 5*time.Second)
	return c
}

// withDefaults fills cfg in, and returns everything that is wrong with it.
func (cfg Config) withDefaults() (Config, error) {
	var p problems
	cfg.Client = cfg.Client.withDefaults("Config.Client", &p)
	if len(cfg.Audiences) == 0 {
		p.add("Config.Audiences is empty: tokens meant for others would be good here")
	}
	for i, name := range cfg.Audiences {
		if name == "" {
			p.add("Config.Audiences[%d] is empty", i)
		}
	}
	for i, name := range cfg.Issuers {
		if name == "" {
			p.add("Config.Issuers[%d] is empty", i)
		}
	}
	cfg.Audiences, cfg.Issuers = slices.Clone(cfg.Audiences), slices.Clone(cfg.Issuers)
	cfg.Cluster = cmp.Or(cfg.Cluster, defaultCluster)
	p.ttl("Config.CacheTTL", &cfg.CacheTTL, defaultTTL, maxTTL)
	p.ttl("Config.RefusedTTL", &cfg.RefusedTTL, time.Second, 10*time.Second)
	p.entries("Config.CacheEntries", &cfg.CacheEntries)
	return cfg, errors.Join(p...)
}

// withDefaults fills cfg in, and returns everything that is wrong with it.
func (cfg AuthorizerConfig) withDefaults() (AuthorizerConfig, error) {
	var p problems
	cfg.Client = cfg.Client.withDefaults("AuthorizerConfig.Client", &p)
	switch {
	case cfg.Attributes == nil && cfg.Resource == "":
		p.add("AuthorizerConfig.Resource is empty, and Attributes nil")
	case cfg.Attributes != nil && cfg.Group+cfg.Resource+cfg.Namespace != "":
		p.add("AuthorizerConfig.Attributes comes with Group, Resource or Namespace, which would not be used")
	case cfg.User != nil && cfg.Cluster != "":
		p.add("AuthorizerConfig.User comes with Cluster, which would not be used")
	}
	if cfg.Attributes == nil {
		cfg.Attributes = attributesOf(cfg.Group, cfg.Resource, cfg.Namespace)
	}
	if cfg.User == nil {
		cfg.User = userOf(cmp.Or(cfg.Cluster, defaultCluster))
	}
	p.ttl("AuthorizerConfig.AllowedTTL", &cfg.AllowedTTL, defaultTTL, maxTTL)
	p.ttl("AuthorizerConfig.DeniedTTL", &cfg.DeniedTTL, defaultTTL, maxTTL)
	p.entries("AuthorizerConfig.CacheEntries", &cfg.CacheEntries)
	return cfg, errors.Join(p...)
}

// attributesOf asks about the things of one kind.
func attributesOf(group, resource, namespace string) func(action, name string) authorizationv1.SubjectAccessReviewSpec {
	resource, sub, _ := strings.Cut(resource, "/")
	return func(action, name string) authorizationv1.SubjectAccessReviewSpec {
		return authorizationv1.SubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: group, Resource: resource, Subresource: sub, Namespace: namespace, Verb: action, Name: name,
		}}
	}
}

// Paths is an AuthorizerConfig.Attributes that asks about paths, as the
// nonResourceURLs of a ClusterRole name them: the action is the verb, and the
// resource a path from its "/". Use a path that the router has resolved.
func Paths(action, path string) authorizationv1.SubjectAccessReviewSpec {
	return authorizationv1.SubjectAccessReviewSpec{NonResourceAttributes: &authorizationv1.NonResourceAttributes{
		Verb: action, Path: path,
	}}
}
