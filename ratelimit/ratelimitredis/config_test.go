package ratelimitredis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

func TestConfigErrors(t *testing.T) {
	_, err := ratelimitredis.New(nil, ratelimitredis.Config{
		Mode: 7, Timeout: -1, OnOutage: 9, Replicas: -1, Prefix: "a{b", Shards: 1 << 20, MaxKeys: -1,
	})
	if err == nil {
		t.Fatal("everything is wrong, and nothing was said")
	}
	for _, want := range []string{"client is nil", "Config.Limit:", "Config.Mode", "Config.Timeout", "Config.OnOutage",
		"Config.Replicas", "Config.Prefix", "Config.Shards", "Config.MaxKeys"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("no word of %s in: %v", want, err)
		}
	}
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1"})
	defer client.Close()
	for name, cfg := range map[string]ratelimitredis.Config{
		"a negative limit":          {Limit: ratelimit.PerSecond(-1)},
		"more than 1e9 a second":    {Limit: ratelimit.PerSecond(2e9)},
		"more than 100 years":       {Limit: ratelimit.Limit{Rate: 1e-9, Burst: 10}},
		"a share of nobody":         {Limit: ratelimit.PerSecond(1), OnOutage: ratelimitredis.LocalFallback},
		"a share of over 100 years": {Limit: ratelimit.Limit{Rate: 1e-9, Burst: 1}, OnOutage: ratelimitredis.LocalFallback, Replicas: 1000},
	} {
		if _, err := ratelimitredis.New(client, cfg); err == nil || !strings.HasPrefix(err.Error(), "ratelimitredis: Config.") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The limits at both ends of what is accepted are exact to the nanosecond.
func TestExtremeLimits(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	year := 365.25 * 24 * 3600.0
	fast := ratelimit.Limit{Rate: 1e9, Burst: 1 << 60}
	slow := ratelimit.Limit{Rate: rate.Limit(1 / (33 * year)), Burst: 3}
	l := newLimiter(t, s.Client(t), ratelimitredis.Config{Limit: fast, Timeout: patient,
		LimitFor: func(key string) (ratelimit.Limit, bool) { return slow, key == "slow" }})
	if d, err := l.AllowN(t.Context(), "fast", 1<<60-1); err != nil || !d.OK {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := l.AllowN(t.Context(), "fast", 1<<59); err != nil || d.OK || d.RetryAfter > 1<<59 || d.RetryAfter < 1<<58 {
		t.Errorf("%+v, %v", d, err)
	}
	for i := range 4 {
		d, err := l.AllowN(t.Context(), "slow", 1)
		if err != nil || d.OK != (i < 3) {
			t.Errorf("%+v, %v", d, err)
		}
		if i == 3 && (d.RetryAfter < 32*365*24*time.Hour || d.ResetAfter < 98*365*24*time.Hour) {
			t.Errorf("%+v", d)
		}
	}
}
