package batching

import (
	"math"
	"math/rand/v2"
	"testing"
)

// naiveFit is the weighted least squares line through the points, straight
// from the definition: the newest weighs 1, each one before less.
func naiveFit(xs, ys []float64) (fixed, perUnit float64) {
	var w, sx, sy float64
	weight := func(i int) float64 { return math.Pow(modelMemory, float64(len(xs)-1-i)) }
	for i := range xs {
		w += weight(i)
		sx += weight(i) * xs[i]
		sy += weight(i) * ys[i]
	}
	var xx, xy float64
	for i := range xs {
		xx += weight(i) * (xs[i] - sx/w) * (xs[i] - sx/w)
		xy += weight(i) * (xs[i] - sx/w) * (ys[i] - sy/w)
	}
	perUnit = xy / xx
	return sy/w - perUnit*sx/w, perUnit
}

func near(got, want, part float64) bool { return math.Abs(got-want) <= part*math.Abs(want) }

func TestModelAgainstNaiveLeastSquares(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		fixed, perUnit := 1e5*(1+rng.Float64()), 1e4*(1+rng.Float64())
		var m model
		var xs, ys []float64
		for range 300 {
			x := float64(1 + rng.IntN(64))
			y := (fixed + perUnit*x) * (1 + 0.1*rng.NormFloat64())
			xs, ys = append(xs, x), append(ys, y)
			m.observe(x, y, false)
		}
		wantFixed, wantPerUnit := naiveFit(xs, ys)
		if !near(m.fixed, wantFixed, 1e-6) || !near(m.perUnit, wantPerUnit, 1e-6) {
			t.Errorf("seed %d: %v + n·%v, want %v + n·%v", seed, m.fixed, m.perUnit, wantFixed, wantPerUnit)
		}
		if r := math.Sqrt(m.residual); r < 0.05*fixed || r > 0.15*(fixed+64*perUnit) {
			t.Errorf("seed %d: residual %v of %v + n·%v with a tenth of noise", seed, r, fixed, perUnit)
		}
	}
}

// Whatever it sees, a model predicts nothing negative, and nothing far from
// what it saw where it saw it.
func TestModelIsNeverNegative(t *testing.T) {
	shapes := map[string]func(rng *rand.Rand, x float64) float64{
		"linear through zero": func(_ *rand.Rand, x float64) float64 { return 1000 * x },
		"faster when larger":  func(_ *rand.Rand, x float64) float64 { return 1e6 / x },
		"superlinear":         func(_ *rand.Rand, x float64) float64 { return 10 * x * x },
		"constant":            func(*rand.Rand, float64) float64 { return 1e6 },
		"nothing":             func(*rand.Rand, float64) float64 { return 0 },
		"noise":               func(rng *rand.Rand, _ float64) float64 { return 1e6 * rng.ExpFloat64() },
		"steps":               func(_ *rand.Rand, x float64) float64 { return 1e5 * math.Ceil(x/16) },
		"two speeds":          func(rng *rand.Rand, x float64) float64 { return []float64{1e6, 3e6}[rng.IntN(2)] },
	}
	for name, shape := range shapes {
		for _, sizes := range []int{1, 2, 64} { // constant batch sizes, two, many
			rng := rand.New(rand.NewPCG(uint64(sizes), 2))
			var m model
			sum := 0.0
			for i := range 500 {
				x := float64(64 - rng.IntN(sizes))
				y := shape(rng, x)
				sum += y
				m.observe(x, y, false)
				if m.fixed < 0 || m.perUnit < 0 || m.residual < 0 || math.IsNaN(m.fixed+m.perUnit+m.residual) || math.IsInf(m.fixed+m.perUnit+m.residual, 0) {
					t.Fatalf("%s, %d sizes: %+v after %d runs", name, sizes, m, i+1)
				}
			}
			if mean := sum / 500; m.predict(m.meanX) > 2*mean || m.predict(m.meanX) < mean/2 {
				t.Errorf("%s, %d sizes: predicts %v, the mean was %v", name, sizes, m.predict(m.meanX), mean)
			}
		}
	}
}

// taught is a model that knows 200 µs + 2 µs an item.
func taught(rng *rand.Rand, runs int) (m *model, teach func(slower float64)) {
	m = new(model)
	at := int64(0)
	teach = func(slower float64) {
		x := float64(1 + rng.IntN(64))
		took := slower * (200e3 + 2e3*x)
		at += int64(took)
		m.observe(x, took, false)
	}
	for range runs {
		teach(1)
	}
	return m, teach
}

func TestOneStragglerDoesNotPoisonTheModel(t *testing.T) {
	for seed := range uint64(100) {
		m, teach := taught(rand.New(rand.NewPCG(seed, 3)), 100)
		teach(50)
		for _, x := range []float64{1, 32, 64} {
			if got, want := m.predict(x), 200e3+2e3*x; !near(got, want, 0.3) {
				t.Errorf("seed %d: predicts %v for %v after a straggler of 50x, want about %v", seed, got, x, want)
			}
		}
		if margin := math.Sqrt(m.residual); margin > 200e3 {
			t.Errorf("seed %d: residual %v after one straggler", seed, margin)
		}
	}
}

// A backend that has really changed, either way, is believed within a few runs.
func TestModelFollowsAChange(t *testing.T) {
	for _, factor := range []float64{1e-3, 0.1, 0.5, 2, 10, 1e3} {
		for _, before := range []int{5, 20, 500} {
			m, teach := taught(rand.New(rand.NewPCG(uint64(before), 4)), before)
			runs := 0
			for ; runs < 1000 && !near(m.predict(32), factor*264e3, 0.5); runs++ {
				teach(factor)
			}
			most := 20
			if factor > 1./modelOutlier && factor < modelOutlier {
				most = 40 // by the weight of what is new alone
			}
			if runs > most {
				t.Errorf("%v times as slow after %d runs: %d runs until the model said so", factor, before, runs)
			}
		}
	}
}

// A backend that took no time at all, as in a bubble, can become slow.
func TestModelFollowsFromNothing(t *testing.T) {
	var m model
	for range 20 {
		m.observe(1, 0, false)
	}
	for range 40 {
		m.observe(1, 1e6, false)
	}
	if got := m.predict(1); !near(got, 1e6, 0.5) {
		t.Errorf("predicts %v, want about 1e6", got)
	}
}
