package training

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

// bars returns easy digits: class c is a bar at height 2c+4, with noise.
func bars(n int) []dataset.Digit {
	r := rand.New(rand.NewPCG(1, 1))
	out := make([]dataset.Digit, n)
	for i := range out {
		c := i % dataset.Classes
		out[i].Label = uint8(c)
		for j := range out[i].Pixels {
			out[i].Pixels[j] = uint8(r.IntN(40))
			if y := j / side; y == 2*c+4 || y == 2*c+5 {
				out[i].Pixels[j] = uint8(200 + r.IntN(56))
			}
		}
	}
	return out
}

func tiny() Recipe {
	return Recipe{Name: "tiny", Widths: []int{784, 40, 24, 10}, Epochs: 2, Batch: 17, Rate: 2e-3,
		Distortion: Recipes()[0].Distortion}
}

func TestTrainingIsDeterministic(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(0))
	var first []byte
	var exact []weights.Layer
	for i, run := range []struct{ procs, workers int }{{1, 1}, {2, 2}, {4, 3}, {1, 5}, {2, 0}} {
		runtime.GOMAXPROCS(run.procs)
		layers, err := Train(Config{Recipe: tiny(), Digits: bars(60), Seed: 7, Workers: run.workers})
		if err != nil {
			t.Fatal(err)
		}
		file, err := weights.Encode(layers)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			first, exact = file, layers
		}
		// Half precision hides small differences, so look at the parameters themselves as well.
		if !bytes.Equal(first, file) || !reflect.DeepEqual(exact, layers) {
			t.Errorf("GOMAXPROCS %d, %d workers: other bytes", run.procs, run.workers)
		}
	}
	layers, err := Train(Config{Recipe: tiny(), Digits: bars(60), Seed: 8})
	if err != nil {
		t.Fatal(err)
	}
	if file, err := weights.Encode(layers); err != nil || bytes.Equal(first, file) {
		t.Errorf("another seed gives the same bytes (%v)", err)
	}
}

