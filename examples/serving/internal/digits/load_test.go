package digits

import (
	"errors"
	"strings"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

func encode(t testing.TB, widths ...int) []byte {
	t.Helper()
	var layers []weights.Layer
	for i, out := range widths[1:] {
		l := weights.Layer{In: widths[i], Out: out, W: make([]float32, widths[i]*out), B: make([]float32, out)}
		for j := range l.W {
			l.W[j] = float32(j%7) - 3
		}
		layers = append(layers, l)
	}
	file, err := weights.Encode(layers)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLoad(t *testing.T) {
	for _, widths := range [][]int{{784, 10}, {784, 1, 10}, {784, 33, 17, 5, 10}, {784, 3000, 10}} {
		m, err := Load("x", encode(t, widths...), Config{})
		if err != nil {
			t.Fatal(err)
		}
		out := make([]Probabilities, 49)
		in := make([][]float32, len(out))
		for i := range in {
			in[i] = make([]float32, InputSize)
			in[i][i] = 1
		}
		if err := m.Predict(in, out); err != nil {
			t.Errorf("%v: %v", widths, err)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":         {nil, "begin with"},
		"broken":        {encode(t, 784, 10)[:500], "bytes"},
		"other inputs":  {encode(t, 100, 10), "100 inputs"},
		"other outputs": {encode(t, 784, 26), "26 outputs"},
	} {
		m, err := Load("digits-mine", c.file, Config{})
		if !errors.Is(err, ErrWeights) || m != nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "digits-mine") {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// A held-out file that does not decode is a broken build, and still an error rather than a panic.
func TestHeldOutErrorsAreErrors(t *testing.T) {
	if _, err := decodeHeldOut("no gzip"); err == nil || !strings.Contains(err.Error(), "held-out") {
		t.Errorf("got %v", err)
	}
}
