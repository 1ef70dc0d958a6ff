package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// outsiders are requests from elsewhere, each by one thing.
var outsiders = map[string]func(*http.Request){
	"another machine's":     func(r *http.Request) { r.RemoteAddr = "192.0.2.1:1234" },
	"of nobody":             func(r *http.Request) { r.RemoteAddr = "" },
	"through a proxy":       func(r *http.Request) { r.Header.Set("X-Forwarded-For", "127.0.0.1") },
	"through another proxy": func(r *http.Request) { r.Header.Set("Forwarded", "for=127.0.0.1") },
	"of a page":             func(r *http.Request) { r.Host = "attacker.example:8080" },
	"of a page by address":  func(r *http.Request) { r.Host = "192.0.2.1" },
	"of a page of no name":  func(r *http.Request) { r.Host = "" },
}

// locally asks from this machine, but for what change does.
func locally(h http.Handler, method, target, body string, change func(*http.Request)) (status int, answer string) {
	w, r := httptest.NewRecorder(), httptest.NewRequest(method, target, strings.NewReader(body))
	r.RemoteAddr, r.Host = "127.0.0.1:1234", "localhost:8080"
	change(r)
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func asIs(*http.Request) {}

func TestIsLocal(t *testing.T) {
	for peer, host := range map[string]string{"127.0.0.1:1": "localhost", "[::1]:1": "[::1]:8080", "[::ffff:127.0.0.9]:1": "127.0.0.1:8080"} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Host = peer, host
		if !isLocal(r) {
			t.Errorf("%s, which asks %s, is not local", peer, host)
		}
	}
}

// Who is on this machine sees the checks; nobody else learns of them.
func TestVerbose(t *testing.T) {
	s, _ := newTestService(t, "-redis-url=redis://127.0.0.1:1")
	h := s.handler()
	_, body := locally(h, "GET", "/readyz?verbose", "", asIs)
	for _, want := range []string{"[+]warm-up:digits-large ok\n", "[+]accuracy:digits-small ok\n", "[+]canary:digits-small ok\n", "[-]redis degraded: "} {
		if !strings.Contains(body, want) {
			t.Errorf("no %q: %s", want, body)
		}
	}
	for name, change := range outsiders {
		if status, body := locally(h, "GET", "/readyz?verbose&exclude=redis", "", change); status != 200 || body != `{"status":"degraded"}` {
			t.Errorf("a request %s: %d %s", name, status, body)
		}
	}
	page := read(t, ask(t, h, "GET", "/metrics", ""))
	for name, want := range map[string]float64{
		`health_ready`: 1, `health_state{state="degraded"}`: 1,
		`health_check_ok{check="redis",kind="dependency"}`:             0,
		`health_check_ok{check="warm-up:digits-small",kind="startup"}`: 1,
	} {
		if got := series(t, page, name); got != want {
			t.Errorf("%s is %v", name, got)
		}
	}
}

// Without authentication the level is for who is on this machine.
func TestLogLevelWithoutAuthentication(t *testing.T) {
	s, log := newTestService(t, "-rate-limit=1")
	h := s.handler()
	for range 2 { // nothing is left of this machine's limit
		locally(h, "GET", "/", "", asIs)
	}
	for name, change := range outsiders {
		for _, method := range []string{"GET", "PUT"} {
			if status, body := locally(h, method, "/debug/log-level", `{"level":"ERROR"}`, change); status != 403 || !strings.Contains(body, `"status":403`) {
				t.Errorf("%s %s: %d %s", method, name, status, body)
			}
		}
	}
	if got := s.logger.Level(); got != slog.LevelInfo {
		t.Fatalf("the level is %v", got)
	}
	if status, body := locally(h, "PUT", "/debug/log-level?for=10m", `{"level":"DEBUG"}`, asIs); status != 200 || !strings.Contains(body, `"until"`) {
		t.Errorf("%d %s", status, body)
	}
	if got := s.logger.Level(); got != slog.LevelDebug {
		t.Errorf("the level is %v", got)
	}
	if !strings.Contains(log.String(), `"message":"logging.level"`) {
		t.Errorf("the change is not audited: %s", log)
	}
}

// With authentication it is for whom the policy lets administer it, wherever they
// are, and for nobody else.
func TestLogLevelWithAuthentication(t *testing.T) {
	c := newSecured(t)
	alice, olga := c.mustLogin("alice"), c.mustLogin("olga")
	const body = `{"level":"WARN"}`
	if status, _ := locally(c.h, "PUT", "/debug/log-level", body, asIs); status != 401 {
		t.Errorf("nobody: %d", status)
	}
	if resp := c.do("PUT", "/debug/log-level", body, bearer(alice.Access)...); resp.StatusCode != 403 {
		t.Errorf("alice: %d", resp.StatusCode)
	}
	if got := c.s.logger.Level(); got != slog.LevelInfo {
		t.Fatalf("the level is %v", got)
	}
	if resp := c.do("PUT", "/debug/log-level", body, bearer(olga.Access)...); resp.StatusCode != 200 || c.s.logger.Level() != slog.LevelWarn {
		t.Errorf("olga: %d, and the level is %v", resp.StatusCode, c.s.logger.Level())
	}
}

// Without a policy whoever is authenticated may predict, and not administer.
func TestLogLevelWithoutPolicy(t *testing.T) {
	c := newSecured(t, "-auth-policy=")
	if resp := c.do("PUT", "/debug/log-level", `{"level":"WARN"}`, "X-API-Key", c.key); resp.StatusCode != 403 {
		t.Errorf("a key: %d", resp.StatusCode)
	}
}

func TestWarmUpSizes(t *testing.T) {
	for largest, want := range map[int][]int{1: {1}, 2: {1, 2}, 32: {1, 2, 4, 8, 16, 32}, 48: {1, 2, 4, 8, 16, 32, 48}} {
		got := warmUpSizes(largest)
		if len(got) != len(want) {
			t.Fatalf("%d: %v", largest, got)
		}
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%d: %v", largest, got)
			}
		}
	}
}

// What a model must do before the process has started, with the largest batches.
func TestWarmUp(t *testing.T) {
	held, err := digits.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := parseConfig([]string{"-max-batch=1024"}, nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := bare(t)
	s.cfg = cfg
	net, err := digits.Open(digits.Small, digits.Config{})
	if err != nil {
		t.Fatal(err)
	}
	s.models = map[string]*model{digits.Small: {net: net, held: held}}
	checks := s.healthConfig().Startup
	s.models = nil
	if len(checks) != 2 || checks[0].Name != "warm-up:digits-small" || checks[1].Name != "accuracy:digits-small" {
		t.Fatalf("%+v", checks)
	}
	for _, c := range checks {
		if err := c.Func(t.Context()); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}
