package authkubernetes

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ballast-go/ballast/auth"
)

// maxName is how long an action, and a resource, may be that is asked about.
const maxName = 4 << 10

// Authorizer is an [auth.Authorizer] by which a Kubernetes cluster's RBAC, or
// whatever else its API server decides by, says who may do what. It is safe for
// concurrent use.
type Authorizer struct {
	cfg     AuthorizerConfig
	client  *client
	allowed *cache[string] // the rules
	denied  *cache[string]
	flights flights[decision]
}

type decision struct {
	allowed bool
	rule    string
}

// NewAuthorizer returns an Authorizer, or everything that is wrong with cfg. It does
// not talk to the API server, which may well be down.
func NewAuthorizer(cfg AuthorizerConfig) (*Authorizer, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	c, err := newClient(cfg.Client, "authorization.k8s.io", "subjectaccessreviews")
	if err != nil {
		return nil, err
	}
	return &Authorizer{
		cfg: cfg, client: c,
		allowed: newCache[string](cfg.CacheEntries), denied: newCache[string](cfg.CacheEntries),
	}, nil
}

// Authorize returns nil if the API server says that p may do action to resource, an
// *[auth.ForbiddenError] if it does not, and an auth.ErrUnavailable if there was no
// answer, or no room for the question. If ctx ends first, the error is ctx's.
func (z *Authorizer) Authorize(ctx context.Context, p *auth.Principal, action, resource string) error {
	_, err := z.Decide(ctx, p, action, resource)
	return err
}

// Decide is Authorize, and returns the API server's reason besides, such as `RBAC:
// allowed by RoleBinding "clients/prod" of Role "client"`.
func (z *Authorizer) Decide(ctx context.Context, p *auth.Principal, action, resource string) (rule string, err error) {
	spec, reason := z.question(p, action, resource)
	if reason != "" {
		return reason, forbidden(p, action, resource, reason)
	}
	review := &authorizationv1.SubjectAccessReview{
		TypeMeta: metav1.TypeMeta{APIVersion: "authorization.k8s.io/v1", Kind: "SubjectAccessReview"},
		Spec:     spec,
	}
	text, err := json.Marshal(review)
	if err != nil {
		return "", unavailable(soon, "cannot encode: %v", err)
	}
	d, err := z.decide(ctx, review, sha256.Sum256(text), time.Now())
	if err == nil && !d.allowed {
		err = forbidden(p, action, resource, d.rule)
	}
	return d.rule, err
}

// question returns what to ask the API server, or why there is nothing to ask and
// the answer is no.
func (z *Authorizer) question(p *auth.Principal, action, resource string) (spec authorizationv1.SubjectAccessReviewSpec, reason string) {
	// To Kubernetes an empty name means all of them.
	if action == "" || resource == "" || len(action) > maxName || len(resource) > maxName {
		return spec, "action or resource is empty or too long"
	}
	user, ok := z.cfg.User(p)
	if !ok || user.Username == "" {
		return spec, "not a user of the cluster"
	}
	spec = z.cfg.Attributes(action, resource)
	if (spec.ResourceAttributes == nil) == (spec.NonResourceAttributes == nil) {
		return spec, "AuthorizerConfig.Attributes has no question"
	}
	// JSON would make different names the same.
	if !utf8.ValidString(action) || !utf8.ValidString(resource) || !utf8.ValidString(user.Username) ||
		slices.ContainsFunc(user.Groups, func(g string) bool { return !utf8.ValidString(g) }) {
		return spec, "not in UTF-8"
	}
	spec.User, spec.UID, spec.Groups = user.Username, user.UID, user.Groups
	spec.Extra = nil
	for name, values := range user.Extra {
		if spec.Extra == nil {
			spec.Extra = make(map[string]authorizationv1.ExtraValue, len(user.Extra))
		}
		spec.Extra[name] = authorizationv1.ExtraValue(values)
	}
	return spec, ""
}

// decide returns the answer to a review from memory, or asks.
func (z *Authorizer) decide(ctx context.Context, review *authorizationv1.SubjectAccessReview, key sum, at time.Time) (decision, error) {
	if d, ok := z.remembered(key, at); ok {
		z.client.stats.hits.Add(1)
		return d, nil
	}
	return ask(ctx, z.client, &z.flights, key, func(ctx context.Context) (decision, error) {
		// The flight before this one may have ended in between.
		if d, ok := z.remembered(key, at); ok {
			return d, nil
		}
		var answer authorizationv1.SubjectAccessReview
		if err := z.client.post(ctx, review, &answer); err != nil {
			return decision{}, err
		}
		d := judge(&answer.Status)
		if d.allowed {
			z.allowed.put(key, d.rule, at, at.Add(z.cfg.AllowedTTL))
		} else {
			z.denied.put(key, d.rule, at, at.Add(z.cfg.DeniedTTL))
		}
		return d, nil
	})
}

func (z *Authorizer) remembered(key sum, at time.Time) (decision, bool) {
	if rule, ok := z.allowed.get(key, at); ok {
		return decision{allowed: true, rule: rule}, true
	}
	rule, ok := z.denied.get(key, at)
	return decision{rule: rule}, ok
}

// judge reads an answer. An evaluation error with a no is a no, as it is to the API
// server itself: a binding to a role that is gone makes one each time.
func judge(s *authorizationv1.SubjectAccessReviewStatus) decision {
	rule := s.Reason
	if rule == "" {
		rule = s.EvaluationError
	}
	if len(rule) > 512 {
		rule = strings.ToValidUTF8(rule[:512], "")
	}
	return decision{allowed: s.Allowed && !s.Denied, rule: rule}
}

func forbidden(p *auth.Principal, action, resource, rule string) error {
	err := &auth.ForbiddenError{Action: action, Resource: resource, Rule: rule}
	if p != nil {
		err.Subject = p.Subject
	}
	return err
}

// userOf returns the users that an Authenticator of the cluster found.
func userOf(cluster string) func(*auth.Principal) (authenticationv1.UserInfo, bool) {
	return func(p *auth.Principal) (user authenticationv1.UserInfo, ok bool) {
		if p == nil || p.Method != auth.MethodKubernetes || p.Issuer != cluster {
			return user, false
		}
		user.Username, user.Groups = p.Subject, p.Roles
		user.UID, _ = p.Claims["uid"].(string)
		extra, _ := p.Claims["extra"].(map[string]any)
		for name, values := range extra {
			list, _ := values.([]any)
			out := make(authenticationv1.ExtraValue, 0, len(list))
			for _, v := range list {
				if s, ok := v.(string); ok {
					out = append(out, s)
				}
			}
			if user.Extra == nil {
				user.Extra = make(map[string]authenticationv1.ExtraValue, len(extra))
			}
			user.Extra[name] = out
		}
		return user, true
	}
}

// Stats returns what has happened so far.
func (z *Authorizer) Stats() Stats {
	return z.client.stats.snapshot(z.allowed.len() + z.denied.len())
}
