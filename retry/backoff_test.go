package retry_test

import (
	"context"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/ballast-go/ballast/retry"
)

const longest = time.Duration(math.MaxInt64)

var intervals = []struct{ base, most time.Duration }{
	{100 * time.Millisecond, 10 * time.Second},
	{1, 1}, {1, 2}, {1, longest}, {2, 3}, {3, 1000},
	{time.Second, time.Second},
	{time.Minute, time.Second}, // base counts as most
	{longest, longest}, {longest / 2, longest}, {longest, 1},
	{math.MinInt64, math.MinInt64},
}

// meant is what the arguments of a schedule mean.
func meant(base, most time.Duration) (time.Duration, time.Duration) {
	if base <= 0 {
		base = 100 * time.Millisecond
	}
	if most <= 0 {
		most = 10 * time.Second
	}
	return min(base, most), most
}

// Every draw is in [0, min(most, base·2ⁿ)].
func TestFullJitterIsWithinItsBounds(t *testing.T) {
	for _, i := range intervals {
		for range 50 {
			s := retry.FullJitter(i.base, i.most)()
			s.Reset()
			bound, most := meant(i.base, i.most)
			for n := range 100 {
				if d := s.NextBackOff(); d < 0 || d > bound {
					t.Fatalf("FullJitter(%d, %d): wait %d is %d: want 0 to %d", i.base, i.most, n, d, bound)
				}
				if bound > most/2 {
					bound = most
				} else {
					bound *= 2
				}
			}
		}
	}
}

// Intervals that the arithmetic has no room for are long all the same.
func TestLongestIntervals(t *testing.T) {
	for name, make := range map[string]func(base, most time.Duration) func() retry.Backoff{
		"full": retry.FullJitter, "decorrelated": retry.DecorrelatedJitter,
	} {
		s := make(longest, longest)()
		s.Reset()
		var greatest time.Duration
		for range 100 {
			greatest = max(greatest, s.NextBackOff())
		}
		if greatest < 1<<60 {
			t.Errorf("%s: the longest of 100 waits is %v", name, greatest)
		}
	}
}

// Draws are uniform: every quarter of the interval has its share. The limits are
// seven standard deviations away.
func TestFullJitterIsUniform(t *testing.T) {
	const draws = 10_000
	for retries, interval := range []time.Duration{100, 200, 400, 800, 1000, 1000} {
		interval *= time.Millisecond
		var quarters [4]int
		for range draws {
			s := retry.FullJitter(100*time.Millisecond, time.Second)()
			s.Reset()
			for range retries {
				s.NextBackOff()
			}
			quarters[min(int(4*s.NextBackOff()/interval), 3)]++
		}
		for _, n := range quarters {
			if n < draws/4-300 || n > draws/4+300 {
				t.Errorf("before retry %d: quarters of %v have %v of %d", retries+1, interval, quarters, draws)
				break
			}
		}
	}
}

// Every draw is min(most, between base and three times the one before).
func TestDecorrelatedJitterIsWithinItsBounds(t *testing.T) {
	for _, i := range intervals {
		for range 50 {
			s := retry.DecorrelatedJitter(i.base, i.most)()
			s.Reset()
			base, most := meant(i.base, i.most)
			last := base
			for n := range 100 {
				greatest := most
				if last <= most/3 {
					greatest = 3 * last
				}
				d := s.NextBackOff()
				if d < min(base, 1<<61) || d > greatest {
					t.Fatalf("DecorrelatedJitter(%d, %d): wait %d is %d: want %d to %d", i.base, i.most, n, d, base, greatest)
				}
				last = d
			}
		}
	}
}

// The first wait is spread over [base, 3·base], and waits do reach most.
func TestDecorrelatedJitterIsSpread(t *testing.T) {
	var first, all []time.Duration
	for range 1000 {
		s := retry.DecorrelatedJitter(time.Second, time.Minute)()
		first = append(first, s.NextBackOff())
		for range 10 {
			all = append(all, s.NextBackOff())
		}
		s.Reset()
		if d := s.NextBackOff(); d > 3*time.Second {
			t.Fatalf("after Reset: %v", d)
		}
	}
	if least, most := slices.Min(first), slices.Max(first); least > 1100*time.Millisecond || most < 2900*time.Millisecond {
		t.Errorf("the first of 1000 are %v to %v: want 1 s to 3 s", least, most)
	}
	if !slices.Contains(all, time.Minute) {
		t.Error("none is most")
	}
}

// A schedule is made once for a call that fails, and for no other.
func TestSchedulesAreMadeAfterAFailure(t *testing.T) {
	made := 0
	r := newRetrier(t, retry.Config{MaxAttempts: 9, Backoff: func() retry.Backoff {
		made++
		return constant(0)
	}})
	for failures, want := range []int{0, 1, 1, 1} {
		made = 0
		if err := r.Do(t.Context(), fails(failures).run); err != nil || made != want {
			t.Errorf("%d failures: %v, %d schedules", failures, err, made)
		}
	}
	made = 0
	_ = r.Do(t.Context(), func(context.Context) error { return retry.Permanent(errFlaky) })
	if made != 0 {
		t.Errorf("%d schedules for an error that is not retryable", made)
	}
}
