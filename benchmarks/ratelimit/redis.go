package limitbench

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

const (
	tableExact      = "redis, exact, one key"
	tableExactMany  = "redis, exact, many keys"
	tableLeased     = "redis, leased, one key"
	tableLeasedMany = "redis, leased, many keys"
	ballastExact    = "ballast, exact"
	ballastLeased   = "ballast, leased"
	redisRate       = "redis_rate"
)

// redisKeys is how many keys are asked for, each as likely as the other.
const redisKeys = 1000

// redisRateLimit is what a key may have a second, and redisBurst at once.
const (
	redisPerSecond = 1_000_000
	redisBurst     = 100_000_000
)

// startRedis starts the redis-server found on PATH, on a port of its own and
// without persistence, and returns its address. skip says why there is none.
func startRedis() (address string, stop func(), skip string, err error) {
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		return "", func() {}, "there is no redis-server on PATH", nil
	}
	dir, err := os.MkdirTemp("", "limitbench")
	if err != nil {
		return "", nil, "", err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, "", err
	}
	cmd := exec.Command(binary, "--port", port, "--bind", "127.0.0.1", "--dir", dir, "--save", "", "--appendonly", "no")
	if err := cmd.Start(); err != nil {
		return "", nil, "", fmt.Errorf("%s: %w", binary, err)
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	}
	address = net.JoinHostPort("127.0.0.1", port)
	if err := awaitRedis(address); err != nil {
		stop()
		return "", nil, "", err
	}
	return address, stop, "", nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	return port, err
}

// awaitRedis returns when the server answers.
func awaitRedis(address string) error {
	client := redis.NewClient(&redis.Options{Addr: address, MaxRetries: -1})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for {
		err := client.Ping(ctx).Err()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// redisTables are ballast's two modes, each beside redis_rate with as many
// callers, with one key and with many. What skip says is why there is no server
// at address.
func redisTables(address, skip string) []Table {
	one, many := newKeys("redis", 1, 1<<16, func() int { return 0 }), uniformKeys("redis", redisKeys)
	table := func(name, title string, callers int, keys *Keys, own string, mode ratelimitredis.Mode) Table {
		return Table{
			Name: name, Title: title, Skip: skip, Workers: callers, Batch: 16,
			Contenders: []Contender{
				{Name: own, Open: func() (Op, func(), error) { return openBallastRedis(address, callers, keys, mode) }},
				{Name: redisRate, Note: "a connection for each caller", Open: func() (Op, func(), error) { return openRedisRate(address, callers, keys) }},
			},
		}
	}
	return []Table{
		table(tableExact, "Redis, every call decided there, 64 callers, one key", 64, one, ballastExact, ratelimitredis.Exact),
		table(tableExactMany, "Redis, every call decided there, 64 callers, 1,000 keys", 64, many, ballastExact, ratelimitredis.Exact),
		table(tableLeased, "Redis, leased, 16 callers, one key with a high limit", 16, one, ballastLeased, ratelimitredis.Leased),
		table(tableLeasedMany, "Redis, leased, 16 callers, 1,000 keys with high limits", 16, many, ballastLeased, ratelimitredis.Leased),
	}
}

// openBallastRedis waits longer for Redis than anyone should in earnest: on a
// busy machine an outage would end the measurement.
func openBallastRedis(address string, callers int, keys *Keys, mode ratelimitredis.Mode) (Op, func(), error) {
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: callers})
	l, err := ratelimitredis.New(client, ratelimitredis.Config{
		Limit:   ratelimit.Limit{Rate: redisPerSecond, Burst: redisBurst},
		Mode:    mode,
		Timeout: 5 * time.Second,
		Prefix:  fmt.Sprintf("ballast%d:", mode), // each mode has its own tokens
	})
	if err != nil {
		return nil, nil, err
	}
	ctx := context.Background()
	op := eachKey(callers, keys, func(key string) error {
		d, err := l.AllowN(ctx, key, 1)
		if err == nil && !d.OK {
			err = errDenied
		}
		return err
	})
	return op, func() {
		_ = l.Close(ctx)
		_ = client.Close()
	}, warm(op, callers)
}

// openRedisRate has a connection for each caller: the default of ten a core
// makes callers wait for one.
func openRedisRate(address string, callers int, keys *Keys) (Op, func(), error) {
	client := redis.NewClient(&redis.Options{Addr: address, PoolSize: callers})
	l := redis_rate.NewLimiter(client)
	limit := redis_rate.Limit{Rate: redisPerSecond, Burst: redisBurst, Period: time.Second}
	ctx := context.Background()
	op := eachKey(callers, keys, func(key string) error {
		d, err := l.Allow(ctx, key, limit)
		if err == nil && d.Allowed != 1 {
			err = errDenied
		}
		return err
	})
	return op, func() { _ = client.Close() }, warm(op, callers)
}

// warm lets everyone have a connection, a script that the server knows, and the
// leases that it wants.
func warm(op Op, callers int) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for w := range callers {
		all.Go(func() {
			for begin := time.Now(); time.Since(begin) < 100*time.Millisecond && errs[w] == nil; {
				errs[w] = op(w, 16)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// eachKey asks for the next key of the stream, at another place for each
// caller.
func eachKey(callers int, keys *Keys, ask func(key string) error) Op {
	places := make([]place, callers)
	for i := range places {
		places[i].at = i * len(keys.Stream) / callers
	}
	return func(worker, n int) error {
		for _, key := range keys.chunk(&places[worker].at, n) {
			if err := ask(key); err != nil {
				return err
			}
		}
		return nil
	}
}
