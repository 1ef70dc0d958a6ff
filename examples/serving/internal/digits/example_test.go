package digits_test

import (
	"fmt"
	"log"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

func Example() {
	model, err := digits.Open(digits.Large, digits.Config{})
	if err != nil {
		log.Fatal(err)
	}
	images, err := digits.HeldOut()
	if err != nil {
		log.Fatal(err)
	}
	in := [][]float32{images[0].Input(), images[250].Input(), images[999].Input()}
	out := make([]digits.Probabilities, len(in))
	if err := model.Predict(in, out); err != nil {
		log.Fatal(err)
	}
	for i := range out {
		fmt.Println(out[i].Class())
	}
	// Output:
	// 0
	// 2
	// 9
}
