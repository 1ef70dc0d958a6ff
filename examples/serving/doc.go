// Command serving is a complete model server assembled from Ballast's packages:
// it serves two real networks that read handwritten digits.
//
//	go run ./examples/serving
//	curl -s localhost:8080/predict -d @examples/serving/testdata/seven.json
//
// A request passes
//
//	write deadlines → logging.Recover → logging → metrics → mux → predict → batching → digits
//
// and the probes and /metrics pass the first two only. Read the files in this
// order: main.go (start and shutdown), service.go (what it is made of),
// predict.go and decode.go (one request), config.go (flags and environment).
package main
