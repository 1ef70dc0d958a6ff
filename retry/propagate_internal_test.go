package retry

import (
	"context"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// FuzzTold compares with arithmetic that cannot overflow.
func FuzzTold(f *testing.F) {
	for _, v := range []string{"", "0", "1", "250", "-1", "+1", "1e3", "999999999", "1000000000", "9223372036854775808", "٣", " 1"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		n, ok := told(http.Header{TimeoutHeader: {v}}, TimeoutHeader)
		want, isNumber := new(big.Int).SetString(v, 10)
		isNumber = isNumber && strings.Trim(v, "0123456789") == "" && len(v) <= maxDigits
		if ok != isNumber || ok && big.NewInt(int64(n)).Cmp(want) != 0 {
			t.Errorf("told(%q) = %d, %v; want %v, %v", v, n, ok, want, isNumber)
		}
		if _, ok := told(http.Header{TimeoutHeader: {v, v}}, TimeoutHeader); ok {
			t.Errorf("told(%q, twice) is not ignored", v)
		}
	})
}

// FuzzMiddleware: whatever is sent, there is a handler's answer or 504, the attempt
// is at least 1, and no deadline gets later.
func FuzzMiddleware(f *testing.F) {
	f.Add("2", "250")
	f.Add("-1", "0")
	f.Add("99999999999999999999", "99999999999999999999")
	const limit = time.Hour
	f.Fuzz(func(t *testing.T, attempt, timeout string) {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		own, _ := ctx.Deadline()
		r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
		r.Header = http.Header{AttemptHeader: {attempt}, TimeoutHeader: {timeout}}
		w, called := httptest.NewRecorder(), false
		Middleware(MiddlewareConfig{})(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = true
			if deadline, ok := r.Context().Deadline(); !ok || deadline.After(own) || Attempt(r.Context()) < 1 {
				t.Errorf("deadline %v (own: %v), attempt %d", deadline, own, Attempt(r.Context()))
			}
		})).ServeHTTP(w, r)
		if called == (w.Code == http.StatusGatewayTimeout) {
			t.Errorf("handler called: %v, status %d", called, w.Code)
		}
	})
}

// A request that is answered at once, and has nothing to tell, costs no allocation
// whatever it might become.
func TestTransportFirstTryAllocatesNothing(t *testing.T) {
	if raceEnabled {
		return // the race detector allocates
	}
	resp := &http.Response{StatusCode: 200, Body: http.NoBody}
	base := roundTripFunc(func(*http.Request) (*http.Response, error) { return resp, nil })
	r, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	rt := NewTransport(base, r, TransportConfig{})
	for _, method := range []string{"GET", "POST"} {
		req := httptest.NewRequest(method, "http://backend.test/", strings.NewReader("body"))
		req.GetBody = func() (io.ReadCloser, error) { return http.NoBody, nil }
		if n := testing.AllocsPerRun(100, func() { _, _ = rt.RoundTrip(req) }); n > 0 {
			t.Errorf("%s: %v allocations", method, n)
		}
	}
}

type roundTripFunc func(*http.Request) (*http.Response, error)

func (f roundTripFunc) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
