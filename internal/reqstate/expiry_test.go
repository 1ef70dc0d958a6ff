package reqstate

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
)

type overdue struct{ error }

func (overdue) CredentialExpired() {}

var errOverdue = overdue{errors.New("expired")}

// What fails after the caller's credential has ended is neither the service's
// failure nor the client's leaving; what does not fail is as it is.
func TestExpired(t *testing.T) {
	abort := func() { panic(http.ErrAbortHandler) }
	for name, tt := range map[string]struct {
		h       http.HandlerFunc
		outcome Outcome
		status  int
		before  Outcome // without an expiry
	}{
		"cut": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "part")
			abort()
		}, Expired, 401, UpstreamCut},
		"aborted": {func(http.ResponseWriter, *http.Request) { abort() }, Expired, 401, Aborted},
		"short": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "part")
		}, Expired, 401, UpstreamCut},
		"a proxy's 502": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) }, Expired, 502, Complete},
		"error event": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "event: error\ndata: expired\n\n")
		}, Expired, 401, ErrorEvent},
		"whole":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "all") }, Complete, 200, Complete},
		"refused":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, Complete, 401, Complete},
		"panicked": {panics, Panicked, 500, Panicked},
	} {
		run := func(parent context.Context, before func(*State)) Record {
			o := newRecorder()
			func() {
				defer func() { _ = recover() }()
				observedFunc(o, func(w http.ResponseWriter, r *http.Request) {
					before(FromContext(r.Context()))
					tt.h(w, r)
				}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(parent, "GET", "/", nil))
			}()
			return one(t, o)
		}
		told := run(t.Context(), func(s *State) {
			if HasExpired(s) {
				t.Error("expired at the start")
			}
			s.SetExpired()
			if !HasExpired(context.WithValue(s, contextKey{}, s)) {
				t.Error("not expired")
			}
		})
		canceled, cancel := context.WithCancelCause(t.Context())
		cancel(errOverdue)
		caused := run(canceled, func(s *State) {
			if !HasExpired(s) {
				t.Error("the cause does not count")
			}
		})
		for _, rec := range []Record{told, caused} {
			if rec.Outcome != tt.outcome || rec.Status != tt.status {
				t.Errorf("%s: %v %d, want %v %d", name, rec.Outcome, rec.Status, tt.outcome, tt.status)
			}
		}
		other, cancel := context.WithCancelCause(t.Context())
		cancel(errors.New("shutting down"))
		if rec := run(other, func(*State) {}); rec.Outcome != tt.before {
			t.Errorf("%s without an expiry: %v, want %v", name, rec.Outcome, tt.before)
		}
	}
	if Expired.String() != "expired" {
		t.Error(Expired)
	}
}

// A sealed State keeps its account.
func TestExpiredAfterTheEnd(t *testing.T) {
	var s *State
	observedFunc(newRecorder(), func(_ http.ResponseWriter, r *http.Request) { s = Of(r) }).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if s.SetExpired(); s.isExpired() {
		t.Error("a sealed State changed")
	}
}
