package ratelimit_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

func newKeyed(t testing.TB, cfg ratelimit.Config) *ratelimit.Keyed {
	t.Helper()
	k, err := ratelimit.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestLimits(t *testing.T) {
	for _, tt := range []struct {
		got  ratelimit.Limit
		want ratelimit.Limit
	}{
		{ratelimit.PerSecond(10), ratelimit.Limit{Rate: 10, Burst: 10}},
		{ratelimit.PerSecond(0.5), ratelimit.Limit{Rate: 0.5, Burst: 1}},
		{ratelimit.PerMinute(90), ratelimit.Limit{Rate: 1.5, Burst: 90}},
		{ratelimit.PerHour(3600), ratelimit.Limit{Rate: 1, Burst: 3600}},
		{ratelimit.PerDay(86400), ratelimit.Limit{Rate: 1, Burst: 86400}},
	} {
		if tt.got != tt.want {
			t.Errorf("%+v, want %+v", tt.got, tt.want)
		}
		if err := tt.got.Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestNewNamesEverythingThatIsWrong(t *testing.T) {
	good := ratelimit.PerSecond(1)
	for _, tt := range []struct {
		name string
		cfg  ratelimit.Config
		want []string
	}{
		{"nothing", ratelimit.Config{}, []string{"Config.Limit", "Rate 0", "Burst 0"}},
		{"zero rate", ratelimit.Config{Limit: ratelimit.PerSecond(0)}, []string{"Rate 0", "Burst 0"}},
		{"negative", ratelimit.Config{Limit: ratelimit.PerMinute(-5), MaxKeys: -1}, []string{"Rate -", "Burst -5", "MaxKeys"}},
		{"no number", ratelimit.Config{Limit: ratelimit.PerHour(math.NaN())}, []string{"Rate NaN", "Burst 0"}},
		{"infinite", ratelimit.Config{Limit: ratelimit.Limit{Rate: rate.Inf, Burst: 1}}, []string{"Rate "}},
		{"infinite a second", ratelimit.Config{Limit: ratelimit.PerSecond(math.Inf(1))}, []string{"Rate +Inf", "Burst 0"}},
		{"too fast", ratelimit.Config{Limit: ratelimit.Limit{Rate: 1e9 + 1, Burst: 1}}, []string{"Rate 1.000000001e+09"}},
		{"too long", ratelimit.Config{Limit: ratelimit.Limit{Rate: 1, Burst: 3_155_760_001}}, []string{"100 years"}},
		{"too slow", ratelimit.Config{Limit: ratelimit.Limit{Rate: 1e-300, Burst: 1}}, []string{"100 years"}},
		{"too many keys", ratelimit.Config{Limit: good, MaxKeys: 1<<30 + 1}, []string{"MaxKeys"}},
	} {
		k, err := ratelimit.New(tt.cfg)
		if k != nil || err == nil {
			t.Errorf("%s: no error", tt.name)
			continue
		}
		for _, want := range append(tt.want, "ratelimit: ") {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q does not say %q", tt.name, err, want)
			}
		}
	}
	for _, l := range []ratelimit.Limit{{Rate: 1e9, Burst: 1}, {Rate: 1, Burst: 3_155_760_000}, {Rate: 1e9, Burst: 3e18}} {
		if _, err := ratelimit.New(ratelimit.Config{Limit: l, MaxKeys: 1}); err != nil {
			t.Errorf("%+v: %v", l, err)
		}
	}
}

// Whatever is asked for, each decision is the reference's, field by field. With
// one key times go backwards, too; with several that might cost one key what
// another had used, once its cell is reused.
func TestAgreesWithTheReference(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 4))
		limits := make(map[string]ratelimit.Limit)
		backwards := seed%2 == 0
		for i := range 30 {
			if backwards && i > 0 {
				break
			}
			limits[strconv.Itoa(i)] = randomLimit(rnd)
		}
		k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(1), MaxKeys: 1000, LimitFor: func(key string) (ratelimit.Limit, bool) {
			l, ok := limits[key]
			return l, ok
		}})
		ref := reference{make(map[string]int64)}
		now := base
		for range 3000 {
			now = now.Add(time.Duration(rnd.ExpFloat64() * float64(time.Second) * math.Pow(10, float64(rnd.IntN(6)-4))))
			at := now
			if backwards && rnd.IntN(4) == 0 {
				at = at.Add(-time.Duration(rnd.ExpFloat64() * float64(time.Second)))
			}
			key := strconv.Itoa(rnd.IntN(len(limits)))
			n := rnd.IntN(limits[key].Burst*5/4+2) - 1
			got, want := k.AllowAt(at, key, n), ref.allowAt(limits[key], at, key, n)
			if got != want {
				t.Fatalf("seed %d: %d of %q: %+v, want %+v", seed, n, key, got, want)
			}
		}
		if s := k.Stats(); s.Overflow != 0 || s.Allowed+s.Denied != 3000 {
			t.Fatalf("%+v", s)
		}
	}
}

