package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// allow is AllowN of a limiter that does not fail.
func allow(t *testing.T, l ratelimit.Limiter, n int) ratelimit.Decision {
	t.Helper()
	d, err := l.AllowN(t.Context(), "key", n)
	if err != nil {
		t.Error(err)
	}
	return d
}

// Requests a minute, tokens a minute and requests a day: each bites in its turn
// and is named; the others are not charged for what it turned away.
func TestAllNamesTheRule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		requests, tokens, day := keyed(t, ratelimit.PerMinute(3)), keyed(t, ratelimit.PerMinute(1000)), keyed(t, ratelimit.PerDay(7))
		l := ratelimit.All(
			ratelimit.Rule{Name: "requests", Limiter: requests, Cost: once},
			ratelimit.Rule{Name: "tokens", Limiter: tokens},
			ratelimit.Rule{Name: "day", Limiter: day, Cost: once},
		)
		want := func(n int, ok bool, rule string, requestsLeft, tokensLeft, dayLeft int) {
			t.Helper()
			d := allow(t, l, n)
			if d.OK != ok || d.Rule != rule || ok != (d.RetryAfter == 0) {
				t.Errorf("%+v, want %v of %q", d, ok, rule)
			}
			for i, left := range []int{requestsLeft, tokensLeft, dayLeft} {
				if got := allow(t, []ratelimit.Limiter{requests, tokens, day}[i], 0).Remaining; got != left {
					t.Errorf("after %+v, %d are left of rule %d, want %d", d, got, i, left)
				}
			}
		}
		want(100, true, "requests", 2, 900, 6) // 2/3 < 6/7 < 9/10
		want(700, true, "tokens", 1, 200, 5)   // 1/5 < 1/3
		want(201, false, "tokens", 1, 200, 5)
		want(1001, false, "tokens", 1, 200, 5)
		if d := allow(t, l, 1001); d.RetryAfter != rate.InfDuration {
			t.Errorf("more than the rule ever lets through: %+v", d)
		}
		want(200, true, "requests", 0, 0, 4)
		want(1, false, "requests", 0, 0, 4)
		<-time.After(time.Minute)
		want(1, true, "day", 2, 999, 3) // 3/7 < 2/3
		want(1, true, "day", 1, 998, 2) // 2/7 < 1/3
		want(1, true, "requests", 0, 997, 1)
		<-time.After(time.Minute)
		want(1, true, "day", 2, 999, 0)
		want(1, false, "day", 2, 999, 0)
		if d := allow(t, l, 1); d.Limit != ratelimit.PerDay(7) || d.RetryAfter < 3*time.Hour {
			t.Errorf("the decision is not about its rule: %+v", d)
		}
	})
}

// By key, tenant and model at once.
func TestAllKeys(t *testing.T) {
	type model struct{}
	accounts := newAccount(2)
	l := ratelimit.All(
		ratelimit.Rule{Name: "key", Limiter: accounts},
		ratelimit.Rule{Name: "tenant", Limiter: accounts, Key: func(_ context.Context, key string) string {
			tenant, _, _ := strings.Cut(key, "/")
			return tenant
		}},
		ratelimit.Rule{Name: "model", Limiter: accounts, Key: func(ctx context.Context, _ string) string {
			return ctx.Value(model{}).(string)
		}},
	)
	for _, tt := range []struct{ key, model, rule string }{
		{"a/1", "small", ""}, {"a/2", "large", ""}, {"a/2", "large", "tenant"},
		{"b/1", "small", ""}, {"b/1", "small", "model"}, {"b/1", "large", ""}, {"b/1", "large", "key"},
	} {
		d, err := l.AllowN(context.WithValue(t.Context(), model{}, tt.model), tt.key, 1)
		if err != nil || d.OK != (tt.rule == "") || !d.OK && d.Rule != tt.rule {
			t.Errorf("%v: %+v, %v", tt, d, err)
		}
	}
	if got, want := fmt.Sprint(accounts.keys), "map[a:2 a/1:1 a/2:1 b:2 b/1:2 large:2 small:2]"; got != want {
		t.Errorf("charged: %v, want %v", got, want)
	}
}

