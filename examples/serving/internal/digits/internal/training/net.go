package training

import (
	"math"
	"math/rand/v2"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/gemm"
	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/weights"
)

// net is a network with what a step needs. Parameters and gradients lie in one slice each, for the optimiser; rows are
// padded to whole panels, and the padding stays zero because nothing flows back into it.
type net struct {
	kernel  gemm.Kernel
	workers int
	batch   int
	layers  []*layer
	params  []float32
	grads   []float32
}

// layer holds views into the parameters, and buffers for one batch.
type layer struct {
	in, out int
	x       int // distance of the input's rows
	stride  int // distance of the output's rows
	w, b    []float32
	dw, db  []float32

	forward  *gemm.Packed // w
	backward *gemm.Packed // w transposed
	deltas   *gemm.Packed // dz
	y, dz    []float32    // batch × stride
	xt       []float32    // the input transposed: in × batch
}

// newNet returns a network with He's normal initialisation (arXiv:1502.01852) and zero biases.
func newNet(recipe Recipe, workers int, r *rand.Rand) *net {
	n := &net{kernel: gemm.Detect(), workers: workers, batch: recipe.Batch}
	size := 0
	for i := 1; i < len(recipe.Widths); i++ {
		in, out := recipe.Widths[i-1], recipe.Widths[i]
		stride, x := gemm.Padded(out), in
		if i > 1 {
			x = gemm.Padded(in)
		}
		n.layers = append(n.layers, &layer{
			in: in, out: out, x: x, stride: stride,
			forward: gemm.NewPacked(in, out), backward: gemm.NewPacked(out, in), deltas: gemm.NewPacked(n.batch, out),
			y: make([]float32, n.batch*stride), dz: make([]float32, n.batch*stride), xt: make([]float32, in*n.batch),
		})
		size += (in + 1) * stride
	}
	n.params, n.grads = make([]float32, size), make([]float32, size)
	params, grads := n.params, n.grads
	for _, l := range n.layers {
		m := l.in * l.stride
		l.w, l.b, params = params[:m], params[m:m+l.stride], params[m+l.stride:]
		l.dw, l.db, grads = grads[:m], grads[m:m+l.stride], grads[m+l.stride:]
		deviation := math.Sqrt(2 / float64(l.in))
		for i := range l.in {
			for j := range l.out {
				l.w[i*l.stride+j] = float32(r.NormFloat64() * deviation)
			}
		}
	}
	return n
}

// run computes the layers' outputs for rows inputs; the last holds logits.
func (n *net) run(x []float32, rows int) {
	for i, l := range n.layers {
		parallel(n.workers, l.forward.Panels(), func(lo, hi int) {
			l.forward.Load(l.w, l.stride, lo, hi)
			for r := range rows {
				copy(l.y[r*l.stride+lo*gemm.Width:r*l.stride+hi*gemm.Width], l.b[lo*gemm.Width:])
			}
			n.kernel.MulAdd(l.y, l.stride, x, l.x, rows, l.forward, lo, hi)
		})
		x = l.y[:rows*l.stride]
		if i+1 < len(n.layers) {
			n.kernel.ReLU(x)
		}
	}
}

// loss turns the logits into probabilities, leaves the gradient of the mean cross-entropy in the last layer's dz and
// returns the sum of the cross-entropies.
func (n *net) loss(labels []uint8) float64 {
	l := n.layers[len(n.layers)-1]
	total := 0.0
	for r, label := range labels {
		y, dz := l.y[r*l.stride:][:l.out], l.dz[r*l.stride:][:l.out]
		top := float64(y[0])
		for _, v := range y {
			top = max(top, float64(v))
		}
		sum := 0.0
		for _, v := range y {
			sum += math.Exp(float64(v) - top)
		}
		total += math.Log(sum) + top - float64(y[label])
		for j, v := range y {
			dz[j] = float32(math.Exp(float64(v)-top) / sum / float64(len(labels)))
		}
		dz[label] -= 1 / float32(len(labels))
	}
	return total
}

// back computes the gradients for the batch that run and loss have just seen.
func (n *net) back(x []float32, rows int) {
	for i := len(n.layers) - 1; i >= 0; i-- {
		l, below := n.layers[i], x
		if i > 0 {
			below = n.layers[i-1].y
		}
		n.gradient(l, below, rows)
		if i > 0 {
			n.descend(l, n.layers[i-1], rows)
		}
	}
}

// gradient computes a layer's dw = xᵀ·dz and db, the sum of dz's rows.
func (n *net) gradient(l *layer, x []float32, rows int) {
	parallel(n.workers, l.in, func(lo, hi int) {
		for r := range rows {
			for j, v := range x[r*l.x+lo : r*l.x+hi] {
				l.xt[(lo+j)*n.batch+r] = v
			}
		}
	})
	if rows < n.batch { // the last batch of an epoch; the missing rows must not count
		clear(l.dz[rows*l.stride:])
	}
	parallel(n.workers, l.deltas.Panels(), func(lo, hi int) {
		l.deltas.Load(l.dz, l.stride, lo, hi)
		from, to := lo*gemm.Width, hi*gemm.Width
		for k := range l.in {
			clear(l.dw[k*l.stride+from : k*l.stride+to])
		}
		n.kernel.MulAdd(l.dw, l.stride, l.xt, n.batch, l.in, l.deltas, lo, hi)
		clear(l.db[from:to])
		for r := range rows {
			for j := from; j < to; j++ {
				l.db[j] += l.dz[r*l.stride+j]
			}
		}
	})
}

// descend computes the lower layer's dz = dz·wᵀ, where that layer's ReLU let something pass.
func (n *net) descend(l, lower *layer, rows int) {
	parallel(n.workers, l.backward.Panels(), func(lo, hi int) {
		l.backward.LoadTransposed(l.w, l.stride, lo, hi)
		from, to := lo*gemm.Width, hi*gemm.Width
		for r := range rows {
			clear(lower.dz[r*lower.stride+from : r*lower.stride+to])
		}
		n.kernel.MulAdd(lower.dz, lower.stride, l.dz, l.stride, rows, l.backward, lo, hi)
		for r := range rows {
			dz, y := lower.dz[r*lower.stride:][from:to], lower.y[r*lower.stride:][from:to]
			for j, v := range y {
				if v <= 0 {
					dz[j] = 0
				}
			}
		}
	})
}

// export copies the parameters without their padding.
func (n *net) export() []weights.Layer {
	out := make([]weights.Layer, len(n.layers))
	for i, l := range n.layers {
		w := make([]float32, 0, l.in*l.out)
		for k := range l.in {
			w = append(w, l.w[k*l.stride:][:l.out]...)
		}
		out[i] = weights.Layer{In: l.in, Out: l.out, W: w, B: append([]float32(nil), l.b[:l.out]...)}
	}
	return out
}
