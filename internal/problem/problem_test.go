package problem

import (
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"testing"
	"time"
)

func TestWrite(t *testing.T) {
	rec := httptest.NewRecorder()
	for _, name := range stale {
		rec.Header().Set(name, "left by the handler")
	}
	Write(rec, httptest.NewRequest("GET", "/", nil), http.StatusServiceUnavailable, `a "quoted" <detail>`, "queue-full", 1500*time.Millisecond)

	if rec.Code != http.StatusServiceUnavailable {
		t.Errorf("status = %d, want 503", rec.Code)
	}
	for name, want := range map[string]string{
		"Content-Type":           "application/problem+json",
		"Cache-Control":          "no-store",
		"X-Content-Type-Options": "nosniff",
	} {
		if got := rec.Header().Get(name); got != want {
			t.Errorf("%s = %q, want %q", name, got, want)
		}
	}
	for _, name := range stale {
		if got := rec.Header().Values(name); got != nil {
			t.Errorf("%s = %q is still there", name, got)
		}
	}
	if s, err := strconv.Atoi(rec.Header().Get("Retry-After")); err != nil || s < 2 || s > 3 {
		t.Errorf("Retry-After = %q, want 2 or 3", rec.Header().Get("Retry-After"))
	}
	var got map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"type": "about:blank", "title": "Service Unavailable", "status": 503.0,
		"detail": `a "quoted" <detail>`, "reason": "queue-full",
	}
	if len(got) != len(want) {
		t.Errorf("body = %v, want %v", got, want)
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("body[%q] = %v, want %v", k, got[k], v)
		}
	}
}

func TestWriteLeavesOutWhatIsEmpty(t *testing.T) {
	rec := httptest.NewRecorder()
	rec.Header().Set("Retry-After", "7")
	Write(rec, httptest.NewRequest("GET", "/", nil), http.StatusInternalServerError, "", "", 0)
	want := `{"type":"about:blank","title":"Internal Server Error","status":500}` + "\n"
	if got := rec.Body.String(); got != want {
		t.Errorf("body = %s, want %s", got, want)
	}
	if got := rec.Header().Get("Retry-After"); got != "7" {
		t.Errorf("Retry-After = %q, want the caller's own 7", got)
	}
}

func TestWriteSendsErrorsOnly(t *testing.T) {
	for status, want := range map[int]int{0: 500, 101: 500, 200: 500, 304: 500, 399: 500, 600: 500, 400: 400, 599: 599} {
		rec := httptest.NewRecorder()
		Write(rec, httptest.NewRequest("GET", "/", nil), status, "", "", 0)
		if rec.Code != want {
			t.Errorf("Write(%d) sent %d, want %d", status, rec.Code, want)
		}
	}
}

func TestWriteOverAServer(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		Write(w, r, http.StatusGatewayTimeout, "too late", "deadline", 0)
	}))
	defer srv.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, srv.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		res, err := srv.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Errorf("%s: %v", method, err)
		}
		if res.StatusCode != http.StatusGatewayTimeout || (len(b) > 0) != (method == http.MethodGet) {
			t.Errorf("%s: status %d, %d bytes", method, res.StatusCode, len(b))
		}
	}
}

func TestSeconds(t *testing.T) {
	tests := []struct {
		d        time.Duration
		min, max int64
	}{
		{-time.Second, 0, 0},
		{0, 0, 0},
		{1, 1, 2},
		{time.Second, 1, 2},
		{time.Second + 1, 2, 3},
		{8 * time.Second, 8, 11},
		{math.MaxInt64, math.MaxInt64/int64(time.Second) + 1, math.MaxInt64},
	}
	for _, tt := range tests {
		seen := make(map[int64]bool)
		for range 200 {
			s := Seconds(tt.d)
			seen[s] = true
			if s < tt.min || s > tt.max {
				t.Errorf("Seconds(%v) = %d, want %d to %d", tt.d, s, tt.min, tt.max)
			}
		}
		if tt.d > 0 && len(seen) == 1 {
			t.Errorf("Seconds(%v) has no jitter", tt.d)
		}
	}
}
