package spans

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"go.opentelemetry.io/otel/baggage"
	"go.opentelemetry.io/otel/trace"
)

func TestTrusted(t *testing.T) {
	p := NewPolicy(Settings{})
	now := time.Unix(1000, 0)
	for name, tt := range map[string]struct {
		r     Remote
		valid bool
		state string
	}{
		"parent":          {Remote{Traceparent: []string{good}}, true, ""},
		"state":           {Remote{Traceparent: []string{good}, Tracestate: []string{"a=1,b=2"}}, true, "a=1,b=2"},
		"two fields":      {Remote{Traceparent: []string{good}, Tracestate: []string{"a=1", "b=2"}}, true, "a=1,b=2"},
		"broken state":    {Remote{Traceparent: []string{good}, Tracestate: []string{"a=1,,=2"}}, true, ""},
		"long state":      {Remote{Traceparent: []string{good}, Tracestate: []string{"a=" + strings.Repeat("x", 600)}}, true, ""},
		"duplicate":       {Remote{Traceparent: []string{good, good}}, false, ""},
		"broken":          {Remote{Traceparent: []string{"x"}, Tracestate: []string{"a=1"}}, false, ""},
		"nothing":         {Remote{}, false, ""},
		"state by itself": {Remote{Tracestate: []string{"a=1"}}, false, ""},
	} {
		sc := trace.SpanContextFromContext(p.Trusted(t.Context(), &tt.r, now))
		if sc.IsValid() != tt.valid || sc.TraceState().String() != tt.state || sc.IsRemote() != tt.valid || sc.IsSampled() != tt.valid {
			t.Errorf("%s: %+v", name, sc)
		}
	}
}

// In each second so many are forced, whoever asks at the same time.
func TestForced(t *testing.T) {
	for _, tt := range []struct {
		most int
		want int64
	}{{0, 100}, {7, 7}, {-1, 0}} {
		p := NewPolicy(Settings{MaxForced: tt.most})
		start := time.Now()
		for _, second := range []time.Duration{0, 1, 5000, 5001} {
			var forced atomic.Int64
			var wg sync.WaitGroup
			for range 4 {
				wg.Go(func() {
					for i := range 250 {
						r := Remote{Traceparent: []string{good}}
						ctx := p.Trusted(t.Context(), &r, start.Add(second*time.Second+time.Duration(i)))
						sc := trace.SpanContextFromContext(ctx)
						if !sc.IsValid() {
							t.Error("the parent is lost")
						}
						if sc.IsSampled() {
							forced.Add(1)
						}
					}
				})
			}
			wg.Wait()
			if forced.Load() != tt.want {
				t.Errorf("%d of 1000 forced in a second, want %d", forced.Load(), tt.want)
			}
		}
	}
}

// Requests that began in different seconds, and come in any order, as they do behind
// a queue, cannot force more than those of one.
func TestForcedOutOfOrder(t *testing.T) {
	p := NewPolicy(Settings{MaxForced: 10})
	start, n := time.Now(), 0
	for i := range 1000 {
		if p.forced.allow(start.Add(time.Duration(i%3) * time.Second)) {
			n++
		}
	}
	if n > 30 {
		t.Errorf("%d were forced in three seconds, at most 10 in each", n)
	}
	if p.forced.allow(time.Time{}) || !p.forced.allow(start.Add(3*time.Second)) {
		t.Error("a time that is none opens a second, or a new one does not")
	}
}

