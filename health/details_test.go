package health_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/health"
)

// fromInside lets those see details whose requests say that they may.
func fromInside(r *http.Request) bool { return r.Header.Get("Inside") != "" }

// ask asks a handler as somebody from inside or not.
func ask(handler http.Handler, target, accept string, inside bool) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	if accept != "" {
		r.Header.Set("Accept", accept)
	}
	if inside {
		r.Header.Set("Inside", "1")
	}
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	return w
}

const secret = "dial tcp 10.1.2.3:6379: connection refused\n[+]forged ok\u2028\x1b[31m"

// detailed has one check of each kind and outcome.
func detailed(t *testing.T) *health.Health {
	h := start(t, health.Config{
		Startup: []health.Check{{Name: "model", Func: pass}},
		Readiness: []health.Check{
			{Name: "gpu", Func: pass},
			{Name: "disk", Func: failing(errors.New(secret)).check, Interval: time.Second},
		},
		Dependencies: []health.Dependency{{Name: "redis", Func: failing(errors.New(secret)).check}},
		Liveness:     []health.LivenessCheck{{Name: "loop", Func: func() error { return nil }}},
		Verbose:      fromInside,
		DrainDelay:   -1,
	})
	synctest.Wait()
	return h
}

func TestVerboseAndExclude(t *testing.T) {
	const why = "dial tcp 10.1.2.3:6379: connection refused [+]forged ok  [31m"
	const ready = "[+]model ok\n[+]gpu ok\n[-]disk failed: " + why + "\n[-]redis degraded: " + why + "\n"
	synctest.Test(t, func(t *testing.T) {
		h := detailed(t)
		for _, test := range []struct {
			handler http.Handler
			query   string
			code    int
			want    string
		}{
			{h.ReadyHandler(), "?verbose", 503, ready + "readyz check failed\n"},
			{h.Handler(), "?verbose=1&other", 503, ready + "readyz check failed\n"},
			{h.ReadyHandler(), "?verbose&exclude=disk", 200,
				strings.Replace(ready, "[-]disk failed: "+why, "[+]disk excluded: ok", 1) + "readyz check passed, degraded\n"},
			{h.ReadyHandler(), "?verbose&exclude=disk&exclude=redis&exclude=no%0a1", 200,
				"[+]model ok\n[+]gpu ok\n[+]disk excluded: ok\n[+]redis excluded: ok\n" +
					"warn: some health checks cannot be excluded: no matches for \"no\\n1\"\nreadyz check passed\n"},
			{h.ReadyHandler(), "?exclude=disk", 200, `{"status":"degraded"}`},
			{h.ReadyHandler(), "?exclude=disk&exclude=redis", 200, `{"status":"healthy"}`},
			{h.ReadyHandler(), "?exclude=redis", 503, `{"status":"unhealthy"}`},
			{h.LiveHandler(), "?verbose", 200, "[+]loop ok\nlivez check passed\n"},
			{h.StartupHandler(), "?verbose", 200, "[+]model ok\nstartupz check passed\n"},
		} {
			w := ask(test.handler, "/"+test.query, "", true)
			if w.Code != test.code || w.Body.String() != test.want {
				t.Errorf("%s: %d\n%q, want %d\n%q", test.query, w.Code, w.Body, test.code, test.want)
			}
			if strings.Contains(test.query, "verbose") {
				if got := w.Header().Get("Content-Type"); got != "text/plain; charset=utf-8" {
					t.Errorf("%s: Content-Type %q", test.query, got)
				}
			}
			if w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s may be cached", test.query)
			}
		}
		if err := h.Drain(t.Context()); err != nil {
			t.Error(err)
		}
		w := ask(h.ReadyHandler(), "/?verbose&exclude=disk&exclude=shutdown", "", true)
		if w.Code != 503 || !strings.Contains(w.Body.String(), "[-]shutdown failed: health: draining\n") {
			t.Errorf("draining: %d %s", w.Code, w.Body)
		}
		h.Fatal(io.ErrNoProgress)
		for _, handler := range []http.Handler{h.ReadyHandler(), h.LiveHandler()} {
			w := ask(handler, "/?verbose&exclude=fatal", "", true)
			if w.Code != 503 || !strings.Contains(w.Body.String(), "[-]fatal failed: health: fatal: "+io.ErrNoProgress.Error()+"\n") {
				t.Errorf("fatal: %d %s", w.Code, w.Body)
			}
		}
		if w := ask(h.StartupHandler(), "/?verbose", "", true); w.Code != 200 {
			t.Errorf("startup does not go back: %d %s", w.Code, w.Body)
		}
	})
}

