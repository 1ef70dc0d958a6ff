package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// reserve is a reservation that must be possible.
func reserve(t *testing.T, l ratelimit.Limiter, estimate int) *ratelimit.Reservation {
	t.Helper()
	r, d, err := ratelimit.Reserve(t.Context(), l, "key", estimate)
	if err != nil || r == nil || !d.OK {
		t.Fatalf("Reserve: %v, %+v, %v", r, d, err)
	}
	return r
}

func wantCharged(t *testing.T, a *account, want int) {
	t.Helper()
	if got := a.charged("key"); got != want {
		t.Errorf("%d are charged, want %d", got, want)
	}
}

func wantError(t *testing.T, got, want error) {
	t.Helper()
	if !errors.Is(got, want) || (got == nil) != (want == nil) {
		t.Errorf("error %v, want %v", got, want)
	}
}

func TestReserveEnds(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(*ratelimit.Reservation) error
		want int
	}{
		{"less than reserved", func(r *ratelimit.Reservation) error { return r.Commit(7) }, 7},
		{"all of it", func(r *ratelimit.Reservation) error { return r.Commit(15) }, 15},
		{"more: debt", func(r *ratelimit.Reservation) error { return r.Commit(1000) }, 1000},
		{"nothing", func(r *ratelimit.Reservation) error { return r.Commit(0) }, 0},
		{"not done", (*ratelimit.Reservation).Cancel, 0},
		{"vanished", func(*ratelimit.Reservation) error { return nil }, 15},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(100)
			r := reserve(t, a, 10)
			wantCharged(t, a, 10)
			wantError(t, r.Extend(5), nil)
			wantCharged(t, a, 15)
			wantError(t, tt.end(r), nil)
			wantCharged(t, a, tt.want)
		})
	}
}

// Whichever came first holds.
func TestReserveEndsOnce(t *testing.T) {
	a := newAccount(100)
	r := reserve(t, a, 10)
	wantError(t, r.Commit(7), nil)
	wantError(t, r.Commit(3), nil)
	wantError(t, r.Cancel(), nil)
	wantError(t, r.Extend(1), ratelimit.ErrExpired)
	wantError(t, r.Extend(0), ratelimit.ErrExpired)
	wantCharged(t, a, 7)

	r = reserve(t, a, 10)
	wantError(t, r.Cancel(), nil)
	wantError(t, r.Cancel(), nil)
	wantError(t, r.Commit(10), nil)
	wantError(t, r.Extend(1), ratelimit.ErrExpired)
	wantCharged(t, a, 7)
}

func TestReserveRefused(t *testing.T) {
	a := newAccount(100)
	held := reserve(t, a, 95)
	r, d, err := ratelimit.Reserve(t.Context(), a, "key", 6)
	var limited *ratelimit.LimitedError
	if r != nil || d.OK || !errors.As(err, &limited) || !errors.Is(err, ratelimit.ErrLimited) ||
		limited.Decision != d || d.RetryAfter != time.Minute || d.Remaining != 5 {
		t.Errorf("%v, %+v, %v", r, d, err)
	}
	_, d, err = ratelimit.Reserve(t.Context(), a, "key", 101)
	if !errors.As(err, &limited) || limited.Retryable() || d.RetryAfter != rate.InfDuration {
		t.Errorf("more than the limit allows at all: %+v, %v", d, err)
	}
	r, d, err = ratelimit.Reserve(t.Context(), a, "key", -1)
	if r != nil || d != (ratelimit.Decision{}) {
		t.Errorf("%v, %+v", r, d)
	}
	wantError(t, err, ratelimit.ErrCost)

	// A stream that is refused more ends, and is charged with what it used.
	if err := held.Extend(6); !errors.As(err, &limited) || limited.RetryDelay() != time.Minute {
		t.Errorf("Extend: %v", err)
	}
	wantError(t, held.Extend(5), nil)
	wantCharged(t, a, 100)
	wantError(t, held.Commit(98), nil)
	wantCharged(t, a, 98)
}

