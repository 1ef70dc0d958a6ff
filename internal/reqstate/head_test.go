package reqstate

import (
	"net/http"
	"testing"
)

// How the client sent the request stays as it was, whatever becomes of the copy.
func TestHead(t *testing.T) {
	each(t, func(t *testing.T, start func(http.Handler) *site) {
		o := newRecorder()
		var method string
		var tls bool
		s := start(observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
			r.Method, r.TLS = "DELETE", nil
			method, tls = FromContext(r.Context()).Head()
		}))
		s.mustGet(t, "/")
		rec := one(t, o)
		protocol := [2]uint8{1, 1}
		if s.http2 {
			protocol = [2]uint8{2, 0}
		}
		if method != "GET" || tls != s.http2 || rec.TLS != s.http2 || rec.Protocol != protocol || rec.Method != "GET" {
			t.Errorf("%s, TLS %t; the record %s, TLS %t, HTTP %v", method, tls, rec.Method, rec.TLS, rec.Protocol)
		}
	})
}
