// Package digits is a real model to serve: two networks that read handwritten digits, with the digits to try them on,
// all inside the binary.
//
//	model, err := digits.Open(digits.Large, digits.Config{})
//	out := make([]digits.Probabilities, len(in)) // in [][]float32: 28×28 numbers a row, 0 is paper, 1 is ink
//	if err := model.Predict(in, out); err == nil {
//		fmt.Println(out[0].Class(), out[0][out[0].Class()])
//	}
//
// Predict is what a batcher runs: all rows go through the network together, which costs a third of the processor time
// a row at 32 rows that it costs at one, because the weights are read once. A row's probabilities are the same bits
// whichever batch it was in. A Model is immutable apart from a bounded list of work space; Predict may be called
// concurrently, starts no goroutine, and allocates nothing as long as no more than 16 calls run at once.
//
// HeldOut gives 1,000 digits that no network here has seen in training. What the two networks make of them is asserted
// by this package's tests, and Accuracy measures it again in a tenth of a second. Package train, in the folder of that
// name, made the embedded files; its documentation has the commands, README.md the credits and the last run's output.
//
// It does not look at the numbers in a row, only at how many there are: whoever takes rows from strangers checks that
// they are finite and between 0 and 1. A row with NaN or infinities gets meaningless probabilities; the other rows in
// its batch do not notice.
package digits
