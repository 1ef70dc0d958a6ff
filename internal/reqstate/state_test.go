package reqstate

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// Start is what the record says, to whom is part of the request alone.
func TestStart(t *testing.T) {
	var s *State
	if !s.Start().IsZero() {
		t.Error("a nil State has a start")
	}
	o := newRecorder()
	h := observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		s = FromContext(r.Context())
		if got, want := s.Start(), s.Record().Start; got.IsZero() || got != want {
			t.Errorf("Start() = %v, want %v", got, want)
		}
		if sub := FromContext(WithoutState(r.Context())); !sub.Start().IsZero() {
			t.Error("a sub-request that opted out has the request's start")
		}
	})
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if one(t, o).Start.IsZero() {
		t.Error("the record has no start")
	}
	if !s.Start().IsZero() {
		t.Error("after its end a request still passes for one that has just begun")
	}
}

func TestNameRequest(t *testing.T) {
	var s *State
	o := newRecorder()
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		s = Of(r)
		if got := s.NameRequest("first"); got != "first" {
			t.Errorf("named %q", got)
		}
		if got := s.NameRequest("second"); got != "first" {
			t.Errorf("named again %q", got)
		}
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if rec := one(t, o); rec.RequestID != "first" || s.NameRequest("third") != "first" {
		t.Errorf("id %q", rec.RequestID)
	}
}
