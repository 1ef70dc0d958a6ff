package main

import (
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestParseKeys(t *testing.T) {
	k, err := parseKeys("ann=sk-1, ann=sk-2,bob=a=b")
	if err != nil || len(k) != 3 {
		t.Errorf("%v %v", k, err)
	}
	if k, err := parseKeys(""); k != nil || err != nil {
		t.Errorf("%v %v", k, err)
	}
	_, err = parseKeys("sk-secret,ann=,=sk-secret,bob=sk-2,,cid=sk-secret 2")
	if err == nil || strings.Count(err.Error(), "is not name=key") != 5 || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

// Who has no key, or not one of those, gets no further.
func TestKeysAreNeeded(t *testing.T) {
	f := start(t, 1000, words(1), nil)
	for _, field := range []string{"", "Bearer", "Bearer ", "Basic sk-ann", "sk-ann", "Bearer sk-eve", "Bearer name:ann"} {
		req, _ := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/chat/completions", strings.NewReader(streamed))
		if field != "" {
			req.Header.Set("Authorization", field)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 401 || !strings.HasPrefix(resp.Header.Get("WWW-Authenticate"), "Bearer ") || resp.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %s %v", field, resp.Status, resp.Header)
		}
	}
	if n := f.metric(`http_requests_total{endpoint="/v1/chat/completions",method="POST",reason="",status="401"}`); n != "7" {
		t.Errorf("%s are counted", n)
	}
	if calls, _, _ := f.upstream.asked(); calls != 0 {
		t.Errorf("the upstream was asked %d times", calls)
	}
}

// One key has one budget, however it is written: what an upstream might take for
// it although it is another here is turned away.
func TestOneKeyOneBudget(t *testing.T) {
	f := start(t, 1000, words(1), func(c *config) { c.keys = nil })
	for _, tt := range []struct {
		fields []string
		status int
	}{
		{[]string{"Bearer sk-ann"}, 200},
		{[]string{"bearer   sk-ann "}, 200},
		{[]string{"Bearer sk-ann 1"}, 401},
		{[]string{"Bearer sk-ann\t1"}, 401},
		{[]string{"Bearer sk-ann,Bearer sk-eve"}, 401},
		{[]string{"Bearer sk-eve", "Bearer sk-ann"}, 401},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", f.url+"/v1/models", nil)
		req.Header["Authorization"] = tt.fields
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.status {
			t.Errorf("%q: %s", tt.fields, resp.Status)
		}
	}
	if keys := f.metric(`ratelimit_keys{limiter="requests"}`); keys != "1" {
		t.Errorf("there are %s budgets", keys)
	}
}

// The client's key goes upstream only if the upstream is to check it. It is in
// no log and no metric.
func TestKeysAreKeptSecret(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*config)
		sent   string
	}{
		{"known keys", nil, ""},
		{"known keys and one for upstream", func(c *config) { c.upstreamKey = "sk-up" }, "Bearer sk-up"},
		{"any key", func(c *config) { c.keys = nil }, "Bearer sk-ann"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := start(t, 1000, words(2), tt.change)
			f.must(streamed)
			_, _, header := f.upstream.asked()
			if got := header.Get("Authorization"); got != tt.sent {
				t.Errorf("the upstream got %q", got)
			}
			resp, err := http.Get(f.url + "/metrics")
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			page, _ := io.ReadAll(resp.Body)
			for _, secret := range []string{"sk-", "ann"} {
				if strings.Contains(string(page), secret) || strings.Contains(f.log.String(), secret) {
					t.Errorf("%q is in the metrics or in the log:\n%s", secret, f.log)
				}
			}
			if log := f.log.String(); !strings.Contains(log, `"route":"/v1/chat/completions"`) || !strings.Contains(log, `"status":200`) {
				t.Errorf("the log: %s", log)
			}
		})
	}
}

// Each name has a budget of its own.
func TestBudgetsAreApart(t *testing.T) {
	for name, change := range map[string]func(*config){"known keys": nil, "any key": func(c *config) { c.keys = nil }} {
		t.Run(name, func(t *testing.T) {
			f := start(t, 150, words(92), change)
			for i, key := range []string{"sk-ann", "sk-ann", "sk-bob", "sk-bob"} {
				req, _ := http.NewRequestWithContext(t.Context(), "POST", f.url+"/v1/chat/completions", strings.NewReader(streamed))
				req.Header.Set("Authorization", "Bearer "+key)
				req.Header.Set("Content-Type", "application/json")
				resp, err := http.DefaultClient.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if want := []int{200, 429}[i%2]; resp.StatusCode != want {
					t.Errorf("call %d: %s", i, resp.Status)
				}
			}
		})
	}
}
