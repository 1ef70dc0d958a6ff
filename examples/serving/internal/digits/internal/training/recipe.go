package training

// Recipe is all that decides about a training run, apart from digits and seed.
type Recipe struct {
	Name   string
	Widths []int   // inputs, then each layer's outputs
	Epochs int     // passes over the digits
	Batch  int     // digits a step
	Rate   float64 // Adam's largest step size, reached at the end of the warm-up
	Distortion

	_ struct{}
}

// Distortion bounds the random changes to an image. Lengths are in pixels.
type Distortion struct {
	Rotate  float64 // radians, uniform within ±
	Scale   float64 // uniform within 1 ±, each axis
	Shear   float64 // uniform within ±
	Shift   float64 // uniform within ±, each axis
	Elastic float64 // standard deviation of the displacement field's control points
}

// Recipes returns the two networks of the example service, digits-small and digits-large.
func Recipes() []Recipe {
	distortion := Distortion{Rotate: 0.22, Scale: 0.12, Shear: 0.12, Shift: 1.5, Elastic: 2.2}
	return []Recipe{
		{Name: "digits-small", Widths: []int{784, 256, 128, 10}, Epochs: 200, Batch: 100, Rate: 2e-3, Distortion: distortion},
		{Name: "digits-large", Widths: []int{784, 2048, 1024, 10}, Epochs: 80, Batch: 100, Rate: 1e-3, Distortion: distortion},
	}
}