func TestAllNumbers(t *testing.T) {
	a, free := newAccount(10), newAccount(0)
	cost := func(n int) int { return n }
	l := ratelimit.All(
		ratelimit.Rule{Name: "free", Limiter: free, Cost: func(int) int { return 0 }},
		ratelimit.Rule{Name: "cost", Limiter: a, Cost: func(n int) int { return cost(n) }},
	)
	for _, n := range []int{-1, math.MinInt} {
		_, err := l.AllowN(t.Context(), "key", n)
		wantError(t, err, ratelimit.ErrCost)
	}
	cost = func(int) int { panic("asked for the cost of nothing") }
	if d := allow(t, l, 0); !d.OK || d.Rule != "" {
		t.Errorf("an exemption: %+v", d)
	}
	wantError(t, l.Return(t.Context(), "key", 0), nil)

	cost = func(n int) int { return n - 5 }
	d, err := l.AllowN(t.Context(), "key", 4)
	wantError(t, err, ratelimit.ErrCost)
	if d.OK || !strings.Contains(fmt.Sprint(err), `"cost"`) {
		t.Errorf("a Cost below 0: %+v, %v", d, err)
	}
	wantError(t, l.Return(t.Context(), "key", 4), ratelimit.ErrCost)
	r := reserve(t, l, 7)
	wantCharged(t, a, 2)
	wantError(t, r.Commit(4), ratelimit.ErrCost)
	wantError(t, r.Commit(6), nil)
	wantCharged(t, a, 1)

	cost = func(n int) int { return n }
	wantError(t, l.Return(t.Context(), "key", 1), nil)
	wantError(t, l.Return(t.Context(), "key", -20), nil)
	wantCharged(t, a, 20)
	wantError(t, l.Return(t.Context(), "key", math.MinInt), nil)
	wantError(t, l.Return(t.Context(), "key", math.MaxInt), nil)
	wantCharged(t, a, 20)
	if free.calls != 0 {
		t.Error("a rule was asked about what costs it nothing")
	}
	if d := allow(t, ratelimit.All(ratelimit.Rule{Name: "free", Limiter: free, Cost: func(int) int { return 0 }}), 1); !d.OK {
		t.Errorf("nothing to ask for: %+v", d)
	}
}

// Return undoes an AllowN of the same n, with each rule's key and cost, and
// goes on if one fails.
func TestAllReturn(t *testing.T) {
	requests, broken, tokens := newAccount(10), newAccount(1000), newAccount(1000)
	l := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: requests, Cost: once, Key: constant("everybody")},
		ratelimit.Rule{Name: "broken", Limiter: broken},
		ratelimit.Rule{Name: "tokens", Limiter: tokens},
	)
	allow(t, l, 100)
	allow(t, l, 50)
	broken.broken = errDown
	err := l.Return(t.Context(), "key", 100)
	wantError(t, err, errDown)
	if fmt.Sprint(err) != `ratelimit: rule "broken": down` {
		t.Errorf("whose error it is: %v", err)
	}
	if n := requests.charged("everybody"); n != 1 {
		t.Errorf("%d requests are charged", n)
	}
	wantCharged(t, tokens, 50)
	wantCharged(t, broken, 150)
}

func TestAllFails(t *testing.T) {
	errOther := errors.New("other")
	for _, tt := range []struct {
		name   string
		a, b   func(*account)
		ok     bool
		rule   string
		errors []error
		want   [3]int // charged
	}{
		{"the first closed", fails(errDown, false), sound, false, "a", []error{errDown}, [3]int{0, 0, 0}},
		{"the second closed", sound, fails(errDown, false), false, "b", []error{errDown}, [3]int{0, 0, 0}},
		{"one open", fails(errDown, true), sound, true, "c", []error{errDown}, [3]int{0, 10, 10}},
		{"both open", fails(errDown, true), fails(errOther, true), true, "c", []error{errDown, errOther}, [3]int{0, 0, 10}},
		{"open, then closed", fails(errDown, true), fails(errOther, false), false, "b", []error{errOther}, [3]int{0, 0, 0}},
		{"open, then over the limit", fails(errDown, true), full, false, "b", nil, [3]int{0, 0, 0}},
		{"cannot give back", func(a *account) { a.broken = errDown }, full, false, "b", nil, [3]int{10, 0, 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b, c := newAccount(100), newAccount(99), newAccount(98) // the tightest is c
			tt.a(a)
			tt.b(b)
			d, err := ratelimit.All(
				ratelimit.Rule{Name: "a", Limiter: a},
				ratelimit.Rule{Name: "b", Limiter: b},
				ratelimit.Rule{Name: "c", Limiter: c},
			).AllowN(t.Context(), "key", 10)
			if d.OK != tt.ok || (err == nil) != (tt.errors == nil) {
				t.Errorf("%+v, %v", d, err)
			}
			if d.Rule != tt.rule {
				t.Errorf("rule %q, want %q", d.Rule, tt.rule)
			}
			for _, want := range tt.errors {
				wantError(t, err, want)
			}
			if got := [3]int{a.charged("key"), b.charged("key"), c.charged("key")}; got != tt.want {
				t.Errorf("charged: %v, want %v", got, tt.want)
			}
		})
	}
}

