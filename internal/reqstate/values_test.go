package reqstate

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

type valueKey struct{ n int }

// A span's context is asked for values, while the State stays the request's context:
// once, and not when the request is over.
func TestSetValues(t *testing.T) {
	o := newRecorder()
	type escaped struct {
		s   *State
		ctx context.Context
	}
	late := make(chan escaped, 1)
	s := startSite(t, observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
		s := FromContext(r.Context())
		inner := context.WithValue(s.Parent(), valueKey{1}, "span")
		var wg sync.WaitGroup
		wg.Go(func() { // may come before or after
			if v := r.Context().Value(valueKey{1}); v != nil && v != "span" {
				t.Error(v)
			}
		})
		if !s.SetValues(inner) || s.SetValues(context.WithValue(s.Parent(), valueKey{1}, "second")) {
			t.Error("not set once")
		}
		wg.Wait()
		ctx := context.WithValue(r.Context(), valueKey{2}, "outer")
		if ctx.Value(valueKey{1}) != "span" || ctx.Value(valueKey{2}) != "outer" || FromContext(ctx) != s || ctx.Value(http.ServerContextKey) == nil {
			t.Error("values are lost")
		}
		if FromContext(WithoutState(ctx)) != nil || WithoutState(ctx).Value(valueKey{1}) != "span" {
			t.Error("opting out loses more than the State")
		}
		late <- escaped{s, ctx}
	}), false)
	s.mustGet(t, "/")
	one(t, o)
	e := <-late
	if e.ctx.Value(valueKey{1}) != "span" || e.s.SetValues(context.Background()) || e.ctx.Err() == nil {
		t.Error("after the end")
	}
	fresh := NewCall(t.Context(), "/s/m", "", "")
	fresh.EndCall(CallEnd{Returned: true})
	if fresh.SetValues(context.Background()) || fresh.Value(valueKey{1}) != nil {
		t.Error("a sealed State took values")
	}
}

// A closer knows that it was closed.
type closer struct {
	io.Reader
	closed bool
}

func (c *closer) Close() error { c.closed = true; return nil }

// What the handler read of the body counts, not what was sent, nor what is read later.
func TestBytesIn(t *testing.T) {
	for _, http2 := range []bool{false, true} {
		o := newRecorder()
		late := make(chan io.Reader, 1)
		s := startSite(t, observedFunc(o, func(_ http.ResponseWriter, r *http.Request) {
			if n, err := io.CopyN(io.Discard, r.Body, 1000); n != 1000 || err != nil {
				t.Error(n, err)
			}
			late <- r.Body
		}), http2)
		resp, err := s.client.Post(s.URL, "", strings.NewReader(strings.Repeat("x", 5000)))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		rec := one(t, o)
		io.Copy(io.Discard, <-late)
		if rec.BytesIn != 1000 {
			t.Errorf("http2 %v: %d", http2, rec.BytesIn)
		}
	}
	o, c := newRecorder(), &closer{Reader: strings.NewReader("x")}
	r, _ := http.NewRequest("POST", "/", c)
	observedFunc(o, func(_ http.ResponseWriter, r *http.Request) { r.Body.Close() }).ServeHTTP(httptest.NewRecorder(), r)
	if !c.closed {
		t.Error("the body was not closed")
	}
}