// What makes no sense changes nothing, and the reservation goes on.
func TestReserveNumbers(t *testing.T) {
	a := newAccount(math.MaxInt)
	r := reserve(t, a, 10)
	wantError(t, r.Extend(-1), ratelimit.ErrCost)
	wantError(t, r.Extend(math.MinInt), ratelimit.ErrCost)
	wantError(t, r.Commit(-1), ratelimit.ErrCost)
	wantError(t, r.Commit(math.MinInt), ratelimit.ErrCost)
	var limited *ratelimit.LimitedError
	if err := r.Extend(math.MaxInt - 9); !errors.As(err, &limited) || limited.Retryable() {
		t.Errorf("a sum that is none: %v", err)
	}
	wantCharged(t, a, 10)
	wantError(t, r.Extend(math.MaxInt-10), nil)
	wantError(t, r.Extend(1), ratelimit.ErrLimited)
	wantCharged(t, a, math.MaxInt)
	wantError(t, r.Commit(math.MaxInt), nil)
	wantCharged(t, a, math.MaxInt)

	a = newAccount(0)
	r = reserve(t, a, 0) // an exemption asks nobody
	wantError(t, r.Extend(0), nil)
	if a.calls != 0 {
		t.Error("nothing was asked for")
	}
	wantError(t, r.Extend(1), ratelimit.ErrLimited)
	wantError(t, r.Commit(3), nil)
	wantCharged(t, a, 3)
}

func TestReserveExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAccount(100)
		late, cancelled := reserve(t, a, 10), reserve(t, a, 10)
		renewed, refused := reserve(t, a, 10), reserve(t, a, 10)
		<-time.After(ratelimit.ReservationTTL - 1)
		wantError(t, renewed.Extend(0), nil)
		wantError(t, refused.Extend(1000), ratelimit.ErrLimited) // renews nothing
		wantError(t, late.Commit(-1), ratelimit.ErrCost)
		<-time.After(1)

		wantError(t, late.Extend(1), ratelimit.ErrExpired)
		for range 2 {
			wantError(t, late.Commit(1), ratelimit.ErrExpired)
			wantError(t, late.Cancel(), ratelimit.ErrExpired)
			wantError(t, cancelled.Cancel(), ratelimit.ErrExpired)
		}
		wantError(t, refused.Commit(1), ratelimit.ErrExpired)
		wantCharged(t, a, 40)

		<-time.After(ratelimit.ReservationTTL - 2)
		wantError(t, renewed.Commit(1), nil)
		wantCharged(t, a, 31)
	})
}

// A client that left is still accounted for, with what its context knew.
func TestReserveOutlivesItsContext(t *testing.T) {
	type tag struct{}
	a := newAccount(100)
	var seen []any
	l := ratelimit.All(ratelimit.Rule{Name: "tokens", Limiter: spy{a, func(ctx context.Context) { seen = append(seen, ctx.Value(tag{})) }}})
	ctx, leave := context.WithCancel(context.WithValue(t.Context(), tag{}, "tag"))
	r, _, err := ratelimit.Reserve(ctx, l, "key", 10)
	wantError(t, err, nil)
	leave()
	wantError(t, r.Extend(10), nil)
	wantError(t, a.ctx, nil)
	wantError(t, r.Commit(3), nil)
	wantError(t, a.ctx, nil)
	wantCharged(t, a, 3)
	if fmt.Sprint(seen) != "[tag tag tag]" {
		t.Errorf("the contexts had %v", seen)
	}
}

// spy tells of each call of a limiter before it does it.
type spy struct {
	ratelimit.Limiter
	tell func(context.Context)
}

func (s spy) AllowN(ctx context.Context, key string, n int) (ratelimit.Decision, error) {
	s.tell(ctx)
	return s.Limiter.AllowN(ctx, key, n)
}

