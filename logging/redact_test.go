package logging

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// The canary is a secret that no output may have.
const canary = "hunter2-canary"

type credentials struct {
	User     string
	Password string
	APIKey   string `json:"api_key"`
	Nested   map[string]any
}

type dbURL string

func (dbURL) Redacted() string { return "db://…" }

// A secret is redacted by its name wherever the name stands, and by its type.
func TestRedaction(t *testing.T) {
	link, err := url.Parse("https://alice:" + canary + "@h.example/p?q=1&access_token=" + canary + ";sig=" + canary + "&empty&API-Key=" + canary + "#token=" + canary)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]any{
		"struct":    credentials{User: "alice", Password: canary, APIKey: canary, Nested: map[string]any{"list": []any{map[string]string{"Client-Secret": canary}}}},
		"header":    http.Header{"Authorization": {"Bearer " + canary}, "X-Api-Key": {canary, canary}, "Accept": {"a"}},
		"raw":       json.RawMessage(`{"pass\u0077ord":{"a":["` + canary + `}",1]},"t\u006fken":"\"` + canary + `","n":[{"cookie":["` + canary + `"]}],"last":true}`),
		"url":       link,
		"urlcopy":   *link,
		"user":      link.User,
		"usercopy":  *link.User,
		"dsn_of":    dbURL(canary),
		"valuer":    secret(canary),
		"cookie_of": &http.Cookie{Name: "s", Value: canary},
		"cookies":   []*http.Cookie{{Name: "s", Value: canary}},
		"private":   ed25519.PrivateKey(canary),
		"geterr":    fmt.Errorf("calling: %w", &url.Error{Op: "Get", URL: link.String(), Err: errors.New("EOF")}),
	}
	for _, schema := range schemas {
		for _, format := range []Format{JSON, Console} {
			l, buf := newTest(t, Config{Schema: schema, Format: format, RedactKeys: []string{"X-Pin", "ключ"}})
			log := l.Slog()
			for _, name := range []string{"password", "db_password", "tenants.passwords", "API_KEYS", "X-Vault-Token", "HF_TOKEN", "AWSSecretAccessKey_secret", "X-API-KEY", "Set-Cookie", "accessToken", "http.request.header.authorization", "x_pin", "xPIN", "ключ"} {
				log.With(name, canary).WithGroup("g").With(name, []string{canary}).Info("x", name, 987654321987, slog.Group("h", name, map[string]any{name: canary}), slog.Group(name, "a", canary))
			}
			for name, v := range values {
				log.Info("x", name, v, slog.Group("g", name, v))
			}
			if strings.Contains(buf.String(), canary) || strings.Contains(buf.String(), "987654321987") {
				t.Errorf("%v %v: %s", schema, format, buf)
			}
		}
	}
	l, buf := newTest(t, Config{})
	for name, want := range map[string]string{
		"struct":  `{"User":"alice","Password":"[redacted]","api_key":"[redacted]","Nested":{"list":[{"Client-Secret":"[redacted]"}]}}`,
		"header":  `{"Accept":["a"],"Authorization":"[redacted]","X-Api-Key":"[redacted]"}`,
		"raw":     `{"pass\u0077ord":"[redacted]","t\u006fken":"[redacted]","n":[{"cookie":"[redacted]"}],"last":true}`,
		"url":     `"https://alice:xxxxx@h.example/p?q=1&access_token=[redacted];sig=[redacted]&empty&API-Key=[redacted]#token=[redacted]"`,
		"user":    `"[redacted]"`,
		"private": `"[redacted]"`,
		"geterr":  `"calling: Get \"https://alice:xxxxx@h.example/p?q=1&access_token=[redacted];sig=[redacted]&empty&API-Key=[redacted]#token=[redacted]\": EOF"`,
		"dsn_of":  `"db://…"`,
	} {
		buf.Reset()
		l.Slog().Info("x", name, values[name])
		if !strings.Contains(buf.String(), `"`+name+`":`+want+"}") {
			t.Errorf("%s: %s", name, buf)
		}
	}
}

// What only looks like a secret stays.
func TestNoRedaction(t *testing.T) {
	l, buf := newTest(t, Config{})
	names := []string{"tokens", "prompt_tokens", "time_to_first_token", "token_count", "max_token_len", "model_id", "key", "id", "e", "authorized", "signature", "code", "secretary", "design", "cookies_accepted"}
	for _, name := range names {
		l.Slog().Info("x", name, "kept", "v", map[string]string{name: "kept"})
		if m := line(t, buf); m[name] != "kept" || fmt.Sprint(m["v"]) != "map["+name+":kept]" {
			t.Errorf("%s: %v", name, m)
		}
	}
	plain, _ := url.Parse("http://a.example/%2f?x=%20&y#frag")
	l.Slog().Info("x", "u", plain)
	if got := line(t, buf)["u"]; got != plain.String() {
		t.Errorf("%v", got)
	}
}

