package digits

import (
	"errors"
	"fmt"
	"math"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/gemm"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

// The shape of every model here: an image of 28×28 pixels row by row from the top, and ten digits.
const (
	Side      = dataset.Side
	InputSize = dataset.Pixels
	Classes   = dataset.Classes
)

var (
	// ErrUnknownModel is returned by Open for an id that is not in IDs.
	ErrUnknownModel = errors.New("digits: unknown model")
	// ErrWeights is returned by Load for a file that is not a network for digits.
	ErrWeights = errors.New("digits: unusable weights")
	// ErrInput is returned by Predict for rows of the wrong length, or as many results as there are not rows.
	ErrInput = errors.New("digits: wrong input")
)

// Config changes how a model computes. The zero value is the fastest way.
type Config struct {
	// Portable leaves the processor's vector instructions unused: the results differ in the last bits.
	Portable bool

	_ struct{}
}

// Model is a network ready to predict, safe for concurrent use.
type Model struct {
	id      string
	widths  []int
	layers  []layer
	kernel  gemm.Kernel
	stride  int           // the widest layer's row, padding included
	scratch chan *scratch // a free list, which unlike sync.Pool a garbage collection does not empty
}

// layer is a fully connected layer, packed for the kernel. The biases are padded like the matrix's columns.
type layer struct {
	w *gemm.Packed
	b []float32
}

// Load makes a model from the bytes of a weights file. Every error Is ErrWeights and says what is wrong; no input makes
// it panic or allocate more than a few times the file's length.
func Load(id string, file []byte, config Config) (*Model, error) {
	decoded, err := weights.Decode(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrWeights, id, err)
	}
	if in, out := decoded[0].In, decoded[len(decoded)-1].Out; in != InputSize || out != Classes {
		return nil, fmt.Errorf("%w: %s has %d inputs and %d outputs, want %d and %d", ErrWeights, id, in, out, InputSize, Classes)
	}
	m := &Model{id: id, widths: []int{InputSize}, kernel: gemm.Detect(), scratch: make(chan *scratch, maxScratch)}
	if config.Portable {
		m.kernel = gemm.Portable()
	}
	m.stride = InputSize
	for _, l := range decoded {
		p := gemm.Pack(l.W, l.In, l.Out, l.Out)
		b := make([]float32, p.Stride())
		copy(b, l.B)
		m.layers = append(m.layers, layer{w: p, b: b})
		m.widths = append(m.widths, l.Out)
		m.stride = max(m.stride, p.Stride())
	}
	return m, nil
}

// ID returns the model's name.
func (m *Model) ID() string { return m.id }

// Widths returns the number of inputs and of each layer's outputs, as in [784 2048 1024 10]. The caller may keep it.
func (m *Model) Widths() []int { return append([]int(nil), m.widths...) }

// Parameters returns the number of weights and biases.
func (m *Model) Parameters() int {
	n := 0
	for i, out := range m.widths[1:] {
		n += (m.widths[i] + 1) * out
	}
	return n
}

// Kernel names the implementation that multiplies: "avx2+fma" or "portable".
func (m *Model) Kernel() string { return m.kernel.String() }

// Probabilities holds one probability for each digit; they add up to 1.
type Probabilities [Classes]float32

// Class returns the most probable digit, the smallest one of equals.
func (p *Probabilities) Class() int {
	best := 0
	for i, v := range p {
		if v > p[best] {
			best = i
		}
	}
	return best
}

// softmax turns logits into probabilities, in float64 and shifted by the largest, so that nothing overflows.
func (p *Probabilities) softmax(logits []float32) {
	top := float64(logits[0])
	for _, v := range logits {
		top = max(top, float64(v))
	}
	var e [Classes]float64
	sum := 0.0
	for i := range e {
		e[i] = math.Exp(float64(logits[i]) - top)
		sum += e[i]
	}
	for i := range e {
		p[i] = float32(e[i] / sum)
	}
}