func (s spy) Return(ctx context.Context, key string, n int) error {
	s.tell(ctx)
	return s.Limiter.Return(ctx, key, n)
}

var errDown = errors.New("down")

// A limiter that fails and turns away.
func TestReserveFailsClosed(t *testing.T) {
	a := newAccount(100)
	r := reserve(t, a, 10)
	a.set(func(a *account) { a.fail = errDown })
	none, d, err := ratelimit.Reserve(t.Context(), a, "key", 10)
	if none != nil || d.OK || errors.Is(err, ratelimit.ErrLimited) {
		t.Errorf("%v, %+v, %v", none, d, err)
	}
	wantError(t, err, errDown)
	wantError(t, r.Extend(10), errDown)
	a.set(func(a *account) { a.fail = nil })
	wantError(t, r.Commit(12), nil)
	wantCharged(t, a, 12)
}

// One that fails and lets through has taken nothing, so nothing of it can be
// given back.
func TestReserveFailsOpen(t *testing.T) {
	for _, tt := range []struct {
		name          string
		before, after bool // whether it fails in Reserve, in Extend
		end           func(*ratelimit.Reservation) error
		want          int
	}{
		{"in Reserve", true, false, func(r *ratelimit.Reservation) error { return r.Commit(12) }, 12},
		{"in Reserve, cancelled", true, false, (*ratelimit.Reservation).Cancel, 0},
		{"in Reserve, vanished", true, false, func(*ratelimit.Reservation) error { return nil }, 5},
		{"in Extend", false, true, func(r *ratelimit.Reservation) error { return r.Commit(12) }, 12},
		{"in Extend, cancelled", false, true, (*ratelimit.Reservation).Cancel, 0},
		{"in Extend, vanished", false, true, func(*ratelimit.Reservation) error { return nil }, 10},
		{"in both", true, true, func(r *ratelimit.Reservation) error { return r.Commit(12) }, 12},
		{"in both, cancelled", true, true, (*ratelimit.Reservation).Cancel, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := newAccount(100)
			a.open = true
			fail := func(yes bool) {
				a.fail = nil
				if yes {
					a.fail = errDown
				}
			}
			fail(tt.before)
			r := reserve(t, a, 10)
			fail(tt.after)
			wantError(t, r.Extend(5), nil)
			wantError(t, tt.end(r), nil)
			wantCharged(t, a, tt.want)
		})
	}
}

// A Return may have arrived though it failed: it is not made twice.
func TestReserveReturnFails(t *testing.T) {
	for name, end := range map[string]func(*ratelimit.Reservation) error{
		"Commit": func(r *ratelimit.Reservation) error { return r.Commit(3) },
		"Cancel": (*ratelimit.Reservation).Cancel,
	} {
		a := newAccount(100)
		r := reserve(t, a, 10)
		a.set(func(a *account) { a.broken = errDown })
		wantError(t, end(r), errDown)
		a.set(func(a *account) { a.broken = nil })
		wantError(t, end(r), nil)
		wantError(t, r.Extend(1), ratelimit.ErrExpired)
		if got := a.charged("key"); got != 10 {
			t.Errorf("%s: %d are charged", name, got)
		}
	}
}