func TestBaggage(t *testing.T) {
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "tenant%d=x,", i)
		}
		return strings.TrimSuffix(b.String(), ",")
	}
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("tenant%d", i))
	}
	for name, tt := range map[string]struct {
		s    Settings
		v    []string
		want int
	}{
		"allowed":             {Settings{BaggageKeys: []string{"a", "c"}}, []string{"a=1, b=2;p=x", "c =3"}, 2},
		"none by default":     {Settings{}, []string{"a=1"}, 0},
		"others":              {Settings{BaggageKeys: []string{"a"}}, []string{"b=1,aa=2,A=3"}, 0},
		"broken":              {Settings{BaggageKeys: []string{"a", "b"}}, []string{"a=1,b"}, 0},
		"others broken":       {Settings{BaggageKeys: []string{"a"}}, []string{"a=1,;;;%%%,=="}, 1},
		"64":                  {Settings{BaggageKeys: keys}, []string{many(64)}, 64},
		"65":                  {Settings{BaggageKeys: keys}, []string{many(65)}, 0},
		"65, one of interest": {Settings{BaggageKeys: keys[:1]}, []string{many(65)}, 1},
		"8192 bytes":          {Settings{BaggageKeys: []string{"a"}}, []string{"a=1,b=" + strings.Repeat("x", 8186)}, 1},
		"8193 bytes":          {Settings{BaggageKeys: []string{"a"}}, []string{"a=1,b=" + strings.Repeat("x", 8187)}, 0},
		"in two fields":       {Settings{BaggageKeys: []string{"a"}}, []string{"a=1", "b=" + strings.Repeat("x", 8187)}, 0},
		"smaller":             {Settings{BaggageKeys: []string{"a"}, MaxBaggageBytes: 10}, []string{"a=123456789"}, 0},
		"no larger":           {Settings{BaggageKeys: []string{"a"}, MaxBaggageBytes: 1 << 20}, []string{"a=" + strings.Repeat("x", 9000)}, 0},
	} {
		r := Remote{Baggage: tt.v}
		if b := baggage.FromContext(NewPolicy(tt.s).Trusted(t.Context(), &r, time.Now())); b.Len() != tt.want {
			t.Errorf("%s: %d members, want %d", name, b.Len(), tt.want)
		}
	}
}

// FuzzRemote looks for what breaks, and for baggage that was not let in.
func FuzzRemote(f *testing.F) {
	f.Add(good, "a=1,b@c=2", "a=1;p=2,b=%20", "x")
	p := NewPolicy(Settings{BaggageKeys: []string{"a", "b"}})
	f.Fuzz(func(t *testing.T, parent, state, bag1, bag2 string) {
		r := Remote{Traceparent: []string{parent}, Tracestate: []string{state}, Baggage: []string{bag1, bag2}}
		ctx := p.Trusted(t.Context(), &r, time.Now())
		for _, m := range baggage.FromContext(ctx).Members() {
			if m.Key() != "a" && m.Key() != "b" {
				t.Errorf("%q was let in", m.Key())
			}
		}
		if n := len(trace.SpanContextFromContext(ctx).TraceState().String()); n > maxTracestate {
			t.Errorf("a tracestate of %d bytes", n)
		}
	})
}

func TestTrustedAddr(t *testing.T) {
	f := TrustedAddr([]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("::ffff:192.168.0.0/112"), {}})
	for remote, want := range map[string]bool{
		"10.1.2.3:80": true, "[::ffff:10.1.2.3]:80": true, "[fe80::1%eth0]:80": true,
		"192.168.1.1:80": true, "[::ffff:192.168.1.1]:80": true,
		"11.1.2.3:80": false, "[::1]:80": false, "10.1.2.3": false, "": false, "@": false, "/run/sock": false,
	} {
		if f(remote) != want {
			t.Errorf("%q: %v", remote, !want)
		}
	}
	if TrustedAddr(nil)("10.1.2.3:80") {
		t.Error("nobody is trusted, and this one is")
	}
}

func FuzzClip(f *testing.F) {
	f.Add("grüße", 3)
	f.Add("\xff\xfe", 1)
	f.Add("日本語", 4)
	f.Fuzz(func(t *testing.T, s string, most int) {
		if most < 0 || most > 1000 {
			return
		}
		got := Clip(s, most)
		if !utf8.ValidString(got) {
			t.Errorf("%q", got)
		}
		if utf8.ValidString(s) {
			if len(got) > most || !strings.HasPrefix(s, got) || len(s) <= most && got != s || len(s) > most && len(got) < most-3 {
				t.Errorf("Clip(%q, %d) = %q", s, most, got)
			}
		}
		if len(got) > 3*most {
			t.Errorf("%d bytes of %d", len(got), most)
		}
	})
}
