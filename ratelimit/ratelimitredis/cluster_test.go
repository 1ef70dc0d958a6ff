package ratelimitredis_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// startCluster starts a Redis Cluster of one node. It refuses a script whose
// keys are of several slots as any cluster does.
func startCluster(t *testing.T) *redis.ClusterClient {
	s := ratelimitredis.StartServer(t, "--cluster-enabled", "yes")
	plain := s.Client(t)
	if err := plain.ClusterAddSlotsRange(t.Context(), 0, 16383).Err(); err != nil {
		t.Fatal(err)
	}
	until(t, "the cluster is up", func() bool {
		return strings.Contains(plain.ClusterInfo(t.Context()).Val(), "cluster_state:ok")
	})
	c := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{s.Addr}})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// awkward keys: what is in them must not move them to another slot, nor make
// two of them one.
var awkward = []string{
	"", "a", "{", "}", "{}", "{a}", "}{", "{}{a}", "a{b}c", "\x00", "\xff\xfe{\n}", "holders", ":", ":a", "#", "k:v w",
	strings.Repeat("x", 128), strings.Repeat("x", 129), strings.Repeat("x", 1<<20), strings.Repeat("{", 1<<20),
}

func TestKeys(t *testing.T) {
	c := startCluster(t)
	for _, shards := range []int{0, 1, 5} {
		for name, mode := range map[string]ratelimitredis.Mode{"exact": ratelimitredis.Exact, "leased": ratelimitredis.Leased} {
			if err := c.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			l := newLimiter(t, c, ratelimitredis.Config{Limit: ratelimit.PerDay(3), Mode: mode, Timeout: patient, Shards: shards})
			slots := make(map[int64]bool)
			for _, key := range awkward {
				for i := range 2 {
					if d, err := l.AllowN(t.Context(), key, 1); err != nil || !d.OK || d.Remaining != 2-i {
						t.Errorf("%s: key of %d bytes %.9q: %+v, %v", name, len(key), key, d, err)
					}
				}
				stored := l.KeyInRedis(key)
				if len(stored) > 160 {
					t.Errorf("a key of %d bytes", len(stored))
				}
				tag := stored[strings.IndexByte(stored, '{')+1 : strings.IndexByte(stored, '}')]
				slot := c.ClusterKeySlot(t.Context(), stored).Val()
				if want := c.ClusterKeySlot(t.Context(), tag).Val(); slot != want {
					t.Errorf("%.40q is in slot %d, its tag in %d", stored, slot, want)
				}
				slots[slot] = true
				if ttl := c.TTL(t.Context(), stored).Val(); ttl < 15*time.Hour || ttl > 17*time.Hour {
					t.Errorf("%.40q expires in %v, two thirds of a day from now are 16 hours", stored, ttl)
				}
			}
			if n := int(c.DBSize(t.Context()).Val()); n < len(awkward) {
				t.Errorf("%d keys are %d in Redis", len(awkward), n)
			}
			if want := map[int]int{0: 8, 1: 1, 5: 5}[shards]; shards > 0 && len(slots) != want || len(slots) < want {
				t.Errorf("%d shards are %d slots", shards, len(slots))
			}
		}
	}
}

// What somebody else has put there is no reason to fail, for one key or all.
func TestForeignValues(t *testing.T) {
	s := ratelimitredis.StartServer(t)
	c := s.Client(t)
	l := newLimiter(t, c, ratelimitredis.Config{Limit: ratelimit.PerDay(3), Timeout: patient})
	for i, put := range []func(key string){
		func(key string) { c.Set(t.Context(), key, "hello", 0) },
		func(key string) { c.Set(t.Context(), key, "", 0) },
		func(key string) { c.Set(t.Context(), key, fmt.Sprint(time.Now().Unix(), " 12345678"), 0) },
		func(key string) { c.RPush(t.Context(), key, "a") },
		func(key string) { c.HSet(t.Context(), key, "a", "b") },
	} {
		put(l.KeyInRedis("key"))
		for j := range 4 {
			if d, err := l.AllowN(t.Context(), "key", 1); err != nil || d.OK != (j < 3) {
				t.Errorf("value %d, call %d: %+v, %v", i, j, d, err)
			}
		}
		c.Del(t.Context(), l.KeyInRedis("key"))
	}
}
