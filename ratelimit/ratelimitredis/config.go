package ratelimitredis

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
)

// A Mode is how a [Limiter] shares its limits. The package comment compares
// them.
type Mode int

const (
	Exact  Mode = iota // every call is decided in Redis
	Leased             // busy keys are decided in the process, from tokens that it has taken ahead
)

// An Outage is what a [Limiter] does with calls that Redis does not answer in
// time. The package comment has a table.
type Outage int

const (
	FailClosed    Outage = iota // nothing is let through
	FailOpen                    // everything is let through
	LocalFallback               // every replica enforces its share of the limit
)

// Config configures a [Limiter].
type Config struct {
	// Limit applies to every key that LimitFor does not know. Required.
	Limit ratelimit.Limit

	// LimitFor returns a key's own limit, or false. It is called on every call
	// and may change its mind. A limit that is not valid is an error of the
	// call. nil knows none.
	LimitFor func(key string) (ratelimit.Limit, bool)

	// Mode is Exact, if not set.
	Mode Mode

	// Timeout is how long a call waits for Redis at most, the wait for other
	// calls and for a connection included. 0 means 50 ms.
	Timeout time.Duration

	// OnOutage is what becomes of calls that Redis does not answer within
	// Timeout. FailClosed, if not set: a limit that somebody relies on holds,
	// and nobody can lift it by bringing Redis down.
	OnOutage Outage

	// Replicas is among how many processes LocalFallback divides the limit.
	// It requires it; otherwise it means nothing.
	Replicas int

	// Prefix is what all of this limiter's keys in Redis begin with. Two
	// limiters with different limits need different prefixes, and those that
	// share a limit share it. It must not contain braces. "" means "ratelimit:".
	Prefix string

	// Shards is over how many hash slots of a Redis Cluster the keys are
	// spread. All calls of a process to one shard share round trips, so that
	// more than there are masters to fill is a waste. All processes must agree
	// on it; changing it forgets who had taken what. 0 means 1, or 16 if the
	// client is a *redis.ClusterClient or *redis.Ring.
	Shards int

	// MaxKeys is for how many keys at a time this process keeps something:
	// leases, and the shares of LocalFallback. Calls for keys beyond it are
	// decided in Redis, or share what one key may have. 0 means 1<<16.
	MaxKeys int

	_ struct{}
}

// withDefaults fills cfg in, and returns everything that is wrong with it.
func (cfg Config) withDefaults(client redis.UniversalClient) (Config, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("ratelimitredis: "+format, args...))
	}
	if client == nil {
		bad("client is nil")
	}
	if err := cfg.Limit.Validate(); err != nil {
		bad("Config.Limit: %w", err)
	}
	if cfg.Mode < Exact || cfg.Mode > Leased {
		bad("Config.Mode is %d", cfg.Mode)
	}
	if cfg.Timeout < 0 {
		bad("Config.Timeout is %v", cfg.Timeout)
	}
	if cfg.OnOutage < FailClosed || cfg.OnOutage > LocalFallback {
		bad("Config.OnOutage is %d", cfg.OnOutage)
	}
	if cfg.Replicas < 0 || cfg.Replicas == 0 && cfg.OnOutage == LocalFallback {
		bad("Config.Replicas is %d: LocalFallback needs to know how many share the limit", cfg.Replicas)
	}
	if strings.ContainsAny(cfg.Prefix, "{}") {
		bad("Config.Prefix %q contains a brace, which would move the keys to other slots", cfg.Prefix)
	}
	if cfg.Shards < 0 || cfg.Shards > maxShards {
		bad("Config.Shards is %d, not 0 to %d", cfg.Shards, maxShards)
	}
	if cfg.MaxKeys < 0 {
		bad("Config.MaxKeys is %d", cfg.MaxKeys)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 50 * time.Millisecond
	}
	if cfg.Prefix == "" {
		cfg.Prefix = "ratelimit:"
	}
	if cfg.MaxKeys == 0 {
		cfg.MaxKeys = 1 << 16
	}
	if cfg.Shards == 0 {
		cfg.Shards = 1
		switch client.(type) {
		case *redis.ClusterClient, *redis.Ring:
			cfg.Shards = 16
		}
	}
	return cfg, errors.Join(errs...)
}

// maxShards is how many hash slots a Redis Cluster has.
const maxShards = 16384

// interval is the time that one event takes up, rounded up to whole nanoseconds
// as *ratelimit.Keyed does it.
func interval(l ratelimit.Limit) time.Duration {
	return time.Duration(min(math.Ceil(1e9/float64(l.Rate)), math.MaxInt64/2))
}

// shardOf says which shard a key belongs to. It is the same in every process
// and every version.
func shardOf(key string, shards int) int {
	if shards == 1 {
		return 0
	}
	h := fnv.New32a()
	h.Write([]byte(key))
	return int(h.Sum32() % uint32(shards))
}

// tagOf is the hash tag of a shard.
func tagOf(shard int) string { return "{" + strconv.Itoa(shard) + "}" }