func randomLimit(rnd *rand.Rand) ratelimit.Limit {
	return ratelimit.Limit{Rate: rate.Limit(math.Pow(10, rnd.Float64()*9-4)), Burst: 1 + rnd.IntN(1+rnd.IntN(50))}
}

// In no window does a key get more than Burst + Rate·t, in exact numbers, also
// at rates whose interval is no whole number of nanoseconds.
func TestNoWindowHoldsTooMuch(t *testing.T) {
	for seed := range uint64(40) {
		rnd := rand.New(rand.NewPCG(seed, 5))
		limit := randomLimit(rnd)
		k := newKeyed(t, ratelimit.Config{Limit: limit, MaxKeys: 1})
		w := window{limit: limit}
		now, denied := int64(0), 0
		for range 150 {
			now += int64(rnd.ExpFloat64() * 1e9 / float64(limit.Rate) * 1.5)
			n := 1 + rnd.IntN(min(limit.Burst, 3))
			if k.AllowAt(base.Add(time.Duration(now)), "", n).OK {
				w.add(now, n)
			} else {
				denied++
			}
		}
		if over := w.excess(); over.Sign() != 0 {
			f, _ := over.Float64()
			t.Errorf("seed %d: %v above %+v", seed, f, limit)
		}
		if denied == 0 || len(w.at) == 0 {
			t.Errorf("seed %d: %d denied, %d let through: says nothing", seed, denied, len(w.at))
		}
	}
}

// A whole burst goes through at once, and the next one when its time has come,
// to the nanosecond.
func TestBurstAndRetryAfter(t *testing.T) {
	for _, l := range []ratelimit.Limit{
		ratelimit.PerHour(5), ratelimit.PerSecond(7), ratelimit.PerMinute(100), {Rate: 1e9, Burst: 3}, {Rate: 7e8, Burst: 9},
	} {
		k := newKeyed(t, ratelimit.Config{Limit: l})
		for i := range l.Burst {
			if d := k.AllowAt(base, "a", 1); !d.OK || d.Remaining != l.Burst-1-i || d.RetryAfter != 0 || d.Limit != l {
				t.Errorf("%+v: call %d: %+v", l, i, d)
			}
		}
		d := k.AllowAt(base, "a", 1)
		if d.OK || d.Remaining != 0 || d.RetryAfter <= 0 || d.ResetAfter < d.RetryAfter {
			t.Errorf("%+v: %+v", l, d)
		}
		if early := k.AllowAt(base.Add(d.RetryAfter-1), "a", 1); early.OK || early.RetryAfter != 1 {
			t.Errorf("%+v: a nanosecond early: %+v", l, early)
		}
		if !k.AllowAt(base.Add(d.RetryAfter), "a", 1).OK {
			t.Errorf("%+v: not let through after RetryAfter", l)
		}
		if d := k.AllowAt(base.Add(24*time.Hour), "a", 0); !d.OK || d.Remaining != l.Burst || d.ResetAfter != 0 {
			t.Errorf("%+v: not recovered: %+v", l, d)
		}
	}
}