// Whoever is not let see gets, with any query and any Accept, what everybody gets.
func TestDetailsAreGuarded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		guarded := detailed(t)
		open := start(t, health.Config{Readiness: []health.Check{{Name: "disk", Func: failing(errors.New(secret)).check}}})
		synctest.Wait()
		for name, h := range map[string]*health.Health{"not from inside": guarded, "without Verbose": open} {
			for _, query := range []string{"", "?verbose", "?exclude=disk", "?verbose&exclude=disk", "?exclude=disk&exclude=redis"} {
				inside := name == "without Verbose"
				if w := ask(h.ReadyHandler(), "/"+query, "", inside); w.Code != 503 || w.Body.String() != `{"status":"unhealthy"}` {
					t.Errorf("%s: %s: %d %s", name, query, w.Code, w.Body)
				}
				w := ask(h.ReadyHandler(), "/"+query, "application/health+json", inside)
				if w.Code != 503 || w.Body.String() != `{"status":"fail"}` || w.Header().Get("Content-Type") != "application/health+json" {
					t.Errorf("%s: %s: %d %s", name, query, w.Code, w.Body)
				}
			}
		}
	})
}

func TestHealthJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := detailed(t)
		w := ask(h.Handler(), "/", "text/html;q=0.1, Application/Health+JSON ;q=0.9", true)
		var got struct {
			Status string
			Output string
			Checks map[string][]struct {
				ComponentType, Status, ObservedUnit, Output string
				ObservedValue                               *float64
				Time                                        time.Time
			}
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%v: %s", err, w.Body)
		}
		if w.Code != 503 || got.Status != "fail" || len(got.Checks) != 4 {
			t.Errorf("%d %+v", w.Code, got)
		}
		for name, want := range map[string][2]string{
			"model": {"startup", "pass"}, "gpu": {"readiness", "pass"}, "disk": {"readiness", "fail"}, "redis": {"dependency", "warn"},
		} {
			c := got.Checks[name]
			if len(c) != 1 || c[0].ComponentType != want[0] || c[0].Status != want[1] || c[0].ObservedUnit != "ms" ||
				c[0].ObservedValue == nil || !c[0].Time.Equal(time.Now()) || (c[0].Output == "") != (want[1] == "pass") {
				t.Errorf("%s: %+v", name, c)
			}
		}
		w = ask(h.Handler(), "/?exclude=disk", "application/health+json", true)
		if w.Code != 200 || !strings.Contains(w.Body.String(), `{"status":"warn"`) || strings.Contains(w.Body.String(), `"disk"`) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
		h.Fatal(io.ErrNoProgress)
		w = ask(h.LiveHandler(), "/", "application/health+json", true)
		if w.Code != 503 || !strings.Contains(w.Body.String(), `"output":"health: fatal: `) {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

func TestWantsHealthJSON(t *testing.T) {
	h := start(t, health.Config{})
	for accept, want := range map[string]bool{
		"application/health+json":           true,
		"a/b,application/health+json;q=0.5": true,
		"APPLICATION/HEALTH+JSON":           true,
		"application/health+json; q=0":      false,
		"application/health+json;Q=0.000":   false,
		"application/health+json;q=":        true,
		"application/health+jsonx":          false,
		"application/*":                     false,
		"*/*":                               false,
		"":                                  false,
	} {
		got := ask(h.Handler(), "/", accept, false).Header().Get("Content-Type")
		if (got == "application/health+json") != want {
			t.Errorf("Accept %q got %q", accept, got)
		}
	}
}

// FuzzDetails: nothing that a client sends lets it see more, and whoever may see
// gets an answer that is one.
func FuzzDetails(f *testing.F) {
	f.Add("verbose", "")
	f.Add("verbose&exclude=disk&exclude=%0a%00", "application/health+json;q=0.1")
	f.Add("exclude=disk;verbose", ",;,q=0")
	f.Fuzz(func(t *testing.T, query, accept string) {
		h := start(t, health.Config{
			Readiness: []health.Check{{Name: "disk", Func: failing(errors.New(secret)).check}},
			Verbose:   fromInside,
		})
		for !strings.Contains(h.Ready().Error(), "10.1.2.3") { // until the first result is there
			runtime.Gosched()
		}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = query
		r.Header.Set("Accept", accept)
		plain := httptest.NewRecorder()
		h.Handler().ServeHTTP(plain, r)
		if body := plain.Body.String(); plain.Code != 503 || body != `{"status":"unhealthy"}` && body != `{"status":"fail"}` {
			t.Fatalf("%d %q", plain.Code, body)
		}
		r.Header.Set("Inside", "1")
		full := httptest.NewRecorder()
		h.Handler().ServeHTTP(full, r)
		switch full.Header().Get("Content-Type") {
		case "text/plain; charset=utf-8":
			for line := range strings.Lines(full.Body.String()) {
				if strings.HasPrefix(line, "[+]forged") {
					t.Fatalf("a check's text wrote a line: %q", full.Body)
				}
			}
		default:
			if !json.Valid(full.Body.Bytes()) {
				t.Fatalf("%q", full.Body)
			}
		}
	})
}
