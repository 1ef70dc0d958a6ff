package logging

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func askLevel(t *testing.T, h http.Handler, method, target, body string) (int, levelState, http.Header) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, strings.NewReader(body)))
	var s levelState
	if w.Code == 200 {
		if err := json.Unmarshal(w.Body.Bytes(), &s); err != nil {
			t.Errorf("%v in %s", err, w.Body)
		}
	} else if w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("%s %s: %d %v", method, body, w.Code, w.Header())
	}
	return w.Code, s, w.Header()
}

func TestLevelHandler(t *testing.T) {
	l, buf := newTest(t, Config{})
	h := l.LevelHandler()
	if code, s, _ := askLevel(t, h, "GET", "/", ""); code != 200 || s.Level != "INFO" || s.Until != nil {
		t.Errorf("%d %+v", code, s)
	}
	for text, level := range map[string]slog.Level{"DEBUG": slog.LevelDebug, "warn": slog.LevelWarn, "INFO+2": 2, "ERROR-1": 7} {
		code, s, _ := askLevel(t, h, "PUT", "/", `{"level":"`+text+`"}`)
		if code != 200 || l.Level() != level || s.Level != level.String() {
			t.Errorf("%s: %d %+v, is %v", text, code, s, l.Level())
		}
		want(t, line(t, buf), map[string]any{"logger": "audit", "message": "logging.level", "to": level.String()})
	}
	l.SetLevel(slog.LevelWarn)
	for _, tt := range []struct {
		method, target, body string
		code                 int
	}{
		{"POST", "/", `{"level":"DEBUG"}`, 405},
		{"DELETE", "/", "", 405},
		{"PUT", "/", "", 400},
		{"PUT", "/", `DEBUG`, 400},
		{"PUT", "/", `{}`, 400},
		{"PUT", "/", `{"level":null}`, 400},
		{"PUT", "/", `{"level":-4}`, 400},
		{"PUT", "/", `{"level":"LOUD"}`, 400},
		{"PUT", "/", `{"level":"INFO+1000"}`, 400},
		{"PUT", "/", `{"level":"DEBUG","more":1}`, 400},
		{"PUT", "/", `{"level":"DEBUG"}{"level":"DEBUG"}`, 400},
		{"PUT", "/", `{"level":"` + strings.Repeat("x", 1024) + `"}`, 413},
		{"PUT", "/", `{"level":"DEBUG"}` + strings.Repeat(" ", 1024), 413},
		{"PUT", "/?for=x", `{"level":"DEBUG"}`, 400},
		{"PUT", "/?for=0s", `{"level":"DEBUG"}`, 400},
		{"PUT", "/?for=25h", `{"level":"DEBUG"}`, 400},
	} {
		code, _, header := askLevel(t, h, tt.method, tt.target, tt.body)
		if code != tt.code || l.Level() != slog.LevelWarn || buf.Len() != 0 {
			t.Errorf("%s %s %s: %d, level %v, logged %s", tt.method, tt.target, tt.body, code, l.Level(), buf)
		}
		if code == 405 && header.Get("Allow") != "GET, HEAD, PUT" {
			t.Error(header)
		}
	}
}

// A level that is set for a while goes back to what it was before the first such,
// and not over one that was set since.
func TestLevelForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, buf := newTest(t, Config{})
		h := l.LevelHandler()
		put := func(target, level string) levelState {
			_, s, _ := askLevel(t, h, "PUT", target, `{"level":"`+level+`"}`)
			return s
		}
		after := func(d time.Duration, want slog.Level) {
			t.Helper()
			time.Sleep(d) // in a bubble
			synctest.Wait()
			if l.Level() != want {
				t.Errorf("is %v, want %v", l.Level(), want)
			}
		}
		if s := put("/?for=10m", "DEBUG"); s.Until == nil || !s.Until.Equal(time.Now().Add(10*time.Minute)) {
			t.Errorf("%+v", s)
		}
		after(9*time.Minute, slog.LevelDebug)
		put("/?for=10m", "DEBUG-1") // once more
		after(9*time.Minute, slog.LevelDebug-1)
		after(time.Minute, slog.LevelInfo)
		if _, s, _ := askLevel(t, h, "GET", "/", ""); s.Level != "INFO" || s.Until != nil {
			t.Errorf("%+v", s)
		}

		all := lines(t, buf)
		want(t, all[len(all)-1], map[string]any{"logger": "audit", "message": "logging.level", "from": "DEBUG-1", "to": "INFO"})
		if len(all) != 3 {
			t.Errorf("%v", all)
		}

		put("/?for=10m", "DEBUG")
		l.SetLevel(slog.LevelError) // by somebody else
		after(time.Hour, slog.LevelError)

		put("/?for=10m", "DEBUG")
		l.SetLevel(slog.LevelDebug) // the same, but for good
		after(time.Hour, slog.LevelDebug)
		l.SetLevel(slog.LevelError)

		put("/?for=10m", "DEBUG")
		h = l.LevelHandler() // another one, of the same level
		put("/?for=20m", "WARN")
		after(time.Hour, slog.LevelError)

		put("/?for=10m", "DEBUG")
		put("/", "WARN") // for good
		after(time.Hour, slog.LevelWarn)
	})
}

// Many at once: the level is always one that somebody set, and at last that of the
// last to set it for good.
func TestLevelHandlerConcurrently(t *testing.T) {
	l, err := New(Config{Output: io.Discard})
	if err != nil {
		t.Fatal(err)
	}
	h := l.LevelHandler()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				askLevel(t, h, "PUT", "/?for=1ns", `{"level":"DEBUG"}`)
				if code, s, _ := askLevel(t, h, "GET", "/", ""); code != 200 || s.Level != "DEBUG" && s.Level != "INFO" {
					t.Errorf("%d %+v", code, s)
				}
			}
		})
	}
	wg.Wait()
	if askLevel(t, h, "PUT", "/", `{"level":"WARN"}`); l.Level() != slog.LevelWarn {
		t.Error(l.Level())
	}
}