func TestMoreThanTheBurstIsNever(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(10)})
	for _, n := range []int{11, math.MaxInt, -1, math.MinInt} {
		d := k.AllowAt(base, "a", n)
		if d.OK || d.RetryAfter != rate.InfDuration || d.Remaining != 10 {
			t.Errorf("%d: %+v", n, d)
		}
	}
	if d, err := k.AllowN(t.Context(), "a", -1); err != ratelimit.ErrCost || d.OK {
		t.Errorf("%+v, %v", d, err)
	}
	if d := k.AllowAt(base, "a", 10); !d.OK {
		t.Errorf("a refused call took something: %+v", d)
	}
}

// To ask for nothing takes nothing and is always granted.
func TestNothing(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(1)})
	for range 3 {
		if d := k.AllowAt(base, "a", 0); !d.OK || d.Remaining != 1 {
			t.Errorf("%+v", d)
		}
	}
	if s := k.Stats(); s.Keys != 0 {
		t.Errorf("%+v", s)
	}
	k.AllowAt(base, "a", 1)
	if d := k.AllowAt(base, "a", 0); !d.OK || d.Remaining != 0 {
		t.Errorf("%+v", d)
	}
}

// golang.org/x/time/rate v0.16 lets 20 through here: going back moves its last
// time back, so that the way forward fills the bucket again.
func TestTimeGoingBackwards(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.Limit{Rate: 1, Burst: 2}})
	admitted := 0
	for i := range 20 {
		if k.AllowAt(base.Add(-time.Duration(i%2)*10*time.Second), "a", 1).OK {
			admitted++
		}
	}
	if admitted != 2 {
		t.Errorf("%d let through, want 2", admitted)
	}
}

// A key whose cell was reused, far in the future, is not fresh when time goes
// back.
func TestReusedCellAndTimeGoingBackwards(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerHour(5), MaxKeys: 1})
	if !k.AllowAt(base, "victim", 5).OK {
		t.Fatal("not let through")
	}
	for i := range k.Stats().Capacity { // as many as there are cells: nobody has charged a shared one
		k.AllowAt(base.Add(24*time.Hour), strconv.Itoa(i), 1)
	}
	if s := k.Stats(); s.Reused != 1 || s.Overflow != 0 {
		t.Fatalf("%+v: not just the victim's cell was reused", s)
	}
	if k.AllowAt(base.Add(time.Minute), "victim", 1).OK {
		t.Error("let through again")
	}
}

func TestExtremeTimes(t *testing.T) {
	for _, at := range []time.Time{{}, time.Unix(0, 0), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), time.Unix(1<<60, 0), time.Unix(-1<<60, 0)} {
		k := newKeyed(t, ratelimit.Config{Limit: ratelimit.Limit{Rate: 1, Burst: 3_155_760_000}})
		if d := k.AllowAt(at, "a", 3_155_759_999); !d.OK || d.Remaining != 1 {
			t.Errorf("%v: %+v", at, d)
		}
		if d := k.AllowAt(at, "a", 2); d.OK || d.RetryAfter != time.Second {
			t.Errorf("%v: %+v", at, d)
		}
		if d := k.AllowAt(time.Time{}, "a", 1); d.ResetAfter < 0 || d.Remaining < 0 || d.RetryAfter < 0 {
			t.Errorf("%v, then the beginning of time: %+v", at, d)
		}
	}
}

// Limits of keys may differ and change from call to call. What was used stays
// used, as the time that it took up.
func TestLimitsChangeWhileRunning(t *testing.T) {
	own := ratelimit.Limit{}
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(10), LimitFor: func(key string) (ratelimit.Limit, bool) {
		return own, key == "a"
	}})
	if d := k.AllowAt(base, "a", 1); d.OK || d.RetryAfter != rate.InfDuration {
		t.Errorf("an invalid limit lets through: %+v", d)
	}
	own = ratelimit.PerMinute(60)
	if d := k.AllowAt(base, "a", 60); !d.OK {
		t.Errorf("%+v", d)
	}
	if d := k.AllowAt(base, "b", 10); !d.OK || d.Limit != ratelimit.PerSecond(10) {
		t.Errorf("%+v", d)
	}
	own = ratelimit.PerSecond(10) // a minute is used
	if d := k.AllowAt(base.Add(59*time.Second), "a", 1); d.OK || d.RetryAfter != 100*time.Millisecond || d.ResetAfter != time.Second {
		t.Errorf("%+v", d)
	}
	if err := k.SetLimit(ratelimit.Limit{}); err == nil || !strings.Contains(err.Error(), "ratelimit: SetLimit: the Rate 0") {
		t.Error(err)
	}
	if err := k.SetLimit(ratelimit.PerSecond(100)); err != nil {
		t.Error(err)
	}
	if d := k.AllowAt(base, "b", 1); d.OK || d.Limit != ratelimit.PerSecond(100) {
		t.Errorf("b had used its second: %+v", d)
	}
	if d := k.AllowAt(base.Add(time.Second), "b", 100); !d.OK {
		t.Errorf("%+v", d)
	}
}

