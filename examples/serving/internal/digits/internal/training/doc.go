// Package training fits a fully connected network to digits: ReLU between layers, softmax and cross-entropy at the end,
// Adam with a warm-up and a cosine decay to zero, and a freshly distorted copy of every image in every epoch.
//
// The result depends on the digits, the recipe and the seed alone. Each distortion draws from its own generator, seeded
// by epoch and digit, and goroutines share the work by columns of a product or by parameters, never by terms of a sum;
// so neither Workers nor GOMAXPROCS changes a bit. Another kernel (a processor without AVX2) rounds differently and
// ends in other, equally good weights.
//
// There is no early stopping and no choice among epochs or seeds: Train returns the weights after the last epoch of a
// schedule that was fixed beforehand. Schedules were compared on the validation part of the training digits
// (dataset.Validation) and never on held-out ones.
package training
