package authkubernetes_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authkubernetes"
)

const audience = "models.example.org"

// fake is what an API server answers.
type fake struct {
	token  func(r *http.Request, review *authenticationv1.TokenReview) // fills in the status
	access func(r *http.Request, review *authorizationv1.SubjectAccessReview)
	// instead answers in place of both, if it is set and returns true.
	instead atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	asked   atomic.Int64
}

func (f *fake) answer(with func(w http.ResponseWriter, r *http.Request) bool) {
	if with == nil {
		f.instead.Store(nil)
		return
	}
	f.instead.Store(&with)
}

func (f *fake) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.asked.Add(1)
	if instead := f.instead.Load(); instead != nil && (*instead)(w, r) {
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.Header.Get("Content-Type") != "application/json" {
		http.Error(w, "not a review", http.StatusBadRequest)
		return
	}
	var answer any
	switch r.URL.Path {
	case "/apis/authentication.k8s.io/v1/tokenreviews":
		review := new(authenticationv1.TokenReview)
		if err = json.Unmarshal(body, review); err == nil {
			f.token(r, review)
		}
		answer = review
	case "/apis/authorization.k8s.io/v1/subjectaccessreviews":
		review := new(authorizationv1.SubjectAccessReview)
		if err = json.Unmarshal(body, review); err == nil {
			f.access(r, review)
		}
		answer = review
	default:
		http.NotFound(w, r)
		return
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer)
}

// RoundTrip makes f a transport without a network, for tests in virtual time.
func (f *fake) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// hang answers no request before its caller has left, which a server notices once it
// has read the body.
func hang(_ http.ResponseWriter, r *http.Request) bool {
	_, _ = io.Copy(io.Discard, r.Body)
	<-r.Context().Done()
	return true
}

// all is an API server to which every token is good that names a sub and was
// issued for what it is asked about.
func all() *fake {
	return &fake{
		token: func(_ *http.Request, review *authenticationv1.TokenReview) {
			_, rest, _ := strings.Cut(review.Spec.Token, ".")
			payload, _, _ := strings.Cut(rest, ".")
			text, _ := base64.RawURLEncoding.DecodeString(payload)
			var claims struct{ Sub, Aud string }
			if json.Unmarshal(text, &claims) != nil || claims.Sub == "" {
				review.Status.Error = "invalid bearer token"
				return
			}
			review.Status = authenticationv1.TokenReviewStatus{
				Authenticated: true,
				Audiences:     []string{claims.Aud},
				User: authenticationv1.UserInfo{
					Username: claims.Sub, UID: "uid-1", Groups: []string{"system:authenticated"},
					Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/pod-name": {"pod-1"}},
				},
			}
		},
		access: func(_ *http.Request, review *authorizationv1.SubjectAccessReview) {
			a := review.Spec.ResourceAttributes
			review.Status = authorizationv1.SubjectAccessReviewStatus{
				Allowed: a != nil && strings.HasPrefix(a.Name, "open"), Reason: "RBAC: because",
			}
		},
	}
}

// token returns one with claims; its signature is a number, so that it is new.
func token(claims map[string]any) string {
	payload, err := json.Marshal(claims)
	if err != nil {
		panic(err)
	}
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS256","kid":"1"}`)) + "." +
		base64.RawURLEncoding.EncodeToString(payload) + "." +
		base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "signature %d", serial.Add(1)))
}

var serial atomic.Int64

// account returns a new token of a service account for this service.
func account(name string) string {
	return token(map[string]any{"iss": "https://kubernetes.default.svc", "sub": "system:serviceaccount:prod:" + name, "aud": audience})
}

// overHTTP is a client of a real server that answers as f.
func overHTTP(t *testing.T, f *fake) authkubernetes.Client {
	t.Helper()
	srv := httptest.NewServer(f)
	t.Cleanup(srv.Close)
	return authkubernetes.Client{REST: &rest.Config{Host: srv.URL, Transport: ownTransport(t)}}
}

// ownTransport is one whose connections end with the test.
func ownTransport(t *testing.T) *http.Transport {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// direct is a client of f without a network.
func direct(f *fake) authkubernetes.Client {
	return authkubernetes.Client{REST: &rest.Config{Host: "https://kubernetes.test", Transport: f}}
}

func authenticator(t testing.TB, cfg authkubernetes.Config) *authkubernetes.Authenticator {
	t.Helper()
	if cfg.Audiences == nil {
		cfg.Audiences = []string{"other.example.org", audience}
	}
	a, err := authkubernetes.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func authorizer(t testing.TB, cfg authkubernetes.AuthorizerConfig) *authkubernetes.Authorizer {
	t.Helper()
	if cfg.Attributes == nil && cfg.Resource == "" {
		cfg.Group, cfg.Resource, cfg.Namespace = "serving.example.org", "models", "prod"
	}
	z, err := authkubernetes.NewAuthorizer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// try asks about a token.
func try(a auth.Authenticator, token string) error {
	_, err := a.Authenticate(context.Background(), auth.Credentials{Token: token})
	return err
}

// wantUnavailable checks that err is an auth.ErrUnavailable with a time to try again.
func wantUnavailable(t *testing.T, err error, after time.Duration) {
	t.Helper()
	var e *auth.Error
	if !errors.Is(err, auth.ErrUnavailable) || !errors.As(err, &e) || !e.Retryable() || e.RetryDelay() != after {
		t.Fatalf("error is %v with %+v, want unavailable for %v", err, e, after)
	}
}

// parallel calls f n times at the same time, and waits.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { f(i) })
	}
	wg.Wait()
}
