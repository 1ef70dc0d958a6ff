module github.com/ballast-go/ballast/benchmarks/observability

go 1.26.0

require (
	github.com/alexliesenfeld/health v0.8.0
	github.com/ballast-go/ballast v0.0.0
	github.com/hellofresh/health-go/v5 v5.5.4
	github.com/rs/zerolog v1.35.1
	go.uber.org/zap v1.28.0
	go.uber.org/zap/exp v0.3.0
)

require (
	github.com/mattn/go-colorable v0.1.14 // indirect
	github.com/mattn/go-isatty v0.0.20 // indirect
	go.opentelemetry.io/otel v1.35.0 // indirect
	go.opentelemetry.io/otel/trace v1.35.0 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	golang.org/x/sys v0.30.0 // indirect
)

replace github.com/ballast-go/ballast => ../..
