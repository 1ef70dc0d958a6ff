package authkubernetes_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

var client = &auth.Principal{
	Subject: "system:serviceaccount:prod:client", Issuer: "kubernetes", Method: auth.MethodKubernetes,
	Roles: []string{"system:serviceaccounts", "system:authenticated"},
	Claims: map[string]any{
		"uid":   "uid-1",
		"extra": map[string]any{"scopes": []any{"a", "b"}},
	},
}

// recorded is an API server that allows everything, and the last question.
func recorded() (*fake, *authorizationv1.SubjectAccessReviewSpec) {
	f, spec := all(), new(authorizationv1.SubjectAccessReviewSpec)
	f.access = func(_ *http.Request, r *authorizationv1.SubjectAccessReview) {
		*spec = r.Spec
		r.Status = authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "RBAC: because"}
	}
	return f, spec
}

func TestQuestions(t *testing.T) {
	user := authorizationv1.SubjectAccessReviewSpec{
		User: client.Subject, UID: "uid-1", Groups: client.Roles,
		Extra: map[string]authorizationv1.ExtraValue{"scopes": {"a", "b"}},
	}
	about := func(spec authorizationv1.SubjectAccessReviewSpec, a authorizationv1.ResourceAttributes) authorizationv1.SubjectAccessReviewSpec {
		spec.ResourceAttributes = &a
		return spec
	}
	path := user
	path.NonResourceAttributes = &authorizationv1.NonResourceAttributes{Verb: "predict", Path: "open"}
	other := authorizationv1.SubjectAccessReviewSpec{User: "oidc:jane", Groups: []string{"oidc:dev"}}
	for name, test := range map[string]struct {
		cfg  authkubernetes.AuthorizerConfig
		want authorizationv1.SubjectAccessReviewSpec
	}{
		"resource": {authkubernetes.AuthorizerConfig{}, about(user, authorizationv1.ResourceAttributes{
			Group: "serving.example.org", Resource: "models", Namespace: "prod", Verb: "predict", Name: "open",
		})},
		"paths": {authkubernetes.AuthorizerConfig{Attributes: authkubernetes.Paths}, path},
		"own attributes, which say who it is": {authkubernetes.AuthorizerConfig{
			Attributes: func(action, resource string) authorizationv1.SubjectAccessReviewSpec {
				return authorizationv1.SubjectAccessReviewSpec{
					User: "admin", Groups: []string{"system:masters"}, Extra: map[string]authorizationv1.ExtraValue{"x": {"y"}},
					ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: action, Name: resource},
				}
			},
		}, about(user, authorizationv1.ResourceAttributes{Verb: "predict", Name: "open"})},
		"own user": {authkubernetes.AuthorizerConfig{
			User: func(p *auth.Principal) (authenticationv1.UserInfo, bool) {
				return authenticationv1.UserInfo{Username: "oidc:jane", Groups: []string{"oidc:dev"}}, true
			},
		}, about(other, authorizationv1.ResourceAttributes{
			Group: "serving.example.org", Resource: "models", Namespace: "prod", Verb: "predict", Name: "open",
		})},
	} {
		t.Run(name, func(t *testing.T) {
			f, spec := recorded()
			test.cfg.Client = overHTTP(t, f)
			rule, err := authorizer(t, test.cfg).Decide(t.Context(), client, "predict", "open")
			if err != nil || rule != "RBAC: because" {
				t.Fatalf("%q, %v", rule, err)
			}
			if !reflect.DeepEqual(*spec, test.want) {
				t.Errorf("asked %s, want %s", text(*spec), text(test.want))
			}
		})
	}
	f, spec := recorded()
	z, err := authkubernetes.NewAuthorizer(authkubernetes.AuthorizerConfig{Client: direct(f), Resource: "models/weights"})
	if err != nil {
		t.Fatal(err)
	}
	if err := z.Authorize(t.Context(), client, "get", "m"); err != nil || spec.ResourceAttributes.Resource != "models" || spec.ResourceAttributes.Subresource != "weights" {
		t.Errorf("asked %s: %v", text(*spec), err)
	}
}

func text(v any) string {
	b, err := json.Marshal(v)
	return fmt.Sprintf("%s %v", b, err)
}