// Each rule moves by the difference of what it wants.
func TestReserveOverRules(t *testing.T) {
	for _, tt := range []struct {
		name                    string
		end                     func(*ratelimit.Reservation) error
		requests, tokens, pairs int
	}{
		{"less", func(r *ratelimit.Reservation) error { return r.Commit(7) }, 1, 7, 4},
		{"nothing", func(r *ratelimit.Reservation) error { return r.Commit(0) }, 1, 0, 0},
		{"more", func(r *ratelimit.Reservation) error { return r.Commit(301) }, 1, 301, 151},
		{"not done", (*ratelimit.Reservation).Cancel, 0, 0, 0},
		{"vanished", func(*ratelimit.Reservation) error { return nil }, 1, 21, 11},
	} {
		t.Run(tt.name, func(t *testing.T) {
			requests, tokens, pairs := newAccount(2), newAccount(100), newAccount(100)
			l := ratelimit.All(
				ratelimit.Rule{Name: "requests", Limiter: requests, Cost: once},
				ratelimit.Rule{Name: "tokens", Limiter: tokens},
				ratelimit.Rule{Name: "pairs", Limiter: pairs, Cost: func(n int) int { return (n + 1) / 2 }},
			)
			r := reserve(t, l, 10)
			for range 11 {
				wantError(t, r.Extend(1), nil)
			}
			for _, a := range []struct {
				*account
				want int
			}{{requests, 1}, {tokens, 21}, {pairs, 11}} {
				wantCharged(t, a.account, a.want)
			}
			err := r.Extend(80)
			var limited *ratelimit.LimitedError
			if !errors.As(err, &limited) || limited.Decision.Rule != "tokens" {
				t.Errorf("Extend: %v", err)
			}
			wantError(t, tt.end(r), nil)
			wantCharged(t, requests, tt.requests)
			wantCharged(t, tokens, tt.tokens)
			wantCharged(t, pairs, tt.pairs)
		})
	}
}

// A rule that refuses more leaves the others as they were.
func TestExtendIsAllOrNothing(t *testing.T) {
	tokens, tenant := newAccount(100), newAccount(20)
	l := ratelimit.All(
		ratelimit.Rule{Name: "tokens", Limiter: tokens},
		ratelimit.Rule{Name: "tenant", Limiter: tenant},
	)
	r := reserve(t, l, 15)
	err := r.Extend(6)
	wantError(t, err, ratelimit.ErrLimited)
	if !strings.Contains(fmt.Sprint(err), `"tenant"`) {
		t.Errorf("which rule it was: %v", err)
	}
	wantCharged(t, tokens, 15)
	wantCharged(t, tenant, 15)
	err = r.Extend(90) // which the other refuses: what the first refusal gave back stays given back
	wantError(t, err, ratelimit.ErrLimited)
	if !strings.Contains(fmt.Sprint(err), `"tokens"`) {
		t.Errorf("which rule it was: %v", err)
	}
	wantCharged(t, tokens, 15)
	wantError(t, r.Extend(5), nil)
	wantError(t, r.Cancel(), nil)
	wantCharged(t, tokens, 0)
	wantCharged(t, tenant, 0)
}

// An exemption is one also of rules that count calls.
func TestReserveNothing(t *testing.T) {
	requests := newAccount(10)
	l := ratelimit.All(ratelimit.Rule{Name: "requests", Limiter: requests, Cost: once})
	r := reserve(t, l, 0)
	wantError(t, r.Extend(0), nil)
	wantError(t, r.Commit(0), nil)
	wantCharged(t, requests, 0)
	r = reserve(t, l, 0)
	wantError(t, r.Extend(5), nil) // it has become a call
	wantError(t, r.Commit(0), nil)
	wantCharged(t, requests, 1)
	r = reserve(t, l, 0)
	wantError(t, r.Commit(5), nil)
	wantCharged(t, requests, 2)
}

// A Cost that falls, as it should not, is charged at its height until Commit.
func TestExtendWithFallingCost(t *testing.T) {
	a := newAccount(100)
	r := reserve(t, ratelimit.All(ratelimit.Rule{Name: "a", Limiter: a, Cost: func(n int) int {
		return map[int]int{10: 10, 11: 5, 12: 8, 13: 12}[n]
	}}), 10)
	for i, want := range []int{10, 10, 12} {
		wantError(t, r.Extend(1), nil)
		if got := a.charged("key"); got != want {
			t.Errorf("after extension %d, %d are charged, want %d", i, got, want)
		}
	}
	wantError(t, r.Commit(11), nil)
	wantCharged(t, a, 5)
}

