package ratelimit_test

import (
	"math"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
	"golang.org/x/time/rate"
)

func TestSetHeaders(t *testing.T) {
	const second = time.Second
	hundred := ratelimit.PerMinute(100)
	tests := []struct {
		name          string
		d             ratelimit.Decision
		policy, limit string
	}{
		{"fresh", ratelimit.Decision{OK: true, Limit: hundred, Remaining: 99, ResetAfter: 600e6},
			`"default";q=100;w=60`, `"default";r=99;t=60`},
		{"half used", ratelimit.Decision{OK: true, Limit: hundred, Remaining: 50, ResetAfter: 30 * second},
			`"default";q=100;w=60`, `"default";r=50;t=30`},
		{"the last one", ratelimit.Decision{OK: true, Limit: ratelimit.PerHour(5), Remaining: 0, ResetAfter: 5*720*second - 20*second},
			`"default";q=5;w=3600`, `"default";r=0;t=700`},
		{"denied", ratelimit.Decision{Limit: ratelimit.PerHour(5), RetryAfter: 700*second + 1, ResetAfter: 3580 * second},
			`"default";q=5;w=3600`, `"default";r=0;t=701`},
		{"denied with some left", ratelimit.Decision{Limit: hundred, Remaining: 3, RetryAfter: 1200e6, ResetAfter: 58 * second},
			`"default";q=100;w=60`, `"default";r=3;t=2`},
		{"never", ratelimit.Decision{Limit: hundred, Remaining: 100, RetryAfter: rate.InfDuration},
			`"default";q=100;w=60`, `"default";r=100;t=60`},
		{"in debt", ratelimit.Decision{OK: true, Limit: ratelimit.PerSecond(10), Remaining: 0, ResetAfter: 21 * second},
			`"default";q=10;w=1`, `"default";r=0;t=21`}, // 20.1 s until there is one
		{"no exact quotient", ratelimit.Decision{OK: true, Limit: ratelimit.PerMinute(11), Remaining: 11}, // 60.00000000000001
			`"default";q=11;w=60`, `"default";r=11;t=60`},
		{"fast", ratelimit.Decision{OK: true, Limit: ratelimit.PerSecond(1e6), Remaining: 10},
			`"default";q=1000000;w=1`, `"default";r=10;t=1`},
		{"rule", ratelimit.Decision{OK: true, Rule: "tokens/min", Limit: hundred, Remaining: 1},
			`"tokens/min";q=100;w=60`, `"tokens/min";r=1;t=1`},
		{"rule to escape", ratelimit.Decision{OK: true, Rule: `a "b" \` + "\x00\nü", Limit: hundred, Remaining: 1},
			`"a \"b\" \\???";q=100;w=60`, `"a \"b\" \\???";r=1;t=1`},
		{"beyond an Integer", ratelimit.Decision{OK: true, Limit: ratelimit.Limit{Rate: 1e-300, Burst: math.MaxInt}, Remaining: math.MaxInt, ResetAfter: math.MaxInt64},
			`"default";q=999999999999999;w=999999999999999`, `"default";r=999999999999999;t=999999999999999`},
		{"impossible numbers", ratelimit.Decision{Limit: hundred, Remaining: -5, RetryAfter: -second, ResetAfter: -second},
			`"default";q=100;w=60`, `"default";r=0;t=1`},
		{"a limiter that failed", ratelimit.Decision{}, "", ""},
		{"a burst that is none", ratelimit.Decision{Limit: ratelimit.Limit{Rate: 1}}, "", ""},
		{"a rate that is none", ratelimit.Decision{Limit: ratelimit.Limit{Rate: rate.Limit(math.NaN()), Burst: 1}}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := http.Header{}
			tt.d.SetHeaders(h)
			if got := h.Get("RateLimit-Policy"); got != tt.policy {
				t.Errorf("RateLimit-Policy: %s, want %s", got, tt.policy)
			}
			if got := h.Get("RateLimit"); got != tt.limit {
				t.Errorf("RateLimit: %s, want %s", got, tt.limit)
			}
		})
	}
}

// What is set replaces what was there, and belongs to that response alone.
func TestSetHeadersShareNothing(t *testing.T) {
	d := ratelimit.Decision{OK: true, Limit: ratelimit.PerSecond(1)}
	a, b := http.Header{}, http.Header{}
	a.Set("RateLimit", "from upstream")
	a.Set("RateLimit-Policy", "from upstream")
	d.SetHeaders(a)
	d.SetHeaders(b)
	for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
		if n := len(a.Values(name)); n != 1 {
			t.Errorf("%s: %q", name, a.Values(name))
		}
		other := b.Get(name)
		a.Add(name, "more")
		a.Values(name)[0] = "changed"
		if got := b.Get(name); got != other {
			t.Errorf("another response's %s became %q", name, got)
		}
	}
	limit := b.Get("RateLimit")
	b.Add("RateLimit-Policy", "more")
	if b.Get("RateLimit") != limit || len(b) != 2 {
		t.Errorf("fields ran into each other: %q", b)
	}
}

// Through the years of a key's life: r never says more than could be taken, a
// client that spreads r over t keeps to the rate, and Retry-After, where there
// is one, is not earlier than t.
func TestSetHeadersAreHonest(t *testing.T) {
	for _, limit := range []ratelimit.Limit{
		ratelimit.PerSecond(1), ratelimit.PerSecond(1000), ratelimit.PerMinute(7), ratelimit.PerMinute(100),
		ratelimit.PerHour(5), ratelimit.PerDay(1e6), {Rate: 0.3, Burst: 1}, {Rate: 5, Burst: 1000},
	} {
		l, err := ratelimit.New(ratelimit.Config{Limit: limit})
		if err != nil {
			t.Fatal(err)
		}
		at := time.Now()
		for i := range 3 * min(limit.Burst, 100) {
			n := 1 + i%max(1, limit.Burst/3)
			d := l.AllowAt(at, "k", n)
			h := http.Header{}
			d.SetHeaders(h)
			item := parseItems(t, h.Get("RateLimit"))[0]
			if item.params["r"] != int64(d.Remaining) {
				t.Fatalf("%v: r is %v of %+v", limit, item.params["r"], d)
			}
			window := time.Duration(item.params["t"].(int64)) * time.Second
			if float64(d.Remaining) > float64(limit.Rate)*window.Seconds()+1e-3 && d.OK {
				t.Fatalf("%v: %v is faster than the rate", limit, h)
			}
			if !d.OK && (window < d.RetryAfter || window >= d.RetryAfter+time.Second) {
				t.Fatalf("%v: t is %v for a RetryAfter of %v", limit, window, d.RetryAfter)
			}
			if d.OK && d.Remaining == 0 && !l.AllowAt(at.Add(window), "k", 1).OK {
				t.Fatalf("%v: nothing left, and nothing after the %v of %v", limit, window, h)
			}
			at = at.Add(time.Duration(i%3) * 100 * time.Millisecond)
		}
	}
}

func FuzzSetHeaders(f *testing.F) {
	f.Add("", true, 100.0/60, 100, 99, int64(0), int64(6e8))
	f.Add(`say "no" \ `+"\x7f\xff\u2028", false, 1e9, math.MaxInt, -1, int64(math.MaxInt64), int64(math.MinInt64))
	f.Add("x", false, math.SmallestNonzeroFloat64, 1, 1, int64(-1), int64(math.MaxInt64))
	f.Add("x", true, math.Inf(1), 1, 0, int64(1), int64(1))
	f.Fuzz(func(t *testing.T, rule string, ok bool, perSecond float64, burst, remaining int, retryAfter, resetAfter int64) {
		d := ratelimit.Decision{
			OK: ok, Rule: rule, Limit: ratelimit.Limit{Rate: rate.Limit(perSecond), Burst: burst}, Remaining: remaining,
			RetryAfter: time.Duration(retryAfter), ResetAfter: time.Duration(resetAfter),
		}
		h := http.Header{}
		d.SetHeaders(h)
		if !(perSecond > 0) || burst < 1 {
			if len(h) != 0 {
				t.Fatalf("headers without a limit: %q", h)
			}
			return
		}
		policy, limit := parseItems(t, h.Get("RateLimit-Policy")), parseItems(t, h.Get("RateLimit"))
		if len(policy) != 1 || len(limit) != 1 || policy[0].value != limit[0].value || len(h) != 2 {
			t.Fatalf("%q", h)
		}
		for item, least := range map[*sfItem]map[string]int64{&policy[0]: {"q": 1, "w": 1}, &limit[0]: {"r": 0, "t": 1}} {
			if len(item.params) != len(least) {
				t.Fatalf("parameters %v", item.params)
			}
			for name, least := range least {
				if v, ok := item.params[name].(int64); !ok || v < least {
					t.Fatalf("%s is %v", name, item.params[name])
				}
			}
		}
	})
}

// sfItem is an Item of RFC 9651 whose value is a String.
type sfItem struct {
	value  string
	params map[string]any // int64 or string
}

// parseItems reads a List of Strings with parameters as §4.2 of RFC 9651 has
// it, and fails t for whatever that would fail parsing for.
func parseItems(t *testing.T, field string) []sfItem {
	t.Helper()
	p := &sfParser{rest: field}
	items, ok := p.list()
	if !ok {
		t.Fatalf("not a List of Strings: %q, from %q on", field, p.rest)
	}
	return items
}

type sfParser struct{ rest string }

func (p *sfParser) peek() byte {
	if p.rest == "" {
		return 0
	}
	return p.rest[0]
}

func (p *sfParser) eat(c byte) bool {
	ok := p.peek() == c && p.rest != ""
	if ok {
		p.rest = p.rest[1:]
	}
	return ok
}

func (p *sfParser) skip(chars ...byte) {
	for again := true; again; {
		again = false
		for _, c := range chars {
			again = again || p.eat(c)
		}
	}
}

func (p *sfParser) list() (items []sfItem, ok bool) { // §4.2.1
	p.skip(' ')
	for p.rest != "" {
		item := sfItem{}
		if item.value, ok = p.str(); !ok {
			return nil, false
		}
		if item.params, ok = p.parameters(); !ok {
			return nil, false
		}
		items = append(items, item)
		p.skip(' ', '\t')
		if p.rest == "" {
			return items, true
		}
		if !p.eat(',') {
			return nil, false
		}
		p.skip(' ', '\t')
		if p.rest == "" {
			return nil, false // a trailing comma
		}
	}
	return nil, false // the draft wants it not empty
}

func (p *sfParser) parameters() (map[string]any, bool) { // §4.2.3.2
	params := map[string]any{}
	for p.eat(';') {
		p.skip(' ')
		n := 0
		for n < len(p.rest) && (p.rest[n] >= 'a' && p.rest[n] <= 'z' || n > 0 && p.rest[n] >= '0' && p.rest[n] <= '9') {
			n++
		}
		key := p.rest[:n]
		p.rest = p.rest[n:]
		if key == "" || !p.eat('=') { // a Boolean is not expected here
			return nil, false
		}
		var ok bool
		if p.peek() == '"' {
			params[key], ok = p.str()
		} else {
			params[key], ok = p.integer()
		}
		if !ok {
			return nil, false
		}
	}
	return params, true
}

func (p *sfParser) integer() (int64, bool) { // §4.2.4, without decimals
	n := 0
	if p.peek() == '-' {
		n = 1
	}
	digits := n
	for n < len(p.rest) && p.rest[n] >= '0' && p.rest[n] <= '9' {
		n++
	}
	v, err := strconv.ParseInt(p.rest[:n], 10, 64)
	p.rest = p.rest[n:]
	return v, err == nil && n > digits && n-digits <= 15
}

func (p *sfParser) str() (string, bool) { // §4.2.5
	if !p.eat('"') {
		return "", false
	}
	var out []byte
	for p.rest != "" {
		c := p.rest[0]
		p.rest = p.rest[1:]
		switch {
		case c == '\\':
			if p.peek() != '"' && p.peek() != '\\' {
				return "", false
			}
			out = append(out, p.rest[0])
			p.rest = p.rest[1:]
		case c == '"':
			return string(out), true
		case c < 0x20 || c > 0x7e:
			return "", false
		default:
			out = append(out, c)
		}
	}
	return "", false
}

// The parser that the others rely on refuses what the RFC refuses.
func TestParseItems(t *testing.T) {
	for field, want := range map[string]bool{
		`"permin";q=50;w=60,"perhr";q=1000;w=3600`: true,
		`"peruser";q=65535;qu="content-bytes";w=1`: true,
		`"a \" \\ z"  , "b"; r=-1`:                 true,
		``:                                         false,
		`default;q=1`:                              false,
		`"default";q=1,`:                           false,
		`"default" ;q=1`:                           false,
		`"default";Q=1`:                            false,
		`"default";q= 1`:                           false,
		`"default";q=1234567890123456`:             false,
		`"default";q=`:                             false,
		`"def` + "\x00" + `ault";q=1`:              false,
		`"défault";q=1`:                            false,
		`"default\;q=1`:                            false,
		`"default`:                                 false,
		`"default"x`:                               false,
	} {
		p := &sfParser{rest: field}
		if _, ok := p.list(); ok != want {
			t.Errorf("%q: %v, want %v", field, ok, want)
		}
	}
}
