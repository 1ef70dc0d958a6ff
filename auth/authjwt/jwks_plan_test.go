package authjwt

import (
	"math/rand/v2"
	"testing"
	"time"
)

// Whatever happens, in whatever order: nothing that is wanted begins within
// MinInterval of the beginning before, or within the pause after a failure, and what is
// not wanted begins on schedule.
func TestPlan(t *testing.T) {
	const least = time.Second
	pauses := map[time.Duration]bool{} // after a first failure
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		refresh := []time.Duration{time.Second, 10 * time.Minute}[r.IntN(2)]
		now := time.Unix(0, 0)
		p := newPlan(JWKSConfig{RefreshInterval: refresh, MinInterval: least}, now)
		if p.next() != now {
			t.Fatal("the first fetch is not due at once")
		}
		ended, failures := now, 0
		for range 100 {
			p.wanted = r.IntN(2) == 0
			next := p.next()
			switch since := next.Sub(ended); {
			case failures > 0:
				pause := min(least<<(failures-1), maxBackoff, refresh)
				pauses[since] = pauses[since] || failures == 1
				if since < pause || since > pause*3/2 {
					t.Fatalf("seed %d: %v after failure %d", seed, since, failures)
				}
			case p.wanted && next.Before(p.began.Add(least)) && next != p.due && now != time.Unix(0, 0):
				t.Fatalf("seed %d: wanted %v after the beginning before", seed, next.Sub(p.began))
			case next.After(p.due):
				t.Fatalf("seed %d: the schedule is put off by %v", seed, next.Sub(p.due))
			case !p.wanted && now != time.Unix(0, 0) && (since < refresh*9/10 || since > refresh):
				t.Fatalf("seed %d: due %v after a success", seed, since)
			}
			if next.After(now) {
				now = next
			}
			p.begin(now)
			if p.wanted {
				t.Fatal("wanted after it has begun")
			}
			now = now.Add(time.Duration(r.IntN(6000)) * time.Millisecond)
			ended = now
			if r.IntN(3) == 0 {
				p.fail(now, 0)
				failures = min(failures+1, 10)
			} else {
				p.succeed(now)
				failures = 0
			}
		}
	}
	if len(pauses) < 100 {
		t.Errorf("%d different pauses after failures", len(pauses))
	}
}

func TestPlanHeedsWhatTheSourceAsksFor(t *testing.T) {
	now := time.Unix(0, 0)
	for after, want := range map[time.Duration]time.Duration{
		-time.Hour:      time.Second,
		time.Minute:     time.Minute,
		1 << 62:         10 * time.Minute,
		time.Nanosecond: time.Second,
	} {
		p := newPlan(JWKSConfig{RefreshInterval: 10 * time.Minute, MinInterval: time.Second}, now)
		p.begin(now)
		p.fail(now, after)
		p.wanted = true
		if d := p.next().Sub(now); d < want || d > want*3/2 {
			t.Errorf("%v: the next is after %v, want %v", after, d, want)
		}
	}
}

// A long MinInterval is kept to by the pauses, too, and the shortest of all intervals
// does not make the jitter panic.
func TestPlanExtremes(t *testing.T) {
	now := time.Unix(0, 0)
	p := newPlan(JWKSConfig{RefreshInterval: 2 * time.Hour, MinInterval: time.Hour}, now)
	p.begin(now)
	p.fail(now, 0)
	if d := p.due.Sub(now); d < time.Hour {
		t.Errorf("a pause of %v", d)
	}
	p = newPlan(JWKSConfig{RefreshInterval: 1, MinInterval: 1}, now)
	p.begin(now)
	p.succeed(now)
	p.fail(now, 0)
	if d := p.due.Sub(now); d < 1 || d > 2 {
		t.Errorf("a pause of %v", d)
	}
}