// Who an Authenticator finds is whom the Authorizer asks about, with all that
// narrows what they may do.
func TestFromTokenToQuestion(t *testing.T) {
	f, spec := recorded()
	a := authenticator(t, authkubernetes.Config{Client: direct(f)})
	p, err := a.Authenticate(t.Context(), auth.Credentials{Token: account("client")})
	if err != nil {
		t.Fatal(err)
	}
	if err := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f)}).Authorize(t.Context(), p, "predict", "m"); err != nil {
		t.Fatal(err)
	}
	want := authorizationv1.SubjectAccessReviewSpec{
		ResourceAttributes: spec.ResourceAttributes,
		User:               "system:serviceaccount:prod:client", UID: "uid-1", Groups: []string{"system:authenticated"},
		Extra: map[string]authorizationv1.ExtraValue{"authentication.kubernetes.io/pod-name": {"pod-1"}},
	}
	if !reflect.DeepEqual(*spec, want) {
		t.Errorf("asked %s, want %s", text(*spec), text(want))
	}
}

// None of these is a question that the API server would be asked: the answer is no.
func TestForbiddenAtOnce(t *testing.T) {
	f, _ := recorded()
	standard := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f)})
	with := func(change func(*auth.Principal)) *auth.Principal {
		p := *client
		change(&p)
		return &p
	}
	nobody := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f), User: func(*auth.Principal) (authenticationv1.UserInfo, bool) {
		return authenticationv1.UserInfo{}, true
	}})
	both := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f), Attributes: func(a, r string) authorizationv1.SubjectAccessReviewSpec {
		spec := authkubernetes.Paths(a, r)
		spec.ResourceAttributes = &authorizationv1.ResourceAttributes{}
		return spec
	}})
	neither := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f), Attributes: func(string, string) (s authorizationv1.SubjectAccessReviewSpec) {
		return s
	}})
	for name, test := range map[string]struct {
		z                *authkubernetes.Authorizer
		p                *auth.Principal
		action, resource string
	}{
		"a JWT's subject":         {standard, with(func(p *auth.Principal) { p.Method = auth.MethodJWT }), "predict", "m"},
		"another cluster's":       {standard, with(func(p *auth.Principal) { p.Issuer = "west" }), "predict", "m"},
		"no issuer":               {standard, with(func(p *auth.Principal) { p.Issuer = "" }), "predict", "m"},
		"no subject":              {standard, with(func(p *auth.Principal) { p.Subject = "" }), "predict", "m"},
		"nobody":                  {standard, nil, "predict", "m"},
		"own nobody":              {nobody, client, "predict", "m"},
		"all names":               {standard, client, "predict", ""},
		"no verb":                 {standard, client, "", "m"},
		"a long name":             {standard, client, "predict", strings.Repeat("m", 4<<10+1)},
		"a long verb":             {standard, client, strings.Repeat("m", 4<<10+1), "m"},
		"not UTF-8":               {standard, client, "predict", "m\xff"},
		"a verb that is not":      {standard, client, "predict\xff", "m"},
		"a user that is not":      {standard, with(func(p *auth.Principal) { p.Subject = "a\xff" }), "predict", "m"},
		"a group that is not":     {standard, with(func(p *auth.Principal) { p.Roles = []string{"a\xff"} }), "predict", "m"},
		"two kinds of attributes": {both, client, "predict", "m"},
		"no attributes":           {neither, client, "predict", "m"},
	} {
		rule, err := test.z.Decide(t.Context(), test.p, test.action, test.resource)
		var e *auth.ForbiddenError
		if !errors.As(err, &e) || !errors.Is(err, auth.ErrForbidden) || e.Rule == "" || e.Rule != rule {
			t.Errorf("%s: %q, %v", name, rule, err)
		}
	}
	if n := f.asked.Load(); n != 0 {
		t.Errorf("%d were asked", n)
	}
}