func sound(*account) {}

func full(a *account) { a.limit = 0 }

func fails(err error, open bool) func(*account) {
	return func(a *account) { a.fail, a.open = err, open }
}

// Whatever panics or ends the goroutine: nothing stays taken, and it goes on.
func TestAllPanics(t *testing.T) {
	for _, tt := range []struct {
		name string
		rule func(do func()) ratelimit.Rule
	}{
		{"Key", func(do func()) ratelimit.Rule {
			return ratelimit.Rule{Limiter: newAccount(9), Key: func(context.Context, string) string { do(); return "" }}
		}},
		{"Cost", func(do func()) ratelimit.Rule {
			return ratelimit.Rule{Limiter: newAccount(9), Cost: func(int) int { do(); return 1 }}
		}},
		{"AllowN", func(do func()) ratelimit.Rule {
			return ratelimit.Rule{Limiter: spy{newAccount(9), func(context.Context) { do() }}}
		}},
		{"LimitFor", func(do func()) ratelimit.Rule {
			k, err := ratelimit.New(ratelimit.Config{
				Limit:    ratelimit.PerSecond(1),
				LimitFor: func(string) (ratelimit.Limit, bool) { do(); return ratelimit.Limit{}, false },
			})
			if err != nil {
				t.Fatal(err)
			}
			return ratelimit.Rule{Limiter: k}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a, b := newAccount(9), newAccount(9)
			with := func(do func()) ratelimit.Limiter {
				rule := tt.rule(do)
				rule.Name = "bad"
				return ratelimit.All(ratelimit.Rule{Name: "a", Limiter: a}, rule, ratelimit.Rule{Name: "b", Limiter: b})
			}
			for _, call := range []func(l ratelimit.Limiter){
				func(l ratelimit.Limiter) { l.AllowN(t.Context(), "key", 1) },
				func(l ratelimit.Limiter) { ratelimit.Reserve(t.Context(), l, "key", 1) },
			} {
				func() {
					defer func() {
						if p := recover(); p != "boom" {
							t.Errorf("recovered %v", p)
						}
					}()
					call(with(func() { panic("boom") }))
				}()
				done := make(chan struct{})
				go func() {
					defer close(done)
					call(with(runtime.Goexit))
				}()
				<-done
			}
			wantCharged(t, a, 0)
			wantCharged(t, b, 0)
		})
	}
}

// A Cost that panics in Extend or Commit leaves the reservation usable.
func TestReservePanics(t *testing.T) {
	a, bad := newAccount(100), false
	r := reserve(t, ratelimit.All(ratelimit.Rule{Name: "a", Limiter: a, Cost: func(n int) int {
		if bad {
			panic("boom")
		}
		return n
	}}), 10)
	bad = true
	for _, call := range []func() error{
		func() error { return r.Extend(1) },
		func() error { return r.Commit(1) },
	} {
		func() {
			defer func() {
				if p := recover(); p != "boom" {
					t.Errorf("recovered %v", p)
				}
			}()
			t.Error(call())
		}()
	}
	wantCharged(t, a, 10)
	bad = false
	wantError(t, r.Commit(3), nil)
	wantCharged(t, a, 3)
}

// A caller that leaves in the middle does not keep what was taken for it.
func TestAllGivesBackForWhoLeft(t *testing.T) {
	a := newAccount(9)
	ctx, leave := context.WithCancel(t.Context())
	l := ratelimit.All(
		ratelimit.Rule{Name: "a", Limiter: a},
		ratelimit.Rule{Name: "b", Limiter: spy{newAccount(0), func(context.Context) { leave() }}},
	)
	d, err := l.AllowN(ctx, "key", 1)
	if d.OK || d.Rule != "b" || err != nil {
		t.Errorf("%+v, %v", d, err)
	}
	wantError(t, a.ctx, nil)
	wantCharged(t, a, 0)
}