func TestTrainLearns(t *testing.T) {
	recipe := tiny()
	recipe.Epochs, recipe.Distortion = 12, Distortion{Shift: 0.5}
	var losses []float64
	_, err := Train(Config{Recipe: recipe, Digits: bars(200), Report: func(epoch int, loss float64) {
		if epoch != len(losses) {
			t.Errorf("epoch %d reported as %d", len(losses), epoch)
		}
		losses = append(losses, loss)
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(losses) != 12 || losses[0] < 1 || losses[11] > 0.2 {
		t.Errorf("losses %v", losses)
	}
}

// The gradients are compared with differences of a loss that is computed naively in float64.
func TestGradients(t *testing.T) {
	recipe := Recipe{Widths: []int{784, 13, 18, 10}, Batch: 5}
	const rows = 3 // a batch that is not full
	r := rand.New(rand.NewPCG(3, 3))
	n := newNet(recipe, 2, r)
	for i := range n.layers { // biases too; the padding must stay zero
		for j := range n.layers[i].out {
			n.layers[i].b[j] = float32(r.NormFloat64() * 0.1)
		}
	}
	x, labels := make([]float32, recipe.Batch*784), []uint8{3, 0, 9}
	for i := range x {
		x[i] = r.Float32()
	}
	for _, l := range n.layers { // what an earlier, full batch would have left
		for i := range l.dz {
			l.dz[i], l.xt[i%len(l.xt)] = 1, 1
		}
		for i := range l.dz {
			if i%l.stride >= l.out {
				l.dz[i] = 0
			}
		}
	}
	n.run(x, rows)
	total := n.loss(labels)
	n.back(x, rows)
	if want := naiveLoss(n, x, labels); math.Abs(total/rows-want) > 1e-5 {
		t.Errorf("mean loss %g, want %g", total/rows, want)
	}
	checked := 0
	for li, l := range n.layers {
		for try := 0; try < 60; try++ {
			params, grads, i := l.w, l.dw, r.IntN(l.in)*l.stride+r.IntN(l.out)
			if try%6 == 0 {
				params, grads, i = l.b, l.db, r.IntN(l.out)
			}
			old, h := params[i], float32(1e-3)
			params[i] = old + h
			up := naiveLoss(n, x, labels)
			params[i] = old - h
			down := naiveLoss(n, x, labels)
			params[i] = old
			want := (up - down) / float64((old+h)-(old-h))
			if math.Abs(float64(grads[i])-want) > 1e-3*math.Abs(want)+2e-5 {
				t.Errorf("layer %d, parameter %d: gradient %g, want %g", li, i, grads[i], want)
			}
			if want != 0 {
				checked++
			}
		}
		for i, g := range l.dw {
			if i%l.stride >= l.out && g != 0 {
				t.Fatalf("layer %d: gradient %g flows into the padding", li, g)
			}
		}
	}
	if checked < 60 {
		t.Errorf("only %d gradients were not zero", checked)
	}
}

// naiveLoss is the mean cross-entropy, one element after the other in float64.
func naiveLoss(n *net, x []float32, labels []uint8) float64 {
	total := 0.0
	for r, label := range labels {
		in := make([]float64, 784)
		for i := range in {
			in[i] = float64(x[r*784+i])
		}
		for li, l := range n.layers {
			out := make([]float64, l.out)
			for j := range out {
				out[j] = float64(l.b[j])
				for i, v := range in {
					out[j] += v * float64(l.w[i*l.stride+j])
				}
				if li+1 < len(n.layers) {
					out[j] = max(0, out[j])
				}
			}
			in = out
		}
		sum := 0.0
		for _, v := range in {
			sum += math.Exp(v)
		}
		total += math.Log(sum) - in[label]
	}
	return total / float64(len(labels))
}

func TestAdamFirstStepIsTheRate(t *testing.T) {
	p, g := []float32{1, 1, 1}, []float32{5, -0.01, 0}
	newAdam(3).update(1, p, g, 0.1)
	for i, want := range []float64{0.9, 1.1, 1} {
		if math.Abs(float64(p[i])-want) > 1e-5 {
			t.Errorf("parameter %d is %g, want %g", i, p[i], want)
		}
	}
}

func TestSchedule(t *testing.T) {
	const steps = 1000
	var rates []float64
	for i := range steps {
		rates = append(rates, schedule(2, i, steps))
	}
	top := slices.Max(rates)
	at := slices.Index(rates, top)
	if math.Abs(top-2) > 1e-9 || at > 60 || rates[0] <= 0 || rates[steps-1] > 1e-4 {
		t.Errorf("starts at %g, rises to %g at step %d, ends at %g", rates[0], top, at, rates[steps-1])
	}
	if !slices.IsSorted(rates[:at]) {
		t.Error("the warm-up does not rise")
	}
	if r := schedule(2, 0, 1); r != 2 {
		t.Errorf("a single step has the rate %g", r)
	}
}

func TestNoDistortionIsTheImage(t *testing.T) {
	d := bars(10)[7]
	got := make([]float32, dataset.Pixels)
	Distortion{}.distort(got, &d.Pixels, rand.New(rand.NewPCG(1, 2)))
	for i, v := range got {
		if want := float32(d.Pixels[i]) / 255; math.Abs(float64(v-want)) > 1e-6 {
			t.Fatalf("pixel %d is %g, want %g", i, v, want)
		}
	}
}

func TestDistort(t *testing.T) {
	d := bars(10)[4]
	r := rand.New(rand.NewPCG(1, 2))
	a, b := make([]float32, dataset.Pixels), make([]float32, dataset.Pixels)
	for range 200 {
		Recipes()[0].distort(a, &d.Pixels, r)
		ink := 0.0
		for _, v := range a {
			if !(v >= 0 && v <= 1) {
				t.Fatalf("a pixel of %g", v)
			}
			ink += float64(v)
		}
		if slices.Equal(a, b) || ink < 10 {
			t.Fatalf("the same image twice, or an empty one (ink %g)", ink)
		}
		a, b = b, a
	}
}

func TestFieldIsSmooth(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var square, step float64
	const rounds = 50
	for range rounds {
		f := field(r, 2)
		for y := range side {
			for x := range side {
				square += f[y][x] * f[y][x]
				if x > 0 {
					step = max(step, math.Abs(f[y][x]-f[y][x-1]))
				}
			}
		}
	}
	if d := math.Sqrt(square / (rounds * side * side)); d < 0.7 || d > 1.3 || step > 1 {
		t.Errorf("standard deviation %g, largest step between neighbours %g", d, step)
	}
}

func TestSampleOutside(t *testing.T) {
	var ink [dataset.Pixels]uint8
	for i := range ink {
		ink[i] = 255
	}
	for _, c := range []struct {
		x, y float64
		want float32
	}{
		{0, 0, 1}, {27, 27, 1}, {-0.5, 5, 0.5}, {27.25, 5, 0.75}, {-0.5, -0.5, 0.25}, {-1, 3, 0}, {3, 28, 0},
		{math.NaN(), 3, 0}, {1e300, 3, 0}, {3, math.Inf(-1), 0},
	} {
		if got := sample(&ink, c.x, c.y); got != c.want {
			t.Errorf("at %g, %g: %g, want %g", c.x, c.y, got, c.want)
		}
	}
}

func TestConfigErrorsComeAllAtOnce(t *testing.T) {
	_, err := Train(Config{Recipe: Recipe{Widths: []int{784, 0, 9}}})
	for _, want := range []string{"[784 0 9]: want 784", "a layer is empty", "Epochs 0", "Batch 0", "Rate 0", "Digits"} {
		if !strings.Contains(fmt.Sprint(err), want) {
			t.Errorf("%q is missing in: %v", want, err)
		}
	}
}

func TestRecipes(t *testing.T) {
	for _, recipe := range Recipes() {
		if err := (Config{Recipe: recipe, Digits: bars(1)}).validate(); err != nil {
			t.Error(err)
		}
	}
}
