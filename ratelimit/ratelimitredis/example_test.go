package ratelimitredis_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
)

// A hundred a minute for each key, whichever of the replicas it comes to.
func Example() {
	client := redis.NewClient(&redis.Options{
		Addr:                  "redis:6379",
		ContextTimeoutEnabled: true, // a round trip that hangs ends after Timeout
	})
	limiter, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: ratelimit.PerMinute(100)})
	if err != nil {
		panic(err)
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_ = limiter.Close(ctx)
		_ = client.Close()
	}()

	d, err := limiter.AllowN(context.Background(), "api-key-1", 1)
	switch {
	case d.OK: // serve, even if err says that Redis is down: that is FailOpen
	case errors.Is(err, ratelimitredis.ErrUnavailable): // 503
	case err != nil: // the request's context is over, or a mistake
	default:
		fmt.Println("429, come back in", d.RetryAfter)
	}
}

// Millions of calls a second for few keys, and a share for each of four replicas
// while Redis is down.
func ExampleNew_leased() {
	client := redis.NewClient(&redis.Options{Addr: "redis:6379", ContextTimeoutEnabled: true})
	limiter, err := ratelimitredis.New(client, ratelimitredis.Config{
		Limit:    ratelimit.PerSecond(50000),
		Mode:     ratelimitredis.Leased,
		OnOutage: ratelimitredis.LocalFallback,
		Replicas: 4,
	})
	if err != nil {
		panic(err)
	}
	defer client.Close()
	defer limiter.Close(context.Background()) // first: what was leased goes back
}

// Errors that are checked before the Decision make FailOpen fail closed.
func ExampleLimiter_AllowN_incorrect() {
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:1", MaxRetries: -1}) // nobody is there
	defer client.Close()
	limiter, err := ratelimitredis.New(client, ratelimitredis.Config{
		Limit:    ratelimit.PerMinute(100),
		OnOutage: ratelimitredis.FailOpen,
	})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(context.Background())

	d, err := limiter.AllowN(context.Background(), "api-key-1", 1)
	if err != nil {
		fmt.Println("incorrect: turned away")
	}
	if d.OK {
		fmt.Println("correct: let through")
	}
	// Output:
	// incorrect: turned away
	// correct: let through
}
