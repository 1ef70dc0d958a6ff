package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/ballast-go/ballast/auth"
)

// tokens stands for a Verifier of package authjwt.
var tokens = auth.AuthenticatorFunc(func(_ context.Context, c auth.Credentials) (*auth.Principal, error) {
	switch c.Token {
	case "":
		return nil, auth.ErrNoCredential
	case "token-of-alice":
		return &auth.Principal{Subject: "alice", Method: auth.MethodJWT, Roles: []string{"analyst"}}, nil
	}
	return nil, auth.ErrInvalid
})

// analysts stands for a Policy of package authrbac: analysts may use the model llama.
type analysts struct{}

func (analysts) Authorize(_ context.Context, p *auth.Principal, action, resource string) error {
	for _, role := range p.Roles {
		if role == "analyst" && action == "predict" && resource == "llama" {
			return nil
		}
	}
	return &auth.ForbiddenError{Subject: p.Subject, Action: action, Resource: resource}
}

// call sends a request and prints what came back.
func call(h http.Handler, method, path, token, body string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	fmt.Println(strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("WWW-Authenticate"), w.Header().Get("X-Answer"))))
}

// Who is calling is found out once, in front of everything; what they may do is decided
// where the route is known.
func Example() {
	mux := http.NewServeMux()
	mux.Handle("POST /v1/models/{model}/predict", auth.Require(analysts{}, "predict", auth.PathValue("model"))(
		http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			p, _ := auth.PrincipalFromContext(r.Context())
			w.Header().Set("X-Answer", "hello, "+p.Subject)
		})))
	service := auth.Middleware(auth.First(tokens), auth.MiddlewareConfig{Realm: "models"})(mux)

	call(service, "POST", "/v1/models/llama/predict", "", "")
	call(service, "POST", "/v1/models/llama/predict", "token-of-mallory", "")
	call(service, "POST", "/v1/models/llama/predict", "token-of-alice", "")
	call(service, "POST", "/v1/models/gpt/predict", "token-of-alice", "")
	// Output:
	// 401 Bearer realm="models"
	// 401 Bearer realm="models", error="invalid_token"
	// 200 hello, alice
	// 403
}

// After three bad attempts an address is turned away before anything is checked.
func ExampleMiddleware() {
	failures := map[string]int{} // a limiter of package ratelimit, where there is more than one request at a time
	address := func(r *http.Request) string { return r.RemoteAddr }
	identify := auth.Middleware(tokens, auth.MiddlewareConfig{
		Admit: func(r *http.Request) error {
			if failures[address(r)] >= 3 {
				return fmt.Errorf("too many attempts by %s", address(r))
			}
			return nil
		},
		Failed: func(r *http.Request, _ error) { failures[address(r)]++ },
	})
	service := identify(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for range 4 {
		call(service, "GET", "/", "guess", "")
	}
	// Output:
	// 401 Bearer error="invalid_token"
	// 401 Bearer error="invalid_token"
	// 401 Bearer error="invalid_token"
	// 429
}

// The pitfall: what a proxy says of a client's certificate is what anybody can say who
// reaches the service without the proxy. An Authenticator never sees it.
func ExampleMiddleware_incorrect() {
	admin := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", "as you wish")
	})
	incorrect := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.Header.Get("X-Forwarded-Client-Cert"), "CN=admin") {
			admin.ServeHTTP(w, r)
			return
		}
		auth.WriteError(w, r, auth.ErrNoCredential)
	})
	certificates, err := auth.NewMTLS(auth.MTLSConfig{DN: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	correct := auth.Middleware(certificates, auth.MiddlewareConfig{})(admin)

	for _, h := range []http.Handler{incorrect, correct} {
		r := httptest.NewRequest("GET", "/admin", nil) // straight to the service
		r.Header.Set("X-Forwarded-Client-Cert", `Subject="CN=admin"`)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		fmt.Println(w.Code, w.Header().Get("X-Answer"))
	}
	// Output:
	// 200 as you wish
	// 401
}

// Require stands around the handler of a route. Another spelling of a path is no way
// around it.
func ExampleRequire() {
	may := auth.Require(analysts{}, "predict", auth.PathValue("model"))
	mux := http.NewServeMux()
	mux.Handle("GET /v1/models/{model}", may(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Answer", r.PathValue("model"))
	})))
	service := auth.Middleware(tokens, auth.MiddlewareConfig{})(mux)

	call(service, "GET", "/v1/models/llama", "token-of-alice", "")
	call(service, "GET", "/v1/models/llama%2f..%2fsecret", "token-of-alice", "")
	call(service, "GET", "/v1/models/%2e%2e", "token-of-alice", "")
	// Output:
	// 200 llama
	// 400
	// 400
}

// The pitfall: outside the mux no route is known yet, so that there is no resource,
// and nobody may do anything.
func ExampleRequire_incorrect() {
	may := auth.Require(analysts{}, "predict", auth.PathValue("model"))
	handler := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	identify := auth.Middleware(tokens, auth.MiddlewareConfig{})

	outside := http.NewServeMux()
	outside.Handle("GET /v1/models/{model}", handler)
	call(identify(may(outside)), "GET", "/v1/models/llama", "token-of-alice", "")

	inside := http.NewServeMux()
	inside.Handle("GET /v1/models/{model}", may(handler))
	call(identify(inside), "GET", "/v1/models/llama", "token-of-alice", "")
	// Output:
	// 403
	// 200
}

// The model is named by the body, as in OpenAI's API: the handler asks when it has
// read it.
func ExampleCheck() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Model string }
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&body); err != nil {
			http.Error(w, "bad request", http.StatusBadRequest)
			return
		}
		if err := auth.Check(r.Context(), analysts{}, "predict", body.Model); err != nil {
			auth.WriteError(w, r, err)
			return
		}
		w.Header().Set("X-Answer", body.Model)
	})
	service := auth.Middleware(tokens, auth.MiddlewareConfig{})(handler)

	call(service, "POST", "/v1/completions", "token-of-alice", `{"model":"llama"}`)
	call(service, "POST", "/v1/completions", "token-of-alice", `{"model":"gpt"}`)
	call(service, "POST", "/v1/completions", "token-of-alice", `{}`)
	// Output:
	// 200 llama
	// 403
	// 403
}

// toOutput stands for a *logging.Logger.
type toOutput struct{}

func (toOutput) Audit(_ context.Context, event string, attrs ...slog.Attr) {
	fmt.Println(event, attrs)
}

func ExampleAudited() {
	policy := auth.Audited(analysts{}, toOutput{})
	ctx := auth.ContextWithPrincipal(context.Background(), &auth.Principal{Subject: "alice\nroot"})
	_ = auth.Check(ctx, policy, "predict", "gpt")
	// Output:
	// auth.authorize [subject=alice�root action=predict resource=gpt decision=deny]
}
