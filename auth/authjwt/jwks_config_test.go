package authjwt

import (
	"context"
	"strings"
	"testing"
	"time"
)

func TestNewJWKSRefuses(t *testing.T) {
	load := func(context.Context) ([]byte, error) { return nil, nil }
	for name, tt := range map[string]struct {
		cfg  JWKSConfig
		want []string
	}{
		"nothing":          {JWKSConfig{}, []string{"URL, Discovery, File and Load: exactly one must be set, not 0"}},
		"two":              {JWKSConfig{URL: "https://a.example/", Load: load}, []string{"exactly one must be set, not 2"}},
		"all":              {JWKSConfig{URL: "https://a.example/", Discovery: "https://a.example", File: "f", Load: load}, []string{"not 4"}},
		"http":             {JWKSConfig{URL: "http://user:passw0rd@a.example/"}, []string{"JWKSConfig.URL is not https", "InsecureAllowHTTP"}},
		"http to 10/8":     {JWKSConfig{URL: "http://10.0.0.1/"}, []string{"JWKSConfig.URL is not https"}},
		"http, like local": {JWKSConfig{URL: "http://localhost.example/"}, []string{"JWKSConfig.URL is not https"}},
		"file:":            {JWKSConfig{URL: "file:///etc/passwd"}, []string{"JWKSConfig.URL is not an absolute URL"}},
		"ftp":              {JWKSConfig{URL: "ftp://a.example/keys"}, []string{"JWKSConfig.URL is neither https nor http"}},
		"no host":          {JWKSConfig{URL: "https:///keys"}, []string{"JWKSConfig.URL is not an absolute URL"}},
		"relative":         {JWKSConfig{URL: "/keys"}, []string{"JWKSConfig.URL is not an absolute URL"}},
		"no URL":           {JWKSConfig{URL: "https://user:passw0rd@a.example:port/"}, []string{"JWKSConfig.URL is not an absolute URL"}},
		"issuer, http":     {JWKSConfig{Discovery: "http://a.example"}, []string{"JWKSConfig.Discovery is not https"}},
		"issuer, query":    {JWKSConfig{Discovery: "https://a.example/?x"}, []string{"JWKSConfig.Discovery has a query"}},
		"issuer, fragment": {JWKSConfig{Discovery: "https://a.example/#x"}, []string{"JWKSConfig.Discovery is not an absolute URL without a fragment"}},
		"below 0": {JWKSConfig{Load: load, RefreshInterval: -1, MinInterval: -1, Timeout: -1, MaxStale: -1},
			[]string{"JWKSConfig.RefreshInterval is below 0", "JWKSConfig.MinInterval is below 0", "JWKSConfig.Timeout is below 0", "JWKSConfig.MaxStale is below 0"}},
		"MinInterval": {JWKSConfig{Load: load, MinInterval: time.Hour}, []string{"JWKSConfig.MinInterval is above RefreshInterval: 1h0m0s, 10m0s"}},
		"MaxStale": {JWKSConfig{Load: load, RefreshInterval: 24 * time.Hour},
			[]string{"JWKSConfig.MaxStale is below RefreshInterval and Timeout together: 24h0m0s, 24h0m0s, 5s"}},
		"many": {JWKSConfig{URL: "http://a.example", File: "f", Timeout: -1},
			[]string{"not 2", "JWKSConfig.URL", "JWKSConfig.Timeout"}},
	} {
		j, err := NewJWKS(tt.cfg)
		if err == nil || j != nil {
			t.Errorf("%s: accepted", name)
			continue
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: the error is %q, want %q in it", name, err, want)
			}
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "authjwt: JWKSConfig.") || strings.Contains(line, "passw0rd") {
				t.Errorf("%s: the error is %q", name, line)
			}
		}
	}
}

func TestNewJWKSAccepts(t *testing.T) {
	for _, cfg := range []JWKSConfig{
		{URL: "https://a.example/keys?v=1"},
		{URL: "http://localhost:1/keys"},
		{URL: "http://LOCALHOST:1/keys"},
		{URL: "http://127.8.9.1:1/keys"},
		{URL: "http://[::1]:1/keys"},
		{URL: "http://a.example/keys", InsecureAllowHTTP: true},
		{Discovery: "https://a.example/realms/x"},
		{Discovery: "http://127.0.0.1:1"},
		{File: "does not exist yet"},
	} {
		newTestJWKS(t, newJWKSServer("a"), cfg)
	}
}

func TestJWKSDefaults(t *testing.T) {
	c := JWKSConfig{File: "f"}.withDefaults()
	if c.RefreshInterval != 10*time.Second || c.MinInterval != time.Second || c.Timeout != 5*time.Second || c.MaxStale != 24*time.Hour {
		t.Errorf("of File: %+v", c)
	}
	if c = (JWKSConfig{URL: "u"}).withDefaults(); c.RefreshInterval != 10*time.Minute {
		t.Errorf("of URL: %+v", c)
	}
}
