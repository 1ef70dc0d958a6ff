package digits

import (
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

func open(t testing.TB, id string, config Config) *Model {
	t.Helper()
	m, err := Open(id, config)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func heldOut(t testing.TB) []Digit {
	t.Helper()
	digits, err := HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	return digits
}

func inputs(digits []Digit) [][]float32 {
	in := make([][]float32, len(digits))
	for i := range digits {
		in[i] = digits[i].Input()
	}
	return in
}

func TestAccuracyOnHeldOutDigits(t *testing.T) {
	digits := heldOut(t)
	if len(digits) != 1000 {
		t.Fatalf("%d digits, want 1000", len(digits))
	}
	for _, id := range IDs() {
		m := open(t, id, Config{})
		got, err := m.Accuracy(digits)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s, kernel %s: %.1f %% of %d held-out digits", id, m.Kernel(), 100*got, len(digits))
		if got < 0.98 {
			t.Errorf("%s reads %.1f %% of the held-out digits, want at least 98.0 %%", id, 100*got)
		}
	}
}

func TestModelDescribesItself(t *testing.T) {
	for id, want := range map[string]struct {
		widths     []int
		parameters int
	}{
		Small: {[]int{784, 256, 128, 10}, 785*256 + 257*128 + 129*10},
		Large: {[]int{784, 2048, 1024, 10}, 785*2048 + 2049*1024 + 1025*10},
	} {
		m := open(t, id, Config{Portable: true})
		if m.ID() != id || m.Parameters() != want.parameters || m.Kernel() != "portable" {
			t.Errorf("%s: id %s, %d parameters, kernel %s", id, m.ID(), m.Parameters(), m.Kernel())
		}
		for range 2 { // the second time after the caller wrote to the first's result
			got := m.Widths()
			for i := range want.widths {
				if got[i] != want.widths[i] {
					t.Errorf("%s: widths %v, want %v", id, got, want.widths)
				}
				got[i] = 0
			}
		}
	}
	if ids := IDs(); len(ids) != 2 || ids[0] != Large {
		t.Errorf("ids %v, want digits-large first", ids)
	}
}

func TestOpenUnknown(t *testing.T) {
	if m, err := Open("resnet", Config{}); !errors.Is(err, ErrUnknownModel) || m != nil {
		t.Errorf("got %v, %v", m, err)
	}
}

// reference computes a row in float64, element by element.
func reference(t *testing.T, file string, row []float32) [Classes]float64 {
	t.Helper()
	layers, err := weights.Decode([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float64, len(row))
	for i, v := range row {
		x[i] = float64(v)
	}
	for li, l := range layers {
		y := make([]float64, l.Out)
		for j := range y {
			y[j] = float64(l.B[j])
		}
		for i, v := range x {
			for j := range y {
				y[j] += v * float64(l.W[i*l.Out+j])
			}
		}
		for j := range y {
			if li+1 < len(layers) {
				y[j] = max(0, y[j])
			}
		}
		x = y
	}
	var out [Classes]float64
	sum := 0.0
	for j, v := range x {
		out[j] = math.Exp(v)
		sum += out[j]
	}
	for j := range out {
		out[j] /= sum
	}
	return out
}

func TestPredictAgainstFloat64(t *testing.T) {
	digits := heldOut(t)
	in := inputs([]Digit{digits[0], digits[123], digits[499], digits[777], digits[999]})
	for id, file := range map[string]string{Small: smallFile, Large: largeFile} {
		for _, config := range []Config{{}, {Portable: true}} {
			m := open(t, id, config)
			out := make([]Probabilities, len(in))
			if err := m.Predict(in, out); err != nil {
				t.Fatal(err)
			}
			for r := range in {
				sum := 0.0
				for c, want := range reference(t, file, in[r]) {
					got := float64(out[r][c])
					sum += got
					if math.Abs(got-want) > 1e-5*want+1e-12 {
						t.Errorf("%s, %s: row %d, digit %d: %g, want %g", id, m.Kernel(), r, c, got, want)
					}
				}
				if math.Abs(sum-1) > 1e-6 {
					t.Errorf("%s, %s: row %d adds up to %g", id, m.Kernel(), r, sum)
				}
			}
		}
	}
}

func TestARowsBitsDoNotDependOnItsBatch(t *testing.T) {
	in := inputs(heldOut(t)[:160])
	for _, config := range []Config{{}, {Portable: true}} {
		m := open(t, Small, config)
		alone := make([]Probabilities, len(in))
		for i := range in {
			if err := m.Predict(in[i:i+1], alone[i:i+1]); err != nil {
				t.Fatal(err)
			}
		}
		for _, n := range []int{0, 1, 2, 3, 5, 6, 7, 8, 31, 32, 33, 47, 48, 49, 95, 96, 97, 128, 144, 145, 160} {
			out := make([]Probabilities, n)
			if err := m.Predict(in[len(in)-n:], out); err != nil {
				t.Fatal(err)
			}
			for i := range out {
				if want := alone[len(in)-n+i]; out[i] != want {
					t.Fatalf("%s: %d rows: row %d gives %v, alone %v", m.Kernel(), n, i, out[i], want)
				}
			}
		}
	}
}

func TestPredictRefuses(t *testing.T) {
	m := open(t, Small, Config{})
	row := make([]float32, InputSize)
	out := make([]Probabilities, 2)
	for name, in := range map[string][][]float32{
		"one row, two results":    {row},
		"three rows, two results": {row, row, row},
		"a short row":             {row, row[1:]},
		"a long row":              {append(row, 1), row},
		"a nil row":               {row, nil},
	} {
		if err := m.Predict(in, out); !errors.Is(err, ErrInput) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if out[0] != (Probabilities{}) {
		t.Error("a refused call computed something")
	}
	if err := m.Predict(nil, nil); err != nil {
		t.Errorf("no rows: %v", err)
	}
	if _, err := m.Accuracy(nil); !errors.Is(err, ErrInput) {
		t.Errorf("no digits: %v", err)
	}
}

func TestANonFiniteRowStaysAlone(t *testing.T) {
	in := inputs(heldOut(t)[:9])
	for _, config := range []Config{{}, {Portable: true}} {
		m := open(t, Small, config)
		want, got := make([]Probabilities, len(in)), make([]Probabilities, len(in))
		if err := m.Predict(in, want); err != nil {
			t.Fatal(err)
		}
		bad := append([][]float32(nil), in...)
		bad[4] = append([]float32(nil), in[4]...)
		bad[4][300] = float32(math.NaN())
		bad[4][301] = float32(math.Inf(1))
		for range 2 { // the second time with the first's work space
			if err := m.Predict(bad, got); err != nil {
				t.Fatal(err)
			}
			for i := range got {
				if i != 4 && got[i] != want[i] {
					t.Errorf("%s: row 4's NaN reached row %d", m.Kernel(), i)
				}
			}
			_ = got[4].Class() // some digit, no panic
		}
		if err := m.Predict(in, got); err != nil || got[4] != want[4] {
			t.Errorf("%s: row 4 did not recover: %v, %v", m.Kernel(), got[4], err)
		}
	}
}

func TestPredictConcurrently(t *testing.T) {
	in := inputs(heldOut(t)[:64])
	m := open(t, Small, Config{})
	want := make([]Probabilities, len(in))
	if err := m.Predict(in, want); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for g := range 3 * maxScratch { // more than the model keeps work space for
		wg.Go(func() {
			out := make([]Probabilities, len(in))
			for range 3 {
				n := 1 + g%len(in)
				if err := m.Predict(in[:n], out[:n]); err != nil {
					t.Error(err)
				}
				for i := range n {
					if out[i] != want[i] {
						t.Errorf("row %d of %d differs", i, n)
						return
					}
				}
				runtime.Gosched()
			}
		})
	}
	wg.Wait()
	if n := len(m.scratch); n == 0 || n > maxScratch {
		t.Errorf("the model keeps %d work spaces", n)
	}
}

func TestScratchIsBounded(t *testing.T) {
	m := open(t, Small, Config{})
	var taken []*scratch
	for range maxScratch + 3 {
		taken = append(taken, m.acquire())
	}
	for _, s := range taken {
		m.release(s)
	}
	if n := len(m.scratch); n != maxScratch {
		t.Errorf("the model keeps %d work spaces, want %d", n, maxScratch)
	}
}

func TestPredictDoesNotAllocate(t *testing.T) {
	in := inputs(heldOut(t)[:50])
	out := make([]Probabilities, len(in))
	for _, config := range []Config{{}, {Portable: true}} {
		m := open(t, Small, config)
		for _, n := range []int{1, 32, 50} {
			if allocs := testing.AllocsPerRun(5, func() {
				if err := m.Predict(in[:n], out[:n]); err != nil {
					t.Error(err)
				}
			}); allocs != 0 {
				t.Errorf("%s: %g allocations for %d rows", m.Kernel(), allocs, n)
			}
		}
	}
}

func TestClass(t *testing.T) {
	for _, c := range []struct {
		p    Probabilities
		want int
	}{
		{Probabilities{}, 0},
		{Probabilities{9: 1}, 9},
		{Probabilities{3: 0.5, 7: 0.5}, 3},
		{Probabilities{0: 0.1, 4: 0.6, 5: 0.3}, 4},
	} {
		if got := c.p.Class(); got != c.want {
			t.Errorf("%v is a %d, want %d", c.p, got, c.want)
		}
	}
}

// Logits beyond exp's range must neither overflow nor divide zero by zero.
func TestSoftmaxOfLargeLogits(t *testing.T) {
	var p Probabilities
	p.softmax([]float32{1e30, 0, -1e30, 0, 0, 0, 0, 0, 0, 0})
	if p != (Probabilities{0: 1}) {
		t.Errorf("got %v", p)
	}
}