func TestAllPanicsOnWrongRules(t *testing.T) {
	a := newAccount(1)
	for want, rules := range map[string][]ratelimit.Rule{
		`ratelimit: All: no rules`:                                nil,
		`ratelimit: All: rule 1 has no Name`:                      {{Name: "a", Limiter: a}, {Limiter: a}},
		`ratelimit: All: rule "a" has no Limiter`:                 {{Name: "a"}},
		`ratelimit: All: two rules are named "a"`:                 {{Name: "a", Limiter: a}, {Name: "a", Limiter: a}},
		`ratelimit: All: the name "a\r\n" is not printable ASCII`: {{Name: "a\r\n", Limiter: a}},
		`ratelimit: All: the name "é" is not printable ASCII`:     {{Name: "é", Limiter: a}},
		`ratelimit: All: two rules are named "a/b"`: {
			{Name: "a/b", Limiter: a},
			{Name: "a", Limiter: ratelimit.All(ratelimit.Rule{Name: "b", Limiter: a})},
		},
	} {
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic %q, want %q", got, want)
				}
			}()
			ratelimit.All(rules...)
		}()
	}
}

// What All made can be a rule of another, and a reservation sees through it.
func TestAllNested(t *testing.T) {
	requests, tokens, tenant := newAccount(10), newAccount(100), newAccount(200)
	inner := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: requests, Cost: once, Key: func(_ context.Context, key string) string { return "r:" + key }},
		ratelimit.Rule{Name: "tokens", Limiter: tokens},
	)
	l := ratelimit.All(
		ratelimit.Rule{Name: "tenant", Limiter: tenant},
		ratelimit.Rule{
			Name: "model", Limiter: inner,
			Key:  func(_ context.Context, key string) string { return "m:" + key },
			Cost: func(n int) int { return 2 * (n - 1) }, // the first is free
		},
		ratelimit.Rule{Name: "as it is", Limiter: ratelimit.All(ratelimit.Rule{Name: "tokens", Limiter: tenant, Key: constant("all")})},
	)
	r := reserve(t, l, 11)
	check := func(wantTenant, wantRequests, wantTokens int) {
		t.Helper()
		got := []int{tenant.charged("key"), tenant.charged("all"), requests.charged("r:m:key"), tokens.charged("m:key")}
		want := []int{wantTenant, wantTenant, wantRequests, wantTokens}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("charged: %v, want %v", got, want)
		}
	}
	check(11, 1, 20)
	wantError(t, r.Extend(5), nil)
	check(16, 1, 30)
	var limited *ratelimit.LimitedError
	if err := r.Extend(50); !errors.As(err, &limited) || limited.Decision.Rule != "model/tokens" {
		t.Errorf("Extend: %v", err)
	}
	check(16, 1, 30)
	wantError(t, r.Commit(2), nil)
	check(2, 1, 2)
	if d := allow(t, l, 1); !d.OK {
		t.Errorf("the free one: %+v", d)
	}
	check(3, 1, 2) // costs the inner rules nothing, also the one that counts calls
}

// More rules than fit the room that costs nothing.
func TestAllManyRules(t *testing.T) {
	a := newAccount(100)
	var rules []ratelimit.Rule
	for i := range 20 {
		rules = append(rules, ratelimit.Rule{Name: fmt.Sprint(i), Limiter: a})
	}
	rules = append(rules, ratelimit.Rule{Name: "last", Limiter: newAccount(2)})
	l := ratelimit.All(rules...)
	for range 2 {
		if d := allow(t, l, 1); !d.OK {
			t.Errorf("%+v", d)
		}
	}
	if d := allow(t, l, 1); d.OK || d.Rule != "last" {
		t.Errorf("%+v", d)
	}
	wantCharged(t, a, 40)
}

// A limit that changes while a later rule is asked: what is given back is the
// time that was taken, and not what it would take by now.
func TestAllGivesBackByTheLimitItTookBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keyed(t, ratelimit.Limit{Rate: 100, Burst: 100})
		l := ratelimit.All(
			ratelimit.Rule{Name: "changes", Limiter: k},
			ratelimit.Rule{Name: "denies", Limiter: spy{newAccount(0), func(context.Context) {
				if err := k.SetLimit(ratelimit.Limit{Rate: 1, Burst: 2}); err != nil {
					t.Error(err)
				}
			}}},
		)
		allow(t, k, 90) // 0.9 s
		allow(t, l, 10) // 0.1 s more, and back
		if d := allow(t, k, 0); d.ResetAfter != 900*time.Millisecond {
			t.Errorf("%+v", d)
		}
	})
}