func TestReturnAndDebt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerMinute(60)})
		ctx := t.Context()
		remaining := func() int {
			d, err := k.AllowN(ctx, "a", 0)
			if err != nil {
				t.Error(err)
			}
			return d.Remaining
		}
		give := func(n int) {
			if err := k.Return(ctx, "a", n); err != nil {
				t.Error(err)
			}
		}
		give(10)
		if n := remaining(); n != 60 {
			t.Errorf("%d after a gift: the burst is 60", n)
		}
		k.AllowN(ctx, "a", 50)
		give(20)
		if n := remaining(); n != 30 {
			t.Errorf("%d left, want 30", n)
		}
		give(math.MaxInt)
		if n := remaining(); n != 60 {
			t.Errorf("%d left, want 60", n)
		}
		give(-90)
		if n := remaining(); n != 0 {
			t.Errorf("%d left in debt", n)
		}
		d, _ := k.AllowN(ctx, "a", 1)
		if d.OK || d.RetryAfter != 31*time.Second || d.ResetAfter != 90*time.Second {
			t.Errorf("in debt: %+v", d)
		}
		give(math.MinInt)
		if d, _ := k.AllowN(ctx, "a", 1); d.OK || d.RetryAfter < 100*365*24*time.Hour {
			t.Errorf("in debt for ever: %+v", d)
		}
		for range 3 { // 285 years each: more than an int64 holds
			if err := k.Return(ctx, "c", -9_000_000_000); err != nil {
				t.Error(err)
			}
			if d, _ := k.AllowN(ctx, "c", 1); d.OK || d.RetryAfter < 100*365*24*time.Hour {
				t.Errorf("in debt for ever: %+v", d)
			}
		}
		if err := k.Return(ctx, "b", -70); err != nil {
			t.Error(err)
		}
		if d, _ := k.AllowN(ctx, "b", 1); d.OK || d.RetryAfter != 11*time.Second {
			t.Errorf("in debt from the start: %+v", d)
		}
	})
}

func TestAllowReadsTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(2)})
		admitted := 0
		for range 5 * 20 {
			if k.Allow("a") {
				admitted++
			}
			<-time.After(50 * time.Millisecond)
		}
		if admitted != 2+9 { // the burst, and one each half second for 4.95 s
			t.Errorf("%d let through", admitted)
		}
	})
}

func TestKeys(t *testing.T) {
	k := newKeyed(t, ratelimit.Config{Limit: ratelimit.PerSecond(1)})
	huge := strings.Repeat("k", 1<<20)
	for _, key := range []string{"", "a", huge, huge + "x", "\x00", "\xff\xfe", "a\n"} {
		if !k.AllowAt(base, key, 1).OK || k.AllowAt(base, key, 1).OK {
			t.Errorf("key of %d bytes: not one", len(key))
		}
	}
}

func TestAllowAllocatesNothing(t *testing.T) {
	own := ratelimit.PerSecond(5)
	for name, cfg := range map[string]ratelimit.Config{
		"one limit":  {Limit: ratelimit.PerSecond(1000)},
		"own limits": {Limit: ratelimit.PerSecond(1000), LimitFor: func(string) (ratelimit.Limit, bool) { return own, true }},
	} {
		k := newKeyed(t, cfg)
		now := time.Now()
		var l ratelimit.Limiter = k
		if n := testing.AllocsPerRun(1000, func() {
			k.Allow("a")
			k.AllowAt(now, "b", 1)
			l.AllowN(t.Context(), "c", 1)
			l.Return(t.Context(), "c", 1)
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