// A rule that cannot be settled does not keep the others from it.
func TestCommitSettlesWhatItCan(t *testing.T) {
	broken, sound := newAccount(100), newAccount(100)
	r := reserve(t, ratelimit.All(
		ratelimit.Rule{Name: "broken", Limiter: broken},
		ratelimit.Rule{Name: "sound", Limiter: sound},
	), 10)
	broken.broken = errDown
	err := r.Commit(4)
	wantError(t, err, errDown)
	if fmt.Sprint(err) != `ratelimit: rule "broken": down` {
		t.Errorf("whose error it is: %v", err)
	}
	wantCharged(t, broken, 10)
	wantCharged(t, sound, 4)
}

// The key of a rule is asked for once: what is given back goes where it was
// taken from.
func TestReserveKeepsItsKeys(t *testing.T) {
	a, model := newAccount(100), "small"
	r := reserve(t, ratelimit.All(ratelimit.Rule{
		Name: "model", Limiter: a,
		Key: func(_ context.Context, key string) string { return key + "/" + model },
	}), 10)
	model = "large"
	wantError(t, r.Extend(5), nil)
	wantError(t, r.Commit(2), nil)
	if a.charged("key/small") != 2 || a.charged("key/large") != 0 {
		t.Errorf("charged: %v", a.keys)
	}
}

// On a limiter in memory: debt is paid off at the limit's rate, and what is
// given back is there at once.
func TestReserveOnKeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keyed(t, ratelimit.PerMinute(60))
		r := reserve(t, k, 60)
		wantError(t, r.Extend(1), ratelimit.ErrLimited)
		<-time.After(time.Second)
		wantError(t, r.Extend(1), nil)
		wantError(t, r.Commit(121), nil)
		if d := allow(t, k, 1); d.OK || d.RetryAfter != 61*time.Second || d.Remaining != 0 {
			t.Errorf("in debt by 60: %+v", d)
		}
		<-time.After(60 * time.Second)
		wantError(t, r.Cancel(), nil) // too late to count
		if d := allow(t, k, 1); d.OK || d.RetryAfter != time.Second {
			t.Errorf("out of debt: %+v", d)
		}
		<-time.After(40 * time.Second)
		r = reserve(t, k, 40)
		wantError(t, r.Commit(10), nil)
		if d := allow(t, k, 30); !d.OK || d.Remaining != 0 {
			t.Errorf("what was given back: %+v", d)
		}
	})
}

// A limit that becomes slower while work goes on: what is given back is no more
// than what was taken, or the key would get back what others had of it.
func TestReserveGivesBackByTheLimitItTookBy(t *testing.T) {
	for _, tt := range []struct {
		name     string
		extended ratelimit.Limit // what the limit is in Extend
		after    ratelimit.Limit // and in Commit
		reset    time.Duration   // of 985 others at 100 a second, and what is not given back
	}{
		{"slower", ratelimit.Limit{Rate: 100, Burst: 1000}, ratelimit.Limit{Rate: 1, Burst: 10}, 9850 * time.Millisecond},
		{"slower, then slower", ratelimit.Limit{Rate: 50, Burst: 1000}, ratelimit.Limit{Rate: 1, Burst: 10}, 9900 * time.Millisecond},
		{"faster", ratelimit.Limit{Rate: 100, Burst: 1000}, ratelimit.Limit{Rate: 1000, Burst: 10_000}, 9940 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keyed(t, ratelimit.Limit{Rate: 100, Burst: 1000})
				set := func(l ratelimit.Limit) { wantError(t, k.SetLimit(l), nil) }
				r := reserve(t, k, 5)
				allow(t, k, 985)
				set(tt.extended)
				wantError(t, r.Extend(5), nil)
				set(tt.after)
				wantError(t, r.Commit(0), nil)
				if d := allow(t, k, 0); d.ResetAfter != tt.reset {
					t.Errorf("%v until nothing is used, want %v", d.ResetAfter, tt.reset)
				}
			})
		})
	}
}
