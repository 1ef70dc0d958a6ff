module github.com/ballast-go/ballast/benchmarks/batching

go 1.26.0

require (
	github.com/ballast-go/ballast v0.0.0
	github.com/eapache/go-resiliency v1.7.0
	github.com/graph-gophers/dataloader/v7 v7.1.0
	github.com/vikstrous/dataloadgen v0.0.10
	google.golang.org/api v0.311.0
)

require (
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	go.opentelemetry.io/otel v1.47.0 // indirect
	go.opentelemetry.io/otel/trace v1.47.0 // indirect
	golang.org/x/sync v0.24.0 // indirect
)

replace github.com/ballast-go/ballast => ../..
