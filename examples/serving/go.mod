module github.com/ballast-go/ballast/examples/serving

go 1.26.0

require (
	github.com/ballast-go/ballast v0.0.0
	github.com/ballast-go/ballast/ratelimit/ratelimitredis v0.0.0
	github.com/prometheus/client_golang v1.19.1
	github.com/redis/go-redis/v9 v9.7.3
	golang.org/x/crypto v0.58.0
)

require (
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/golang-jwt/jwt/v5 v5.2.2 // indirect
	golang.org/x/time v0.3.0 // indirect
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.2.0 // indirect
	github.com/prometheus/client_model v0.5.0 // indirect
	github.com/prometheus/common v0.48.0 // indirect
	github.com/prometheus/procfs v0.12.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.27.0 // indirect
	golang.org/x/sys v0.49.0
	google.golang.org/protobuf v1.33.0 // indirect
)

replace (
	github.com/ballast-go/ballast => ../..
	github.com/ballast-go/ballast/ratelimit/ratelimitredis => ../../ratelimit/ratelimitredis
)
