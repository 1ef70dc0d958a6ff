module github.com/ballast-go/ballast/examples/serving

go 1.26.0

require (
	github.com/ballast-go/ballast v0.0.0
	github.com/ballast-go/ballast/ratelimit/ratelimitredis v0.0.0
	github.com/prometheus/client_golang v1.19.1
	github.com/redis/go-redis/v9 v9.7.3
	go.opentelemetry.io/otel v1.28.0
	go.opentelemetry.io/otel/trace v1.28.0
	golang.org/x/crypto v0.58.0
)

require (
	github.com/dgryski/go-rendezvous v0.0.0-20200823014737-9f7001d12a5f // indirect
	github.com/go-logr/logr v1.4.2 // indirect
	github.com/go-logr/stdr v1.2.2 // indirect
	github.com/golang-jwt/jwt/v5 v5.2.2 // indirect
	github.com/google/uuid v1.6.0 // indirect
	go.opentelemetry.io/otel/exporters/otlp/otlptrace v1.28.0 // indirect
	go.opentelemetry.io/otel/metric v1.28.0 // indirect
	go.opentelemetry.io/otel/sdk v1.28.0 // indirect
	go.opentelemetry.io/proto/otlp v1.3.1 // indirect
	golang.org/x/net v0.60.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	golang.org/x/time v0.3.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20240513163218-0867130af1f8 // indirect
	google.golang.org/grpc v1.64.0 // indirect
)

require (
	github.com/ballast-go/ballast/tracing/tracingotlp v0.0.0
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.2.0 // indirect
	github.com/prometheus/client_model v0.5.0 // indirect
	github.com/prometheus/common v0.48.0 // indirect
	github.com/prometheus/procfs v0.12.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.27.0 // indirect
	golang.org/x/sys v0.49.0
	google.golang.org/protobuf v1.34.2 // indirect
)

replace (
	github.com/ballast-go/ballast => ../..
	github.com/ballast-go/ballast/ratelimit/ratelimitredis => ../../ratelimit/ratelimitredis
)

replace github.com/ballast-go/ballast/tracing/tracingotlp => ../../tracing/tracingotlp
