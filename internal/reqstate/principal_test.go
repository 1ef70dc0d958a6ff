package reqstate

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"
)

type who struct{ name string }

func principal(ctx context.Context) *who {
	p, _ := ctx.Value(PrincipalKey{}).(*who)
	return p
}

// The first that is set stays, for derived contexts and after the end as well.
func TestPrincipal(t *testing.T) {
	alice, bob := &who{"alice"}, &who{"bob"}
	parent := context.WithValue(t.Context(), PrincipalKey{}, bob)
	var s *State
	var derived context.Context
	o := newRecorder()
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		s = Of(r)
		if principal(r.Context()) != bob {
			t.Error("the parent's principal is hidden before there is another")
		}
		if !s.SetPrincipal(alice, "alice") || s.SetPrincipal(bob, "bob") {
			t.Error("not set exactly once")
		}
		derived = context.WithValue(WithoutState(r.Context()), contextKey{}, "foreign")
		if principal(r.Context()) != alice || principal(derived) != alice {
			t.Error("not found")
		}
		if inner := context.WithValue(r.Context(), PrincipalKey{}, bob); principal(inner) != bob {
			t.Error("the nearest one does not count")
		}
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(parent, "GET", "/", nil))
	if rec := one(t, o); rec.Subject != "alice" {
		t.Errorf("subject %q", rec.Subject)
	}
	if principal(s) != alice || principal(derived) != alice {
		t.Error("a context that outlives the request has lost it")
	}
}

// Nobody is somebody, too: the slot is taken, and the parent's is hidden.
func TestPrincipalNobody(t *testing.T) {
	o := newRecorder()
	parent := context.WithValue(t.Context(), PrincipalKey{}, &who{"bob"})
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		s := Of(r)
		s.SetSubject("gateway")
		if !s.SetPrincipal((*who)(nil), "") || s.SetPrincipal(&who{"alice"}, "alice") || principal(r.Context()) != nil {
			t.Error("the slot was not kept for nobody")
		}
		s.SetSubject("alice")
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(parent, "GET", "/", nil))
	if rec := one(t, o); rec.Subject != "gateway" {
		t.Errorf("subject %q is not the first", rec.Subject)
	}
}

func TestPrincipalAfterTheEnd(t *testing.T) {
	var s *State
	observedFunc(newRecorder(), func(_ http.ResponseWriter, r *http.Request) { s = Of(r) }).
		ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if s.SetPrincipal(&who{"late"}, "late") || principal(s) != nil || s.Record().Subject != "" {
		t.Error("a sealed State changed")
	}
}

// Of knows the request through the chain, and none that was made of it.
func TestOf(t *testing.T) {
	if Of(httptest.NewRequest("GET", "/", nil)) != nil {
		t.Error("a State without an observer")
	}
	var asked atomic.Int32
	check := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		s := Of(r)
		if s == nil || s != FromContext(r.Context()) {
			t.Fatal("the request itself is not known")
		}
		for name, made := range map[string]*http.Request{
			"WithContext": r.WithContext(r.Context()),
			"Clone":       r.Clone(r.Context()),
			"new":         httptest.NewRequestWithContext(r.Context(), "GET", "/", nil),
			"opted out":   r.WithContext(WithoutState(r.Context())),
		} {
			if Of(made) != nil {
				t.Errorf("%s: taken for the request itself", name)
			}
		}
	})
	mux := http.NewServeMux()
	mux.Handle("/", check)
	o := newRecorder()
	for _, h := range []http.Handler{
		observed(o, mux),
		observed(o, observed(newRecorder(), mux)),
		guarded(observed(o, mux), make(chan string, 1)),
		observed(o, wrapsWriter(guarded(observed(newRecorder(), mux), make(chan string, 1)))),
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
		one(t, o)
	}
	if asked.Load() != 4 {
		t.Errorf("%d of 4 requests", asked.Load())
	}
}

// Whoever comes first, readers see nothing or all of it. (Run with -race.)
func TestPrincipalConcurrently(t *testing.T) {
	o := newRecorder()
	var set atomic.Int32
	var wg sync.WaitGroup
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		start := make(chan struct{})
		for i := range 8 {
			wg.Go(func() {
				<-start
				if i%2 == 0 && Of(r).SetPrincipal(&who{"someone"}, "someone") {
					set.Add(1)
				}
				for range 100 {
					if p := principal(r.Context()); p != nil && p.name != "someone" {
						t.Error("half a principal")
					}
				}
			})
		}
		close(start) // some are late on purpose
	}).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	wg.Wait()
	if n := set.Load(); n > 1 {
		t.Errorf("set %d times", n)
	}
}

// A State is one allocation of 640 bytes, and the next class has 704.
func TestSize(t *testing.T) {
	if size := unsafe.Sizeof(State{}); size > 640 {
		t.Errorf("%d bytes", size)
	}
}

func TestPrincipalAllocations(t *testing.T) {
	alice := &who{"alice"}
	o := new(silent)
	w, r := &discard{h: http.Header{}}, httptest.NewRequest("GET", "/", nil)
	measure := func(f http.HandlerFunc) float64 {
		h := observed(o, f)
		return testing.AllocsPerRun(200, func() { h.ServeHTTP(w, r) })
	}
	without := measure(func(http.ResponseWriter, *http.Request) {})
	with := measure(func(_ http.ResponseWriter, r *http.Request) {
		if !Of(r).SetPrincipal(alice, "alice") || principal(r.Context()) != alice {
			t.Error("not set")
		}
	})
	if with != without {
		t.Errorf("%v allocations for the slot", with-without)
	}
}

// BenchmarkPrincipal has the price of the slot, to set and to read.
func BenchmarkPrincipal(b *testing.B) {
	alice := &who{"alice"}
	observedFunc(new(silent), func(_ http.ResponseWriter, r *http.Request) {
		s := Of(r)
		b.Run("set", func(b *testing.B) {
			for b.Loop() {
				s.identified.Store(false)
				Of(r).SetPrincipal(alice, "alice")
			}
		})
		b.Run("read", func(b *testing.B) {
			for b.Loop() {
				if principal(r.Context()) != alice {
					b.Fatal("not found")
				}
			}
		})
	}).ServeHTTP(&discard{h: http.Header{}}, httptest.NewRequest("GET", "/", nil))
}
