package digits

import (
	_ "embed"
	"fmt"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
)

// The names of the embedded models.
const (
	Small = "digits-small" // 784-256-128-10
	Large = "digits-large" // 784-2048-1024-10
)

// Package embed fills in these three; nothing writes to them.
//
//go:embed digits-small.bin
var smallFile string

//go:embed digits-large.bin
var largeFile string

//go:embed heldout.bin.gz
var heldOutFile string

// IDs returns the names that Open takes, the default model first.
func IDs() []string { return []string{Large, Small} }

// Open loads an embedded model. Every call makes a new one; digits-large takes 15 MB.
func Open(id string, config Config) (*Model, error) {
	switch id {
	case Small:
		return Load(id, []byte(smallFile), config)
	case Large:
		return Load(id, []byte(largeFile), config)
	}
	return nil, fmt.Errorf("%w: %q, there are %v", ErrUnknownModel, id, IDs())
}

// Digit is an image with the digit that it shows.
type Digit struct {
	Label int
	image dataset.Digit
}

// Input returns the image as a row for Predict: numbers between 0 and 1 with three decimals, those of the source.
func (d *Digit) Input() []float32 { return d.image.Input() }

// HeldOut returns the 1,000 committed digits, of those that were kept from training, all zeros first. Every call
// unpacks them anew.
func HeldOut() ([]Digit, error) { return decodeHeldOut(heldOutFile) }

func decodeHeldOut(file string) ([]Digit, error) {
	decoded, err := dataset.DecodeDigits([]byte(file))
	if err != nil {
		return nil, fmt.Errorf("digits: held-out digits: %w", err)
	}
	out := make([]Digit, len(decoded))
	for i, d := range decoded {
		out[i] = Digit{Label: int(d.Label), image: d}
	}
	return out, nil
}

// Accuracy returns the share of the digits, between 0 and 1, that the model reads correctly. No digits are an error
// that Is ErrInput.
func (m *Model) Accuracy(digits []Digit) (float64, error) {
	if len(digits) == 0 {
		return 0, fmt.Errorf("%w: no digits", ErrInput)
	}
	in, out := make([][]float32, len(digits)), make([]Probabilities, len(digits))
	for i := range digits {
		in[i] = digits[i].Input()
	}
	if err := m.Predict(in, out); err != nil {
		return 0, err
	}
	right := 0
	for i := range out {
		if out[i].Class() == digits[i].Label {
			right++
		}
	}
	return float64(right) / float64(len(digits)), nil
}
