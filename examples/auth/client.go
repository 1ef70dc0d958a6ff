package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/auth/authjwt"
)

// tell makes calls and writes down what is answered.
func tell(ctx context.Context, out io.Writer, service string, callers map[string]auth.TokenSource) error {
	for _, c := range [][3]string{
		{"grace", "/v1/models/fraud-v3/predict", ""},
		{"grace", "/v1/models/churn/predict", ""},
		{"grace", "/v1/models/fraud-internal/predict", ""},
		{"grace, unscoped", "/v1/models/fraud-v3/predict", ""},
		{"grace", "/v1/predict", `{"model":"fraud-v3"}`},
		{"grace", "/v1/predict", `{"model":"churn"}`},
		{"etl, by key", "/v1/models/churn/predict", ""},
		{"etl, by key", "/v1/models/x%2f..%2fchurn/predict", ""},
		{"forged", "/v1/models/churn/predict", ""},
		{"nobody", "/v1/models/churn/predict", ""},
	} {
		r, err := http.NewRequestWithContext(ctx, "POST", service+c[1], strings.NewReader(c[2]))
		if err != nil {
			return err
		}
		var client http.Client
		if source := callers[c[0]]; source != nil {
			client.Transport = auth.NewTransport(nil, source, auth.TransportConfig{})
		}
		resp, err := client.Do(r)
		if err != nil {
			return err
		}
		_ = resp.Body.Close()
		line := fmt.Sprintf("%-17s%-44s%d %s", c[0], c[1]+" "+c[2], resp.StatusCode, resp.Header.Get("WWW-Authenticate"))
		fmt.Fprintln(out, strings.TrimSpace(line))
	}
	return nil
}

// passwordSource asks the issuer for a token, and again before that expires.
func passwordSource(issuer, name, password, scope string) auth.TokenSource {
	source, err := auth.NewReuse(auth.TokenSourceFunc(func(ctx context.Context) (auth.Token, error) {
		r, err := http.NewRequestWithContext(ctx, "POST", issuer+"/token?scope="+scope, nil)
		if err != nil {
			return auth.Token{}, err
		}
		r.SetBasicAuth(name, password)
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return auth.Token{}, err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return auth.Token{}, fmt.Errorf("the issuer says %s", resp.Status)
		}
		var tokens authjwt.Tokens
		err = json.NewDecoder(resp.Body).Decode(&tokens)
		return auth.Token{Value: tokens.AccessToken, ExpiresAt: time.Now().Add(time.Duration(tokens.ExpiresIn) * time.Second)}, err
	}), auth.ReuseConfig{})
	if err != nil {
		panic(err) // which only a mistake in here can cause
	}
	return source
}
