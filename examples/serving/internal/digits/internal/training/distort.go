package training

import (
	"math"
	"math/rand/v2"

	"github.com/ballast-go/ballast/examples/serving/internal/digits/internal/dataset"
)

const (
	side = dataset.Side
	// spacing is the distance of the displacement field's control points. A cubic B-spline on a lattice of 7 pixels is
	// about as smooth as the Gaussian of 4 pixels that Simard, Steinkraus and Platt found best for MNIST (Best Practices
	// for Convolutional Neural Networks, ICDAR 2003), and needs 7×7 random numbers instead of 28×28.
	spacing  = 7
	controls = side/spacing + 3
)

// splines returns the four weights of the cubic B-spline for each position between two control points.
func splines() (w [spacing][4]float64) {
	for i := range w {
		t := (float64(i) + 0.5) / spacing
		w[i] = [4]float64{
			(1 - t) * (1 - t) * (1 - t) / 6,
			(3*t*t*t - 6*t*t + 4) / 6,
			(-3*t*t*t + 3*t*t + 3*t + 1) / 6,
			t * t * t / 6,
		}
	}
	return w
}

// distort draws a distortion of the image into dst, as numbers between 0 and 1.
func (d Distortion) distort(dst []float32, src *[dataset.Pixels]uint8, r *rand.Rand) {
	within := func(bound float64) float64 { return (2*r.Float64() - 1) * bound }
	angle := within(d.Rotate)
	sx, sy := 1+within(d.Scale), 1+within(d.Scale)
	shear := within(d.Shear)
	dx, dy := within(d.Shift), within(d.Shift)
	sin, cos := math.Sincos(angle)
	fx, fy := field(r, d.Elastic), field(r, d.Elastic)

	// For every pixel of the result: where in the source does it come from?
	const centre = (side - 1) / 2.0
	for y := range side {
		for x := range side {
			u, v := (float64(x)-centre)/sx, (float64(y)-centre)/sy
			u += shear * v
			px := cos*u - sin*v + centre + dx + fx[y][x]
			py := sin*u + cos*v + centre + dy + fy[y][x]
			dst[y*side+x] = sample(src, px, py)
		}
	}
}

// field returns a smooth random field: normal numbers at control points, a B-spline in between.
func field(r *rand.Rand, deviation float64) (f [side][side]float64) {
	if deviation == 0 {
		return f
	}
	spline := splines()
	var rows [controls][side]float64 // the spline along x, for each row of control points
	for i := range rows {
		var c [controls]float64
		for j := range c {
			c[j] = r.NormFloat64() * deviation
		}
		for x := range side {
			w, j := &spline[x%spacing], x/spacing
			rows[i][x] = w[0]*c[j] + w[1]*c[j+1] + w[2]*c[j+2] + w[3]*c[j+3]
		}
	}
	for y := range side {
		w, i := &spline[y%spacing], y/spacing
		for x := range side {
			f[y][x] = w[0]*rows[i][x] + w[1]*rows[i+1][x] + w[2]*rows[i+2][x] + w[3]*rows[i+3][x]
		}
	}
	return f
}

// sample interpolates between the four pixels around a point; outside the image is paper.
func sample(src *[dataset.Pixels]uint8, px, py float64) float32 {
	if !(px > -1 && px < side && py > -1 && py < side) {
		return 0
	}
	x, y := int(px+1)-1, int(py+1)-1 // rounds down: the sums are positive
	u, v := px-float64(x), py-float64(y)
	at := func(x, y int) float64 {
		if x < 0 || x >= side || y < 0 || y >= side {
			return 0
		}
		return float64(src[y*side+x])
	}
	top := at(x, y)*(1-u) + at(x+1, y)*u
	bottom := at(x, y+1)*(1-u) + at(x+1, y+1)*u
	return float32((top*(1-v) + bottom*v) / 255)
}
