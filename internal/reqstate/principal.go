package reqstate

import "net/http"

// PrincipalKey is the context key of who a request comes from. Package auth knows
// the type of its value, and this package does not: a State has a slot for it, so
// that a chain needs neither another context nor another copy of the request.
type PrincipalKey struct{}

// Of returns the State that r itself belongs to: nil for requests that were made
// of it, by WithContext, by Clone or with its context, which may bring other
// credentials and at another time.
func Of(r *http.Request) *State {
	if s, ok := r.Context().(*State); ok && s.request == r {
		return s
	}
	return nil
}

// SetPrincipal sets what Value returns for PrincipalKey, and the subject unless
// there is one. It reports false, and sets neither, if it has been called before,
// whatever with, or the State is sealed: then the caller needs a context of its
// own, for the slot is what those further out see. A p that is a nil pointer
// keeps the slot for nobody. The value stays for those that outlive the request.
func (s *State) SetPrincipal(p any, subject string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done || s.identified.Load() {
		return false
	}
	s.principal = p
	s.identified.Store(true)
	if s.rec.Subject == "" {
		s.rec.Subject = subject
	}
	return true
}