// What the API server says is what counts, to the letter of its API.
func TestAnswers(t *testing.T) {
	for name, test := range map[string]struct {
		status authorizationv1.SubjectAccessReviewStatus
		want   error
		rule   string
	}{
		"yes":              {authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: "r"}, nil, "r"},
		"yes, with errors": {authorizationv1.SubjectAccessReviewStatus{Allowed: true, EvaluationError: "e"}, nil, "e"},
		"no":               {authorizationv1.SubjectAccessReviewStatus{}, auth.ErrForbidden, ""},
		"no, with errors":  {authorizationv1.SubjectAccessReviewStatus{EvaluationError: "role not found"}, auth.ErrForbidden, "role not found"},
		"both":             {authorizationv1.SubjectAccessReviewStatus{Allowed: true, Denied: true, Reason: "r"}, auth.ErrForbidden, "r"},
		"long":             {authorizationv1.SubjectAccessReviewStatus{Allowed: true, Reason: strings.Repeat("ä", 500)}, nil, strings.Repeat("ä", 256)},
	} {
		f := all()
		f.access = func(_ *http.Request, r *authorizationv1.SubjectAccessReview) { r.Status = test.status }
		rule, err := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f)}).Decide(t.Context(), client, "predict", "m")
		if !errors.Is(err, test.want) || rule != test.rule {
			t.Errorf("%s: %q, %v", name, rule, err)
		}
		var e *auth.ForbiddenError
		if errors.As(err, &e) && (e.Subject != client.Subject || e.Action != "predict" || e.Resource != "m" || e.Rule != test.rule) {
			t.Errorf("%s: %+v", name, e)
		}
	}
	f := all()
	f.access = func(_ *http.Request, r *authorizationv1.SubjectAccessReview) {
		r.Kind, r.Status.Allowed = "Status", true
	}
	wantUnavailable(t, authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f)}).Authorize(t.Context(), client, "predict", "m"), time.Second)
}

// A decision is remembered for its TTL, for the same question only.
func TestDecisionsAreRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		z := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f), DeniedTTL: 2 * time.Second})
		check := func(p *auth.Principal, action, resource string, want error, asked int64) {
			t.Helper()
			if err := z.Authorize(t.Context(), p, action, resource); !errors.Is(err, want) {
				t.Fatalf("error is %v, want %v", err, want)
			}
			if n := f.asked.Swap(0); n != asked {
				t.Fatalf("%d were asked, want %d", n, asked)
			}
		}
		again := *client // the same user by another Principal
		for asked := int64(1); asked >= 0; asked-- {
			check(client, "predict", "open", nil, asked)
			check(client, "predict", "secret", auth.ErrForbidden, asked)
		}
		check(&again, "predict", "open", nil, 0)
		grown := *client
		grown.Roles = append([]string{"more"}, client.Roles...)
		check(&grown, "predict", "open", nil, 1)
		check(client, "train", "open", nil, 1)
		check(client, "predict", "opener", nil, 1)
		sleep(2*time.Second - 1)
		check(client, "predict", "secret", auth.ErrForbidden, 0)
		sleep(1)
		check(client, "predict", "secret", auth.ErrForbidden, 1)
		sleep(8*time.Second - 1)
		check(client, "predict", "open", nil, 0)
		sleep(1)
		check(client, "predict", "open", nil, 1)
	})
}

// Who asks for what does not exist does not make anybody else's answers forgotten,
// nor more reviews than QPS allows.
func TestFloodOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := all()
		z := authorizer(t, authkubernetes.AuthorizerConfig{Client: direct(f), CacheEntries: 8})
		if err := z.Authorize(t.Context(), client, "predict", "open"); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		for i := range 300 {
			if err := z.Authorize(t.Context(), client, "predict", fmt.Sprint("secret", i)); !errors.Is(err, auth.ErrForbidden) {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took < 4*time.Second {
			t.Errorf("301 reviews in %v", took)
		}
		if s := z.Stats(); s.Entries != 9 {
			t.Errorf("%+v", s)
		}
		f.asked.Store(0)
		if err := z.Authorize(t.Context(), client, "predict", "open"); err != nil || f.asked.Load() != 0 {
			t.Errorf("what is allowed was forgotten: %v", err)
		}
	})
}

func TestOneDecision(t *testing.T) {
	f := all()
	z := authorizer(t, authkubernetes.AuthorizerConfig{Client: overHTTP(t, f)})
	parallel(200, func(i int) {
		want := error(nil)
		name := "open"
		if i%2 == 1 {
			name, want = "secret", auth.ErrForbidden
		}
		if err := z.Authorize(t.Context(), client, "predict", name); !errors.Is(err, want) {
			t.Error(err)
		}
	})
	if n := f.asked.Load(); n != 2 {
		t.Errorf("%d reviews", n)
	}
}
