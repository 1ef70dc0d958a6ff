package gemm

import "fmt"

// Width is the number of columns in a panel: two 8-lane registers, the widest tile that still leaves room for six
// rows of accumulators in AVX2's sixteen registers.
const Width = 16

// Packed is a matrix of k rows and n columns, stored as panels of Width columns, each panel row after row, so that a
// kernel reads it front to back. The last panel is filled up with zero columns. The zero value is a 0×0 matrix.
type Packed struct {
	k, n int
	data []float32
}

// Pack packs a row-major matrix of k rows and n columns whose rows lie ld elements apart. It panics on negative sizes
// and when src is too short: both are the caller's mistakes.
func Pack(src []float32, k, n, ld int) *Packed {
	p := NewPacked(k, n)
	p.Load(src, ld, 0, p.Panels())
	return p
}

// NewPacked returns a packed matrix of zeros, to be filled by Load or LoadTransposed. It panics on negative sizes.
func NewPacked(k, n int) *Packed {
	if k < 0 || n < 0 {
		panic(fmt.Sprintf("gemm: a matrix of %d×%d", k, n))
	}
	return &Packed{k: k, n: n, data: make([]float32, k*Padded(n))}
}

// Padded rounds a number of columns up to whole panels.
func Padded(n int) int { return (n + Width - 1) / Width * Width }

// Panels returns the number of panels.
func (p *Packed) Panels() int { return (p.n + Width - 1) / Width }

// Stride returns the number of columns including the last panel's padding: the least distance between the rows of a C
// that takes the product.
func (p *Packed) Stride() int { return Padded(p.n) }

// Load fills panels lo (inclusive) to hi (exclusive) from a row-major matrix of k rows and n columns whose rows lie ld
// elements apart. Concurrent calls may fill different panels. It panics when src is too short.
func (p *Packed) Load(src []float32, ld, lo, hi int) {
	for panel := lo; panel < hi; panel++ {
		col := panel * Width
		width := min(Width, p.n-col)
		dst := p.data[panel*p.k*Width:][:p.k*Width]
		for r := range p.k {
			copy(dst[r*Width:][:width], src[r*ld+col:][:width])
		}
	}
}

// LoadTransposed is Load for the transpose: src is row-major with n rows and k columns, ld elements apart.
func (p *Packed) LoadTransposed(src []float32, ld, lo, hi int) {
	for panel := lo; panel < hi; panel++ {
		col := panel * Width
		width := min(Width, p.n-col)
		dst := p.data[panel*p.k*Width:][:p.k*Width]
		for c := range width {
			for r, v := range src[(col+c)*ld:][:p.k] {
				dst[r*Width+c] = v
			}
		}
	}
}
