package ratelimitredis_test

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// newLimiter returns a limiter that is closed when the test ends.
func newLimiter(t testing.TB, client redis.UniversalClient, cfg ratelimitredis.Config) *ratelimitredis.Limiter {
	t.Helper()
	l, err := ratelimitredis.New(client, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := l.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return l
}

// patient is a timeout that no busy machine exceeds.
const patient = 10 * time.Second

func TestBurst(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	for _, mode := range []ratelimitredis.Mode{ratelimitredis.Exact, ratelimitredis.Leased} {
		l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: ratelimit.PerHour(5), Mode: mode, Timeout: patient, Prefix: "burst" + string(rune('0'+mode))})
		for i := range 5 {
			d, err := l.AllowN(t.Context(), "a", 1)
			if err != nil || !d.OK || d.Remaining != 4-i || d.RetryAfter != 0 {
				t.Errorf("call %d: %+v, %v", i, d, err)
			}
		}
		d, err := l.AllowN(t.Context(), "a", 1)
		if err != nil || d.OK || d.Remaining != 0 || d.RetryAfter <= 11*time.Minute || d.RetryAfter > 12*time.Minute {
			t.Errorf("one too many: %+v, %v", d, err)
		}
		if d.ResetAfter <= 59*time.Minute || d.ResetAfter > time.Hour {
			t.Errorf("resets after %v", d.ResetAfter)
		}
		if d, err := l.AllowN(t.Context(), "a", 6); err != nil || d.OK || d.RetryAfter != rate.InfDuration {
			t.Errorf("more than the burst: %+v, %v", d, err)
		}
		if d, err := l.AllowN(t.Context(), "b", 5); err != nil || !d.OK || d.Remaining != 0 {
			t.Errorf("another key: %+v, %v", d, err)
		}
	}
}
