package concurrency

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// permits of l, in the order of their tickets.
func (l *Limiter) issued(i int) *Permit { return &l.slab.Load().permits[i] }

// What an answer says of the service's latency.
func TestOutcomes(t *testing.T) {
	gone, leave := context.WithCancel(context.Background())
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	for name, tt := range map[string]struct {
		h    http.HandlerFunc
		want uint64
	}{
		"nothing written": {func(http.ResponseWriter, *http.Request) {}, served},
		"200":             {status(200), served},
		"103, then 200": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(103)
			_, _ = io.WriteString(w, "x")
		}, served},
		"304":         {status(304), served},
		"400":         {status(400), ignored},
		"429":         {status(429), ignored},
		"500":         {status(500), ignored},
		"503":         {status(503), overloaded},
		"504":         {status(504), overloaded},
		"panic":       {func(http.ResponseWriter, *http.Request) { panic("a bug") }, ignored},
		"abort":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ignored},
		"client left": {func(http.ResponseWriter, *http.Request) { leave() }, ignored},
		"deadline":    {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, overloaded},
		"503 in a stream": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(503)
			_, _ = io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}, overloaded},
	} {
		l, err := New(Config{Adaptive: &Adaptive{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.Background(), context.CancelFunc(func() {})
		switch name {
		case "client left":
			ctx = gone
		case "deadline":
			ctx, cancel = context.WithTimeout(ctx, 100*time.Millisecond)
		}
		func() {
			defer func() { _ = recover() }()
			r := httptest.NewRequestWithContext(ctx, "GET", "/", nil)
			Middleware(l, MiddlewareConfig{})(tt.h).ServeHTTP(httptest.NewRecorder(), r)
		}()
		cancel()
		w := l.controller.window
		got := uint64(ignored)
		switch {
		case w.done != 1:
			t.Errorf("%s: %d calls seen", name, w.done)
		case w.calls == 1:
			got = served
		case w.bad == 1:
			got = overloaded
		}
		if got != tt.want {
			t.Errorf("%s: outcome %d, want %d", name, got, tt.want)
		}
	}
}

// A stream's latency is known when its first bytes leave, and is taken then: a
// limit that learned of it when the stream ends would be minutes behind.
func TestStreamIsMeasuredAtItsFirstByte(t *testing.T) {
	for name, begin := range map[string]func(http.ResponseWriter){
		"flushed": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, "data: token\n\n")
			_ = http.NewResponseController(w).Flush()
		},
		"large": func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 10_000)) },
	} {
		l, err := New(Config{Adaptive: &Adaptive{}})
		if err != nil {
			t.Fatal(err)
		}
		srv := httptest.NewServer(Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(200)
			_ = http.NewResponseController(w).Flush() // the header alone is no answer
			if l.issued(0).state.Load()>>startShift == 0 {
				t.Errorf("%s: measured before anything is sent", name)
			}
			begin(w)
			if l.issued(0).state.Load()>>startShift != 0 {
				t.Errorf("%s: not measured at the first byte", name)
			}
			if n := inFlight(l.state.Load()); n != 1 {
				t.Errorf("%s: %d permits are out", name, n)
			}
		})))
		resp, err := srv.Client().Get(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		srv.Close()
	}
}

// Tickets are counted modulo 2⁴³. Where they begin anew, each call still gets a
// permit of its own, and Stats goes on counting.
func TestTicketsWrap(t *testing.T) {
	l, err := New(Config{Max: 10})
	if err != nil {
		t.Fatal(err)
	}
	const before = 1000
	l.state.Store((ticketMask - before + 1) << ticketShift)
	first := l.Stats().Acquired
	seen := make(map[*Permit]bool)
	for range 3 * before {
		p, err := l.Acquire(context.Background())
		if err != nil || seen[p] {
			t.Fatalf("%p twice, or %v", p, err)
		}
		seen[p] = true
		p.Release()
	}
	if s := l.Stats(); s.Acquired != first+3*before || s.InFlight != 0 {
		t.Errorf("acquired %d, want %d; in flight %d", s.Acquired, first+3*before, s.InFlight)
	}
}

// A request inside a request is an answer of its own.
func TestWithoutState(t *testing.T) {
	outer, _ := New(Config{Adaptive: &Adaptive{}})
	inner, _ := New(Config{Adaptive: &Adaptive{}})
	sub := Middleware(inner, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	h := Middleware(outer, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		sub.ServeHTTP(httptest.NewRecorder(), r.WithContext(WithoutState(r.Context())))
		w.WriteHeader(200)
	}))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if outer.controller.window.calls != 1 || inner.controller.window.bad != 1 {
		t.Errorf("outside %+v, inside %+v", outer.controller.window, inner.controller.window)
	}
}

// Where a route has a limit of its own, that it is reached is no overload of the
// service: whoever floods the one would take the limit of the other down.
func TestRefusalFurtherInDoesNotCount(t *testing.T) {
	outer, _ := New(Config{Adaptive: &Adaptive{}})
	inner, _ := New(Config{Max: 1})
	p, _ := inner.Acquire(context.Background())
	defer p.Release()
	for name, deny := range map[string]func(http.ResponseWriter, *http.Request, error){
		"at once": nil,
		"in a stream": func(w http.ResponseWriter, r *http.Request, err error) {
			WriteError(w, r, err)
			_ = http.NewResponseController(w).Flush()
		},
	} {
		outer.controller.window = window{}
		h := Middleware(outer, MiddlewareConfig{})(Middleware(inner, MiddlewareConfig{Deny: deny})(http.NotFoundHandler()))
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequest("GET", "/", nil))
		if w := outer.controller.window; rec.Code != 503 || w.done != 1 || w.calls != 0 || w.bad != 0 {
			t.Errorf("%s: %d, %+v", name, rec.Code, w)
		}
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	for _, cfg := range []Config{{Max: 10}, {Adaptive: &Adaptive{}}} {
		l, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		h := Middleware(l, MiddlewareConfig{})(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		// The shared state and its request, which whoever is outside makes, and the call.
		if n := testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }); n > 3 {
			t.Errorf("%v allocations", n)
		}
	}
}
