package authkubernetes

import (
	"context"
	"crypto/sha256"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ballast-go/ballast/auth"
)

// Authenticator is an [auth.Authenticator] for the tokens of a Kubernetes cluster.
// It is safe for concurrent use.
type Authenticator struct {
	cfg     Config
	client  *client
	good    *cache[*auth.Principal]
	refused *cache[error]
	flights flights[*auth.Principal]
}

// New returns an Authenticator, or everything that is wrong with cfg. It does not
// talk to the API server, which may well be down.
func New(cfg Config) (*Authenticator, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newClient(cfg.Client, "authentication.k8s.io", "tokenreviews")
	if err != nil {
		return nil, err
	}
	return &Authenticator{
		cfg: cfg, client: c,
		good: newCache[*auth.Principal](cfg.CacheEntries), refused: newCache[error](cfg.CacheEntries),
	}, nil
}

// Authenticate asks the API server about c's token, if it has two dots and comes
// from one of Config.Issuers; others are an auth.ErrNoCredential. An
// auth.ErrUnavailable says that there was no answer, or no room for the question. If
// ctx ends first, the error is ctx's.
func (a *Authenticator) Authenticate(ctx context.Context, c auth.Credentials) (*auth.Principal, error) {
	if len(c.Token) > maxToken {
		return nil, invalid("token is longer than %d bytes", maxToken)
	}
	if strings.Count(c.Token, ".") != 2 {
		return nil, auth.ErrNoCredential
	}
	at := c.At
	if at.IsZero() {
		at = time.Now()
	}
	var buf [2048]byte // room for most tokens without an allocation
	key := sha256.Sum256(append(buf[:0], c.Token...))
	if p, ok := a.good.get(key, at); ok {
		a.client.stats.hits.Add(1)
		return p, nil
	}
	if err, ok := a.refused.get(key, at); ok {
		a.client.stats.hits.Add(1)
		return nil, err
	}
	return a.ask(ctx, c.Token, key, at)
}

// ask looks at what a token says of itself and then asks the API server.
func (a *Authenticator) ask(ctx context.Context, token string, key sum, at time.Time) (*auth.Principal, error) {
	u, err := parse(token)
	if len(a.cfg.Issuers) > 0 && !slices.Contains(a.cfg.Issuers, u.issuer) {
		return nil, auth.ErrNoCredential
	}
	if err != nil {
		return nil, err
	}
	if !u.expires.IsZero() && !at.Before(u.expires) {
		return nil, &auth.Error{Cause: auth.ErrExpired, Reason: "kubernetes: exp is over"}
	}
	return ask(ctx, a.client, &a.flights, key, func(ctx context.Context) (*auth.Principal, error) {
		// The flight before this one may have ended in between.
		if p, ok := a.good.get(key, at); ok {
			return p, nil
		}
		if err, ok := a.refused.get(key, at); ok {
			return nil, err
		}
		return a.review(ctx, token, u, key, at)
	})
}

// review asks the API server, and remembers what it says.
func (a *Authenticator) review(ctx context.Context, token string, u unverified, key sum, at time.Time) (*auth.Principal, error) {
	review := authenticationv1.TokenReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authentication.k8s.io/v1", Kind: "TokenReview"},
		Spec:     authenticationv1.TokenReviewSpec{Token: token, Audiences: a.cfg.Audiences},
	}
	var answer authenticationv1.TokenReview
	if err := a.client.post(ctx, &review, &answer); err != nil {
		return nil, err
	}
	if err := a.judge(&answer.Status, token); err != nil {
		a.refused.put(key, err, at, at.Add(a.cfg.RefusedTTL))
		return nil, err
	}
	p := principal(a.cfg.Cluster, &answer.Status.User, u.expires)
	until := at.Add(a.cfg.CacheTTL)
	if !u.expires.IsZero() && u.expires.Before(until) {
		until = u.expires
	}
	a.good.put(key, p, at, until)
	return p, nil
}

// judge says why a token is not good, or nil if it is.
func (a *Authenticator) judge(s *authenticationv1.TokenReviewStatus, token string) error {
	switch {
	case !s.Authenticated:
		return invalid("the API server refuses the token: %s", withheld(s.Error, token))
	case s.User.Username == "":
		return invalid("the API server names no user")
	case !slices.ContainsFunc(s.Audiences, func(name string) bool { return slices.Contains(a.cfg.Audiences, name) }):
		// A server or webhook that knows nothing of audiences names none.
		return invalid("the API server does not say that the token is for one of Config.Audiences")
	}
	return nil
}

// principal is a user of the cluster.
func principal(cluster string, user *authenticationv1.UserInfo, expires time.Time) *auth.Principal {
	extra := make(map[string]any, len(user.Extra))
	for name, values := range user.Extra {
		list := make([]any, len(values))
		for i, v := range values {
			list[i] = v
		}
		extra[name] = list
	}
	return &auth.Principal{
		Subject:   user.Username,
		Issuer:    cluster,
		Method:    auth.MethodKubernetes,
		Roles:     user.Groups,
		Claims:    map[string]any{"uid": user.UID, "extra": extra},
		ExpiresAt: expires,
	}
}

// Stats returns what has happened so far.
func (a *Authenticator) Stats() Stats {
	return a.client.stats.snapshot(a.good.len() + a.refused.len())
}
