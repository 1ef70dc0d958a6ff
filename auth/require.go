package auth

import "net/http"

// Require lets through what az allows the caller to do: action on the resource
// that resource names. Mount it inside the mux, around the handler of a route,
// where the route is known: outside, [PathValue] finds nothing, and all is
// forbidden. Behind no [Middleware] there is no caller, and the answer is 401.
//
// A path that two readers could take for two resources is refused with
// [ErrPath] before resource is asked, because http.ServeMux redirects only some of
// them: dot segments, however they are written, empty segments, backslashes and
// encoded ones, encoded slashes, control characters, what is not UTF-8, and what
// is encoded twice.
//
// Require answers with [WriteError]. It panics, when the chain is built, if az or
// resource is nil or action is empty.
func Require(az Authorizer, action string, resource func(*http.Request) string) func(http.Handler) http.Handler {
	if az == nil {
		panic("auth: Require of a nil Authorizer")
	}
	if action == "" {
		panic("auth: Require of no action")
	}
	if resource == nil {
		panic("auth: Require without a function for the resource")
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			err := checkPath(r.URL)
			if err == nil {
				err = Check(r.Context(), az, action, resource(r))
			} else if a, ok := az.(*audited); ok {
				a.unasked(r.Context(), action, "", err)
			}
			if err != nil {
				WriteError(w, r, err)
				return
			}
			next.ServeHTTP(w, r)
		})
	}
}

// PathValue returns a function for [Require] that names the resource by a
// wildcard of the route's pattern: what stands for {name}, decoded. It panics if
// name is empty.
func PathValue(name string) func(*http.Request) string {
	if name == "" {
		panic("auth: PathValue of no name")
	}
	return func(r *http.Request) string { return r.PathValue(name) }
}