// The look at two letters passes nothing that a search without it finds.
func TestRedactorAgainstTheNaive(t *testing.T) {
	r := newRedactor([]string{"pi-n", "q", "Ω"})
	naive := func(name string) bool {
		last := name[strings.LastIndexByte(name, '.')+1:]
		for _, n := range []string{name, last} {
			folded := string(normalize(nil, n))
			if slices.Contains(append(secretNames[:], "pin", "q", "Ω"), folded) {
				return true
			}
			for _, end := range secretEnds {
				if strings.HasSuffix(folded, end) {
					return true
				}
			}
		}
		return false
	}
	try := func(name string) {
		if got := r.secret(name); got != naive(name) {
			t.Errorf("%q: %v", name, got)
		}
	}
	for _, base := range append(append(secretNames[:], secretEnds[:]...), "pin", "pi-n", "q", "Ω", "tokens", "count") {
		for _, before := range []string{"", "x", "x.", "x-", "a.b.", "_"} {
			for _, after := range []string{"", "s", "_", ".x", "-", "."} {
				try(before + base + after)
				try(strings.ToUpper(before + base + after))
				if len(base) > 3 {
					try(before + base[:3] + "_" + base[3:] + after)
					try(before + base[:len(base)-1] + "-" + base[len(base)-1:] + after)
				}
			}
		}
	}
	if _, err := New(Config{RedactKeys: []string{"--"}}); err == nil || !strings.Contains(err.Error(), "Config.RedactKeys") {
		t.Error(err)
	}
}

// Whatever JSON a value is, it stays the same JSON but for the secrets, and a
// parser agrees with the walker on what those are.
func FuzzRedactJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"token":{"b":"}"}},"\\\"",null],"password":"x","c":-1e5}`))
	f.Add([]byte(`[{"":""},{"cook\u0069e":[[]]}]`))
	f.Add([]byte("\"\u202e\\u0000\xff\""))
	r := newRedactor(nil)
	var strip func(v any) any
	strip = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				if r.secret(name) {
					v[name] = redacted
				} else {
					v[name] = strip(v[name])
				}
			}
		case []any:
			for i := range v {
				v[i] = strip(v[i])
			}
		}
		return v
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if !json.Valid(src) {
			return
		}
		compact, err := json.Marshal(json.RawMessage(src))
		if err != nil {
			return
		}
		out := r.json(nil, compact)
		clean(t, out)
		if !json.Valid(out) {
			t.Fatalf("%q became %q", src, out)
		}
		var got, want any
		if err := json.Unmarshal(src, &want); err != nil {
			return // such as a number out of range
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q became %q: %v", src, out, err)
		}
		if g, w := fmt.Sprint(got), fmt.Sprint(strip(want)); g != w {
			t.Errorf("%q became %q: %s, want %s", src, out, g, w)
		}
	})
}

// The errors of url.Parse and of HTTP clients quote URLs, several in a tree that a
// retry has joined, and panics are such errors as well.
func TestURLErrors(t *testing.T) {
	refused := func(raw string) error {
		_, err := (&http.Client{Transport: roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("refused") })}).Get(raw)
		return err
	}
	parse := func(raw string) error {
		_, err := url.Parse(raw)
		return err
	}
	first, second := refused("http://h.example/?a=1&token="+canary), refused("http://h.example/?b=2&token="+canary)
	all := make([]error, maxErrors+1)
	for i := range all {
		all[i] = second
	}
	for want, err := range map[string]error{
		`quoted: Get "http://h.example/?a="&token=[redacted]": refused`: fmt.Errorf("quoted: %w", refused(`http://h.example/?a="&token=`+canary)),
		`parse "[redacted]"`:                  parse("postgres://user:" + canary + "#x@h.example/db"),
		`query: parse "[redacted]", at start`: fmt.Errorf("query: %w, at start", parse("http://h.example/%zz?token="+canary)),
		"Get \"http://h.example/?a=1&token=[redacted]\": refused\nGet \"http://h.example/?b=2&token=[redacted]\": refused": errors.Join(first, second),
		`Get "http://h.example/?c=3": Get "http://h.example/?a=1&token=[redacted]": refused`:                               &url.Error{Op: "Get", URL: "http://h.example/?c=3", Err: first},
		redacted: errors.Join(all...),
	} {
		l, buf := newTest(t, Config{})
		l.Slog().Info("x", "failure", err)
		l.WritePanic(t.Context(), "GET", err, nil)
		if strings.Contains(buf.String(), canary) {
			t.Errorf("%v: %s", err, buf)
		}
		want = strings.ReplaceAll(want, `="&`, `=\"&`)
		if got := lines(t, buf); got[0]["failure"] != want || !strings.HasPrefix(got[1]["exception"].(string), "panic: "+limit(want, 100)) {
			t.Errorf("got %q\nwant %q", got[0]["failure"], want)
		}
	}
}
