package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/auth"
)

func TestMiddlewareCookie(t *testing.T) {
	h := auth.Middleware(new(caller), auth.MiddlewareConfig{Cookie: "session"})(greet)
	for _, tt := range []struct {
		name   string
		fields []string
		status int
		body   string
		code   string
	}{
		{"none", []string{"Cookie", "theme=dark"}, 401, "", ""},
		{"one", []string{"Cookie", "theme=dark; session=alice; a=b"}, 200, "alice", ""},
		{"one in two fields", []string{"Cookie", "theme=dark", "Cookie", "session=alice"}, 200, "alice", ""},
		{"beside Basic", []string{"Cookie", "session=alice", "Authorization", "Basic YTpi"}, 200, "alice", ""},
		{"of another name", []string{"Cookie", "Session=alice; xsession=alice; session2=alice"}, 401, "", ""},
		{"two", []string{"Cookie", "session=alice; session=bob"}, 401, "", "invalid_request"},
		{"two in two fields", []string{"Cookie", "session=alice", "Cookie", "session=bob"}, 401, "", "invalid_request"},
		{"one that net/http passes over", []string{"Cookie", "session=alice; session=b\\b"}, 401, "", "invalid_request"},
		{"beside a token", []string{"Cookie", "session=alice", "Authorization", "Bearer alice"}, 401, "", "invalid_request"},
		{"empty", []string{"Cookie", "session="}, 401, "", "invalid_token"},
		{"without a value", []string{"Cookie", "session"}, 401, "", "invalid_token"},
		{"long", []string{"Cookie", "session=" + strings.Repeat("a", 16<<10+1)}, 401, "", "invalid_token"},
		{"bad", []string{"Cookie", "session=bad"}, 401, "", "invalid_token"},
	} {
		w := do(h, tt.fields...)
		challenge := w.Header().Get("WWW-Authenticate")
		if w.Code != tt.status || tt.code != "" && challenge != `Bearer error="`+tt.code+`"` || tt.code == "" && tt.status == 401 && challenge != "Bearer" {
			t.Errorf("%s: %d %q, want %d %q", tt.name, w.Code, challenge, tt.status, tt.code)
		}
		if tt.status == 200 && w.Body.String() != tt.body {
			t.Errorf("%s: %q", tt.name, w.Body)
		}
	}
}

// Browsers send cookies along with what other origins make them send. Where that is
// what a request is known by, it may change nothing.
func TestMiddlewareCookieCrossOrigin(t *testing.T) {
	trusted := http.NewCrossOriginProtection()
	if err := trusted.AddTrustedOrigin("https://app.example"); err != nil {
		t.Fatal(err)
	}
	var failed int
	cfg := auth.MiddlewareConfig{Cookie: "session", AllowAnonymous: true, Failed: func(*http.Request, error) { failed++ }}
	for _, tt := range []struct {
		name, method string
		fields       []string
		status       int // trusting nobody
		trusting     int // trusting app.example
	}{
		{"read", "GET", []string{"Sec-Fetch-Site", "cross-site"}, 200, 200},
		{"write from here", "POST", []string{"Sec-Fetch-Site", "same-origin"}, 200, 200},
		{"write by no browser", "POST", nil, 200, 200},
		{"write from there", "POST", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403, 403},
		{"write from a sibling", "DELETE", []string{"Sec-Fetch-Site", "same-site", "Origin", "https://app.example"}, 403, 200},
		{"old browser", "PUT", []string{"Origin", "https://evil.example"}, 403, 403},
		{"old browser, from here", "PUT", []string{"Origin", "https://a.example"}, 200, 200},
		{"WebSocket from there", "GET", []string{"Upgrade", "websocket", "Origin", "https://evil.example"}, 403, 403},
		{"WebSocket from a sibling", "GET", []string{"Upgrade", "websocket", "Origin", "https://app.example"}, 403, 200},
		{"WebSocket from here", "GET", []string{"Upgrade", "websocket", "Origin", "https://a.example"}, 200, 200},
	} {
		for _, protection := range []*http.CrossOriginProtection{nil, trusted} {
			cfg.CrossOrigin = protection
			var err error
			cfg.Deny = func(w http.ResponseWriter, r *http.Request, e error) { err = e; auth.WriteError(w, r, e) }
			h := auth.Middleware(new(caller), cfg)(greet)
			send := func(cookie string) int {
				r := httptest.NewRequest(tt.method, "https://a.example/", nil)
				for i := 0; i < len(tt.fields); i += 2 {
					r.Header.Set(tt.fields[i], tt.fields[i+1])
				}
				if cookie != "" {
					r.Header.Set("Cookie", cookie)
				} else {
					r.Header.Set("Authorization", "Bearer alice")
				}
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				return w.Code
			}
			want := tt.status
			if protection != nil {
				want = tt.trusting
			}
			if got := send("session=alice"); got != want || want == 403 && !errors.Is(err, auth.ErrForbidden) {
				t.Errorf("%s: %d, %v; want %d", tt.name, got, err, want)
			}
			if got := send(""); got != 200 {
				t.Errorf("%s: %d for a token that no browser adds by itself", tt.name, got)
			}
		}
	}
	if failed != 0 {
		t.Errorf("%d told to Failed: the credentials were good", failed)
	}
}
