package retry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/internal/reqstate"
	"github.com/ballast-go/ballast/retry"
)

// through sends a request with h through a Middleware, and returns its context in
// the handler, or nil if that was not called.
func through(t testing.TB, ctx context.Context, cfg retry.MiddlewareConfig, h http.Header) (inner *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
	r.Header = h
	w = httptest.NewRecorder()
	retry.Middleware(cfg)(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		inner = r
		if r.Context().Err() != nil {
			t.Error("the context has ended before the handler")
		}
	})).ServeHTTP(w, r)
	return inner, w
}

func TestMiddlewareAttempt(t *testing.T) {
	for value, want := range map[string]int{
		"": 1, "0": 1, "1": 1, "2": 2, "0003": 3, "999999999": 999999999,
		"-2": 1, "+2": 1, " 2": 1, "2 ": 1, "2.0": 1, "0x2": 1, "two": 1, "1000000000": 1, "18446744073709551618": 1,
	} {
		inner, _ := through(t, t.Context(), retry.MiddlewareConfig{}, http.Header{retry.AttemptHeader: {value}})
		if n := retry.Attempt(inner.Context()); n != want {
			t.Errorf("%q: attempt %d, want %d", value, n, want)
		}
	}
	inner, _ := through(t, t.Context(), retry.MiddlewareConfig{}, http.Header{retry.AttemptHeader: {"2", "3"}})
	if n := retry.Attempt(inner.Context()); n != 1 {
		t.Errorf("sent twice: attempt %d, want 1", n)
	}
}

func TestMiddlewareDeadline(t *testing.T) {
	const none = -1
	synctest.Test(t, func(t *testing.T) {
		for _, tt := range []struct {
			sent          []string
			most, already time.Duration // MaxTimeout; the context's own
			want          time.Duration
		}{
			{nil, 0, 0, none},
			{nil, time.Second, 0, time.Second},
			{[]string{"250"}, 0, 0, 250 * time.Millisecond},
			{[]string{"250"}, time.Second, 0, 250 * time.Millisecond},
			{[]string{"5000"}, time.Second, 0, time.Second},
			{[]string{"5000"}, 0, time.Second, time.Second}, // never later
			{nil, time.Minute, time.Second, time.Second},
			{[]string{"999999999"}, 0, 0, 999999999 * time.Millisecond},
			{[]string{""}, 0, 0, none},
			{[]string{"-250"}, 0, 0, none},
			{[]string{"2.5"}, 0, 0, none},
			{[]string{"250ms"}, 0, 0, none},
			{[]string{"250", "250"}, 0, 0, none},
			{[]string{"9223372036854775807"}, 0, 0, none},
			{[]string{"18446744073709551866"}, time.Second, 0, time.Second},
		} {
			ctx, cancel := t.Context(), context.CancelFunc(func() {})
			if tt.already > 0 {
				ctx, cancel = context.WithTimeout(ctx, tt.already)
			}
			h := http.Header{}
			if tt.sent != nil {
				h[retry.TimeoutHeader] = tt.sent
			}
			inner, _ := through(t, ctx, retry.MiddlewareConfig{MaxTimeout: tt.most}, h)
			got := time.Duration(none)
			if deadline, ok := inner.Context().Deadline(); ok {
				got = time.Until(deadline)
				if tt.already != got && inner.Context().Err() != context.Canceled {
					t.Errorf("%q: the timer outlives the request", tt.sent)
				}
			}
			if got != tt.want {
				t.Errorf("%q, MaxTimeout %v, within %v: %v, want %v", tt.sent, tt.most, tt.already, got, tt.want)
			}
			cancel()
		}
	})
}

// Nobody waits: the handler need not begin.
func TestMiddlewareNoTimeLeft(t *testing.T) {
	for _, zero := range []string{"0", "000"} {
		inner, w := through(t, t.Context(), retry.MiddlewareConfig{MaxTimeout: time.Hour}, http.Header{retry.TimeoutHeader: {zero}})
		var doc struct{ Status int }
		if err := json.Unmarshal(w.Body.Bytes(), &doc); inner != nil || w.Code != 504 || err != nil || doc.Status != 504 ||
			w.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%q: %d %v %s", zero, w.Code, w.Header(), w.Body)
		}
	}
}

// An observer keeps the record of a request.
type observer struct{ reqstate.Record }

func (*observer) Begin(*reqstate.State, http.ResponseWriter, *http.Request) {}
func (o *observer) Finish(rec *reqstate.Record)                             { o.Record = *rec }

// A client must not be able to trip a breaker further out by a header of its own.
func TestMiddlewareRefusalIsNoFailure(t *testing.T) {
	for value, want := range map[string]bool{"0": true, "1000": false} {
		var o observer
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set(retry.TimeoutHeader, value)
		next := retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		reqstate.Serve(httptest.NewRecorder(), r, next, &o)
		if o.Refused != want {
			t.Errorf("%s ms: refused %v, want %v", value, o.Refused, want)
		}
	}
}

// Without fields the handler gets the request itself.
func TestMiddlewareLeavesPlainRequestsAlone(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	retry.Middleware(retry.MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, inner *http.Request) {
		if inner != r {
			t.Error("a copy")
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

// What the mux and the handler leave in the copy is found in the request, on every
// way out.
func TestMiddlewareCarriesBack(t *testing.T) {
	for _, panics := range []bool{false, true} {
		var form bytes.Buffer
		mw := multipart.NewWriter(&form)
		_ = mw.WriteField("a", "b")
		_ = mw.Close()
		r := httptest.NewRequest("POST", "/x/1", &form)
		r.Header.Set("Content-Type", mw.FormDataContentType())
		r.Header.Set(retry.TimeoutHeader, "1000")
		mux := http.NewServeMux()
		mux.HandleFunc("POST /x/{id}", func(_ http.ResponseWriter, r *http.Request) {
			if err := r.ParseMultipartForm(1 << 10); err != nil {
				t.Error(err)
			}
			if panics {
				panic(http.ErrAbortHandler)
			}
		})
		func() {
			defer func() {
				if v := recover(); (v == http.ErrAbortHandler) != panics {
					t.Errorf("recovered %v", v)
				}
			}()
			retry.Middleware(retry.MiddlewareConfig{})(mux).ServeHTTP(httptest.NewRecorder(), r)
		}()
		if r.Pattern != "POST /x/{id}" || r.MultipartForm == nil {
			t.Errorf("pattern %q, form %v", r.Pattern, r.MultipartForm)
		}
	}
}
