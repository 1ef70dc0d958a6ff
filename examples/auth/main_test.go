package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
	"github.com/ballast-go/ballast/auth/authrbac"
	"github.com/ballast-go/ballast/logging"
)

// What is told is what the package comment shows, and the log has a record of each
// decision, and no secret.
func TestStory(t *testing.T) {
	var out, journal bytes.Buffer
	if err := run(t.Context(), &out, &journal); err != nil {
		t.Fatal(err)
	}
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, shown, _ := strings.Cut(string(doc), "the answer:\n//\n")
	shown, _, _ = strings.Cut(shown, "//\n")
	if shown = strings.ReplaceAll(shown, "//\t", ""); out.String() != shown {
		t.Errorf("it tells\n%s\nand the package comment\n%s", &out, shown)
	}

	audit, requests := readJournal(t, journal.String())
	want := []string{
		"auth.authorize grace fraud-v3 allow roles.analyst.allow[0]",
		"auth.authorize grace churn deny ",
		"auth.authorize grace fraud-internal deny roles.analyst.deny[0]",
		"auth.authorize grace fraud-v3 deny ",
		"auth.authorize grace fraud-v3 allow roles.analyst.allow[0]",
		"auth.authorize grace churn deny ",
		"auth.authorize etl churn allow roles.nightly.allow[0]",
		"auth.authorize etl  deny ", // the ambiguous path
		"auth.authenticate    ",
		"auth.authenticate    ",
	}
	if !slices.Equal(audit, want) {
		t.Errorf("the audit is\n%s\nwant\n%s", strings.Join(audit, "\n"), strings.Join(want, "\n"))
	}
	if calls := strings.Count(out.String(), "\n"); requests != calls {
		t.Errorf("%d requests are in the log, and %d calls were made", requests, calls)
	}
	for _, secret := range []string{keyPrefix, "eyJ"} {
		if strings.Contains(journal.String(), secret) {
			t.Errorf("%s… is in the log:\n%s", secret, &journal)
		}
	}
}

// readJournal returns the audit's records, and the number of requests.
func readJournal(t *testing.T, journal string) (audit []string, requests int) {
	t.Helper()
	for line := range strings.Lines(journal) {
		var r struct{ Logger, Message, Subject, Resource, Decision, Rule string }
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		switch {
		case r.Logger == "audit":
			audit = append(audit, strings.Join([]string{r.Message, r.Subject, r.Resource, r.Decision, r.Rule}, " "))
		case r.Message == "request":
			requests++
		}
	}
	return audit, requests
}

func TestRunEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, io.Discard, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestIssuerChecksThePassword(t *testing.T) {
	issuer, err := newIssuer("right")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(issuer)
	defer server.Close()
	for _, c := range [][2]string{{"grace", "wrong"}, {"ada", "right"}, {"", ""}, {"grace", ""}} {
		_, err := passwordSource(server.URL, c[0], c[1], "").Token(t.Context())
		if err == nil || !strings.Contains(err.Error(), "403") {
			t.Errorf("%q: %v", c, err)
		}
	}
	_, err = passwordSource(server.URL, "grace", "right", "%22").Token(t.Context()) // no scope
	if err == nil || !strings.Contains(err.Error(), "400") {
		t.Errorf("%v", err)
	}
}

func TestBodies(t *testing.T) {
	log, err := logging.New(logging.Config{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	key := auth.GenerateAPIKey(keyPrefix)
	service, err := newService(authjwt.NewKeyring(nil), []auth.APIKey{{Hash: auth.HashAPIKey(key), Owner: "etl", Roles: []string{"nightly"}}}, log)
	if err != nil {
		t.Fatal(err)
	}
	for body, want := range map[string]int{
		`{"model":"churn"}`: http.StatusOK,
		`{"model":"a/b"}`:   http.StatusForbidden,
		`{"model":""}`:      http.StatusForbidden,
		`{}`:                http.StatusForbidden,
		`{"model":1}`:       http.StatusBadRequest,
		``:                  http.StatusBadRequest,
		`{"model":"` + strings.Repeat("x", 1<<20) + `"}`: http.StatusBadRequest,
	} {
		r := httptest.NewRequest("POST", "/v1/predict", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+key)
		w := httptest.NewRecorder()
		service.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("%.40s: %d, want %d", body, w.Code, want)
		}
	}
}

// A policy has tests like a program.
func TestPolicy(t *testing.T) {
	policy, err := authrbac.New(authrbac.Config{Document: policyYAML, ToJSON: yaml.YAMLToJSONStrict})
	if err != nil {
		t.Fatal(err)
	}
	analyst := &auth.Principal{Subject: "grace", Issuer: issuerName, Method: auth.MethodJWT, Roles: []string{"analyst"}, Scopes: []string{"models"}}
	nightly := &auth.Principal{Subject: "etl", Method: auth.MethodAPIKey, Roles: []string{"nightly"}}
	stranger := &auth.Principal{Subject: "eve", Issuer: "https://id.example.com", Method: auth.MethodJWT, Roles: []string{"nightly", "analyst"}, Scopes: []string{"models"}}
	for _, c := range []struct {
		p        *auth.Principal
		resource string
		allowed  bool
	}{
		{analyst, "fraud-v3", true},
		{analyst, "fraud-internal", false},
		{analyst, "churn", false},
		{nightly, "churn", true},
		{nightly, "fraud-internal", true},
		{stranger, "fraud-v3", false},
	} {
		if e := policy.Explain(c.p, "predict", c.resource); e.Allowed != c.allowed {
			t.Errorf("allowed: %v\n%v", e.Allowed, e)
		}
	}
}

// What a YAML reader might pass over in silence is an error.
func TestPolicyIsReadStrictly(t *testing.T) {
	for name, c := range map[string]struct{ document, want string }{
		"there twice":    {string(policyYAML) + "trust: [{methods: [jwt]}]\n", "Config.ToJSON"},
		"twice, deep":    {strings.Replace(string(policyYAML), "scopes:", "actions: [x]\n        scopes:", 1), "Config.ToJSON"},
		"second part":    {string(policyYAML) + "---\nroles: {}\n", "goes on behind a line of ---"},
		"star":           {strings.Replace(string(policyYAML), `["*"]`, "[*]", 1), "Config.ToJSON"},
		"misspelt":       {strings.Replace(string(policyYAML), "deny:", "denied:", 1), "roles.analyst.denied: unknown"},
		"nothing":        {strings.Replace(string(policyYAML), `["fraud-*"]`, "", 1), "roles.analyst.allow[0].resources: null"},
		"not a string":   {strings.Replace(string(policyYAML), "[predict]", "[yes]", 1), "roles.analyst.allow[0].actions[0]: true or false"},
		"no version":     {strings.Replace(string(policyYAML), "version: 1", "", 1), "version: missing"},
		"empty":          {"# nothing\n", "the document is null"},
		"only a version": {"version: 1\n", "roles: missing"},
	} {
		_, err := authrbac.New(authrbac.Config{Document: []byte(c.document), ToJSON: yaml.YAMLToJSONStrict})
		if err == nil || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %v, want %s", name, err, c.want)
		}
	}
}
