package training

import "math"

// Adam's constants as its authors recommend them (arXiv:1412.6980).
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// adam holds the running moments of every parameter's gradient.
type adam struct {
	m, v []float32
	step int
}

func newAdam(size int) *adam { return &adam{m: make([]float32, size), v: make([]float32, size)} }

// update moves the parameters against their gradients, by about rate each.
func (a *adam) update(workers int, params, grads []float32, rate float64) {
	a.step++
	// The corrections for the moments' start at zero go into rate and epsilon, as in the paper's section 2.
	c := math.Sqrt(1 - math.Pow(beta2, float64(a.step)))
	r, eps := float32(rate*c/(1-math.Pow(beta1, float64(a.step)))), float32(epsilon*c)
	parallel(workers, len(params), func(lo, hi int) {
		p, g, m, v := params[lo:hi], grads[lo:hi], a.m[lo:hi], a.v[lo:hi]
		for i, d := range g {
			m[i] += (1 - beta1) * (d - m[i])
			v[i] += (1 - beta2) * (d*d - v[i])
			p[i] -= r * m[i] / (float32(math.Sqrt(float64(v[i]))) + eps)
		}
	})
}

// schedule returns the rate of a step: a linear warm-up over the first twentieth, then half a cosine down to zero.
func schedule(top float64, step, steps int) float64 {
	warm := max(1, steps/20)
	if step < warm {
		return top * float64(step+1) / float64(warm)
	}
	return top * (1 + math.Cos(math.Pi*float64(step-warm)/float64(max(1, steps-warm)))) / 2
}
