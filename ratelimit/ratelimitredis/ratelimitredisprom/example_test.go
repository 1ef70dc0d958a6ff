package ratelimitredisprom_test

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/redis/go-redis/v9"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis"
	"github.com/ballast-go/ballast/ratelimit/ratelimitredis/ratelimitredisprom"
)

func ExampleNewCollector() {
	client := redis.NewClient(&redis.Options{Addr: "localhost:6379"})
	defer client.Close()
	limiter, err := ratelimitredis.New(client, ratelimitredis.Config{Limit: ratelimit.PerMinute(100)})
	if err != nil {
		panic(err)
	}
	defer limiter.Close(context.Background())

	registry := prometheus.NewRegistry()
	registry.MustRegister(ratelimitredisprom.NewCollector("api", limiter))
	// Output:
}
