package breaker

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ballast-go/ballast/internal/problem"
)

// What a queue or a drain further in turns away says nothing of the service, as in
// package breakergrpc, whether or not it leaves at once; an outage does.
func TestMiddlewareIgnoresProtection(t *testing.T) {
	for reason, want := range map[string]Stats{
		"queue-full": {Ignored: 1}, "shed": {Ignored: 1}, "draining": {Ignored: 1},
		"auth-unavailable": {Failures: 1}, "unavailable": {Failures: 1}, "": {Failures: 1},
	} {
		for _, flush := range []bool{false, true} {
			b, err := New(Config{})
			if err != nil {
				t.Fatal(err)
			}
			h := Middleware(b, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				problem.Write(w, r, http.StatusServiceUnavailable, "", reason, 0)
				if flush {
					_ = http.NewResponseController(w).Flush()
				}
			}))
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
			if s := b.Stats(); s.Failures != want.Failures || s.Ignored != want.Ignored || s.Successes != 0 {
				t.Errorf("%q, flush %t: %d failures, %d ignored, %d successes", reason, flush, s.Failures, s.Ignored, s.Successes)
			}
		}
	}
}
