package digits

import "fmt"

// maxRows is how many rows go through the network at a time: as many as keep the activations of digits-large (48 rows
// of 2048 numbers, 384 KiB, and the next layer's) in a second-level cache. More rows go in parts.
const maxRows = 48

// maxScratch bounds the work space that a model keeps: 12 MiB for digits-large. Calls beyond allocate their own.
const maxScratch = 16

// scratch holds the activations of two neighbouring layers.
type scratch struct{ x, y []float32 }

// Predict computes the probabilities of every row of in, which has InputSize elements, and stores them in the same
// place of out. It returns an error that Is ErrInput, and computes nothing, if a row has another length or out is not
// as long as in. No rows are fine.
func (m *Model) Predict(in [][]float32, out []Probabilities) error {
	if len(in) != len(out) {
		return fmt.Errorf("%w: %d rows, room for %d results", ErrInput, len(in), len(out))
	}
	for i, row := range in {
		if len(row) != InputSize {
			return fmt.Errorf("%w: row %d has %d numbers, want %d", ErrInput, i, len(row), InputSize)
		}
	}
	if len(in) == 0 {
		return nil
	}
	s := m.acquire()
	// Equal parts, in whole tiles of six rows: 50 rows are 30 and 20, not 48 and two that read all weights again.
	parts := (len(in) + maxRows - 1) / maxRows
	size := ((len(in)+parts-1)/parts + 5) / 6 * 6
	for first := 0; first < len(in); first += size {
		last := min(first+size, len(in))
		m.forward(s, in[first:last], out[first:last])
	}
	m.release(s)
	return nil
}

// forward runs at most maxRows rows through all layers.
func (m *Model) forward(s *scratch, in [][]float32, out []Probabilities) {
	rows, width := len(in), InputSize
	for r, row := range in {
		copy(s.x[r*width:], row)
	}
	x, y := s.x, s.y
	for i, l := range m.layers {
		stride := l.w.Stride()
		for r := range rows {
			copy(y[r*stride:], l.b)
		}
		m.kernel.MulAdd(y, stride, x, width, rows, l.w, 0, l.w.Panels())
		if i+1 < len(m.layers) {
			m.kernel.ReLU(y[:rows*stride])
		}
		x, y, width = y, x, stride
	}
	for r := range out {
		out[r].softmax(x[r*width:][:Classes])
	}
}

func (m *Model) acquire() *scratch {
	select {
	case s := <-m.scratch:
		return s
	default:
		return &scratch{x: make([]float32, maxRows*m.stride), y: make([]float32, maxRows*m.stride)}
	}
}

func (m *Model) release(s *scratch) {
	select {
	case m.scratch <- s:
	default: // enough are kept
	}
}
