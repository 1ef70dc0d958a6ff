package ratelimit

import (
	"net/http"
	"strings"
)

// unmatched is the key of every request that no pattern matches. Package
// metrics calls their route the same.
const unmatched = "unmatched"

// ByRoute returns a [KeyFunc] by the pattern of mux that the request is going
// to match, as it was registered, such as "POST /v1/completions" or
// "/files/{name}". All requests that match none, and those whose method none
// allows, share the key "unmatched". It is never the path, of which a client
// can make up as many as it likes.
//
// Mount the middleware around mux. It panics if mux is nil, when the chain is
// built.
func ByRoute(mux *http.ServeMux) KeyFunc {
	if mux == nil {
		panic("ratelimit: ByRoute of a nil *http.ServeMux")
	}
	return func(r *http.Request) string {
		_, pattern := mux.Handler(r)
		if pattern == "" || r.Method == http.MethodConnect && !namesMethod(pattern) {
			return unmatched
		}
		return pattern
	}
}

// namesMethod reports whether pattern begins with a method. For CONNECT to a
// path that lacks a trailing slash, mux.Handler returns the path that it
// redirects to as if it were a pattern (net/http, ServeMux.findHandler); no
// path begins like this.
func namesMethod(pattern string) bool {
	i := strings.IndexAny(pattern, " \t/")
	return i >= 0 && pattern[i] != '/'
}
