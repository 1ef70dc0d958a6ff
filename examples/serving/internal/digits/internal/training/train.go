package training

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

// Config describes a run. Digits and Recipe are required.
type Config struct {
	Recipe  Recipe
	Digits  []dataset.Digit
	Seed    uint64
	Workers int                           // goroutines; 0 means 1. It changes the time, not the result
	Report  func(epoch int, loss float64) // called after every epoch with the mean loss; nil means silence

	_ struct{}
}

func (c Config) validate() error {
	var errs []error
	w := c.Recipe.Widths
	if len(w) < 2 || w[0] != dataset.Pixels || w[len(w)-1] != dataset.Classes {
		errs = append(errs, fmt.Errorf("training: Recipe.Widths %v: want %d inputs and %d outputs", w, dataset.Pixels, dataset.Classes))
	}
	for _, width := range w {
		if width < 1 {
			errs = append(errs, fmt.Errorf("training: Recipe.Widths %v: a layer is empty", w))
		}
	}
	if c.Recipe.Epochs < 1 {
		errs = append(errs, fmt.Errorf("training: Recipe.Epochs %d: want at least 1", c.Recipe.Epochs))
	}
	if c.Recipe.Batch < 1 {
		errs = append(errs, fmt.Errorf("training: Recipe.Batch %d: want at least 1", c.Recipe.Batch))
	}
	if !(c.Recipe.Rate > 0) {
		errs = append(errs, fmt.Errorf("training: Recipe.Rate %g: want more than 0", c.Recipe.Rate))
	}
	if len(c.Digits) == 0 {
		errs = append(errs, errors.New("training: Digits: there are none"))
	}
	return errors.Join(errs...)
}

// Train returns the layers after the last epoch. Its errors are mistakes in the Config, all at once.
func Train(c Config) ([]weights.Layer, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(c.Seed, 0))
	n := newNet(c.Recipe, max(1, c.Workers), r)
	opt := newAdam(len(n.params))
	batches := (len(c.Digits) + c.Recipe.Batch - 1) / c.Recipe.Batch
	x, labels := make([]float32, c.Recipe.Batch*dataset.Pixels), make([]uint8, c.Recipe.Batch)
	for epoch := range c.Recipe.Epochs {
		order := r.Perm(len(c.Digits))
		total := 0.0
		for b := range batches {
			part := order[b*c.Recipe.Batch : min((b+1)*c.Recipe.Batch, len(order))]
			parallel(n.workers, len(part), func(lo, hi int) {
				for i := lo; i < hi; i++ {
					d := &c.Digits[part[i]]
					labels[i] = d.Label
					// One generator for each epoch and digit: 0 in the upper half is the one above.
					own := rand.New(rand.NewPCG(c.Seed, uint64(epoch+1)<<32|uint64(part[i])))
					c.Recipe.distort(x[i*dataset.Pixels:][:dataset.Pixels], &d.Pixels, own)
				}
			})
			n.run(x, len(part))
			total += n.loss(labels[:len(part)])
			n.back(x, len(part))
			opt.update(n.workers, n.params, n.grads, schedule(c.Recipe.Rate, opt.step, c.Recipe.Epochs*batches))
		}
		if c.Report != nil {
			c.Report(epoch, total/float64(len(order)))
		}
	}
	return n.export(), nil
}
