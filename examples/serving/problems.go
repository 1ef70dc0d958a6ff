package main

import "net/http"

// withProblems has what no pattern of mux matches refused as everything else
// is: with a problem document, and with the Allow that mux sets.
func withProblems(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern == "" {
			w = &refusal{ResponseWriter: w}
		}
		mux.ServeHTTP(w, r) // in any case: it sets the request's pattern
	})
}

// refusal puts a problem document in the place of a mux's plain text.
type refusal struct {
	http.ResponseWriter
	refused bool
}

func (w *refusal) WriteHeader(status int) {
	if status < http.StatusBadRequest { // a redirect to the clean path
		w.ResponseWriter.WriteHeader(status)
		return
	}
	w.refused = true
	writeProblem(w.ResponseWriter, &badRequest{status: status})
}

func (w *refusal) Write(p []byte) (int, error) {
	if w.refused {
		return len(p), nil
	}
	return w.ResponseWriter.Write(p)
}
