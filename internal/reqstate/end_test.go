package reqstate

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"
)

// Goroutines that outlive a request do with its State, and with a request that they
// share, all that there is to do while it ends (this is for the race detector).
func TestEverythingAtTheEnd(t *testing.T) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	for range 50 {
		var late sync.WaitGroup
		o := newRecorder()
		inside := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s := FromContext(r.Context())
			sub := r.WithContext(WithoutState(r.Context()))
			for i := range 8 {
				late.Go(func() {
					for range 20 {
						s.AddAttrs(slog.Int("a", i))
						s.SetValues(context.WithValue(s.Parent(), PrincipalKey{}, i))
						s.SetPrincipal(i, "caller")
						s.SetReason("shed")
						s.SetSubject("caller")
						s.SetRequestID("id")
						s.SetTrace([16]byte{1}, [8]byte{1}, true)
						s.SetWriteTimeout(time.Second)
						s.SetRefused()
						s.Value(PrincipalKey{})
						s.Record()
						Serve(w, r, nothing, new(silent))
						Serve(&discard{h: http.Header{}}, sub, nothing, new(silent))
					}
				})
			}
		})
		r := httptest.NewRequest("GET", "/", nil)
		r.Pattern = "/"
		observed(o, http.TimeoutHandler(observed(o, inside), time.Hour, "")).ServeHTTP(httptest.NewRecorder(), r)
		if n := len(one(t, o).Attrs); n > maxAttrs {
			t.Errorf("%d attributes", n)
		}
		late.Wait()
	}
}
