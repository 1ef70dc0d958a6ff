package dataset

import (
	"errors"
	"fmt"
	"math"
)

// The dimensions of an image, and the number of classes.
const (
	Side    = 28
	Pixels  = Side * Side
	Classes = 10
)

// Digit is one image with the digit that it shows.
type Digit struct {
	Label  uint8
	Pixels [Pixels]uint8 // row by row from the top; 0 is paper, 255 is ink
}

// Value is a pixel as the source's JSON gives it: k/255 rounded to three decimals.
func Value(k uint8) float64 { return math.Round(float64(k)/255*1000) / 1000 }

// Input returns the image as a network takes it: Pixels numbers between 0 and 1, those of the source.
func (d *Digit) Input() []float32 {
	row := make([]float32, Pixels)
	for i, k := range d.Pixels {
		row[i] = float32(Value(k))
	}
	return row
}

// HeldOut reports whether the digit with this number is kept from training: every fifth.
func HeldOut(number int) bool { return number%5 == 4 }

// Committed reports whether the digit with this number is in the committed file: every second one that is held out.
func Committed(number int) bool { return number%10 == 4 }

// Validation reports whether the digit with this number is the part of the training digits on which recipes are
// compared (train -validate): an eighth of them.
func Validation(number int) bool { return number%10 == 2 }

// Select returns the digits whose number satisfies keep, in order.
func Select(all []Digit, keep func(number int) bool) []Digit {
	var out []Digit
	for i := range all {
		if keep(i) {
			out = append(out, all[i])
		}
	}
	return out
}

// ErrOverlap is returned by CheckSplit.
var ErrOverlap = errors.New("dataset: a held-out image is also a training image")

// CheckSplit returns an error that Is ErrOverlap if an image is held out and, byte for byte, also there for training.
func CheckSplit(all []Digit) error {
	training := make(map[[Pixels]uint8]int, len(all))
	for i := range all {
		if !HeldOut(i) {
			training[all[i].Pixels] = i
		}
	}
	for i := range all {
		if j, ok := training[all[i].Pixels]; HeldOut(i) && ok {
			return fmt.Errorf("%w: numbers %d and %d", ErrOverlap, i, j)
		}
	}
	return nil
}
