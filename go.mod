module github.com/ballast-go/ballast

go 1.26

require (
	github.com/prometheus/client_golang v1.19.1 // indirect
	go.uber.org/multierr v1.10.0 // indirect
	go.uber.org/zap v1.27.0 // indirect
)
