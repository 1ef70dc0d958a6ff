package batching

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// modelMemory is how much an observation counts less with each newer one:
	// the last fifty or so make the fit.
	modelMemory = 0.98

	// modelOutlier is how many times its expected time a run may teach the
	// model at most, once modelWarm others have: one straggler must not turn
	// away what comes after it. So many runs in a row that are off by that much
	// the same way, modelChange, are a backend that has changed: what was seen
	// before then counts no more than one run.
	modelOutlier = 4
	modelWarm    = 8
	modelChange  = 3

	// modelFaster is how many times less than expected, or than its part of what
	// larger batches took, is much faster.
	modelFaster = 2
)

// model fits t(n) = fixed + n·perUnit to the runs of an instance by
// exponentially weighted least squares, all times in nanoseconds. Its methods
// need Batcher.mu.
type model struct {
	count          uint64
	streak         int     // of outliers, below 0 if they were faster than expected
	weight         float64 // of all observations
	meanX, meanY   float64
	varX, cov      float64 // not divided by weight
	residual       float64 // mean of squares
	fixed, perUnit float64
}

// observe learns that a batch of x units took y. If it ran after a silence, or
// little is known, and was much faster than expected, that is believed at once:
// first runs are slow, and a model that is too slow sheds what would teach it.
func (m *model) observe(x, y float64, silence bool) {
	expected := m.predict(x)
	if (silence || m.count < modelWarm) && y*modelFaster < expected*min(1, x/m.meanX) {
		*m = model{}
		expected = 0
	}
	if m.count >= modelWarm && m.changed(y, expected) {
		m.residual = 0
	} else if m.count > 0 {
		if m.count >= modelWarm {
			y = min(y, modelOutlier*expected)
		}
		off := y - expected
		m.residual = modelMemory*m.residual + (1-modelMemory)*off*off
	}
	m.count++

	// Welford's update with forgetting (West, CACM 1979).
	m.weight = modelMemory*m.weight + 1
	dx, dy := x-m.meanX, y-m.meanY
	m.meanX += dx / m.weight
	m.meanY += dy / m.weight
	m.varX = modelMemory*m.varX + dx*(x-m.meanX)
	m.cov = modelMemory*m.cov + dx*(y-m.meanY)

	// Batches that are all about as large say nothing about the slope: it stays
	// as it was. A time neither falls with size nor starts below zero.
	if m.varX > 1e-3*m.meanX*m.meanX {
		m.perUnit = max(0, m.cov/m.varX)
	}
	m.fixed = m.meanY - m.perUnit*m.meanX
	if m.fixed < 0 && m.meanX > 0 {
		m.fixed, m.perUnit = 0, m.meanY/m.meanX
	}
}

// changed reports whether y is not an outlier of the backend that the model
// knows but of another, and if so makes it forget.
func (m *model) changed(y, expected float64) bool {
	switch {
	case y > modelOutlier*expected:
		m.streak = max(0, m.streak) + 1
	case y < expected/modelOutlier:
		m.streak = min(0, m.streak) - 1
	default:
		m.streak = 0
	}
	if m.streak > -modelChange && m.streak < modelChange {
		return false
	}
	if m.weight > 1 {
		m.varX, m.cov, m.weight = m.varX/m.weight, m.cov/m.weight, 1
	}
	return true
}

// predict returns what a batch of x units should take, 0 if nothing is known.
func (m *model) predict(x float64) float64 { return m.fixed + m.perUnit*x }

func (m *model) snapshot() CostModel {
	return CostModel{
		Fixed:    time.Duration(m.fixed),
		PerUnit:  time.Duration(m.perUnit),
		Residual: time.Duration(math.Sqrt(m.residual)),
	}
}

// speed is what the models of all instances say together, for those who ask
// without a lock. Its fields may be of two moments; they are all estimates.
type speed struct {
	fixed, perUnit, residual atomicFloat
	freshUntil               atomic.Int64 // 0: nothing is known
}

// fresh is how long a model is believed without new observations, besides twice
// the time that a run takes: afterwards an idle instance lets a call through to
// find out.
const fresh = int64(100 * time.Millisecond)

func (s *speed) publish(instances []*instance, now int64) {
	var fixed, perUnit, residual, n, slowest float64
	for _, inst := range instances {
		if m := &inst.model; m.count > 0 {
			n++
			fixed += m.fixed
			perUnit += m.perUnit
			residual += math.Sqrt(m.residual)
			slowest = max(slowest, m.meanY)
		}
	}
	if n == 0 {
		return
	}
	s.fixed.Store(fixed / n)
	s.perUnit.Store(perUnit / n)
	s.residual.Store(residual / n)
	s.freshUntil.Store(now + fresh + int64(2*slowest))
}

func (s *speed) predict(units float64) float64 { return s.fixed.Load() + s.perUnit.Load()*units }

type atomicFloat struct{ bits atomic.Uint64 }

func (f *atomicFloat) Load() float64   { return math.Float64frombits(f.bits.Load()) }
func (f *atomicFloat) Store(v float64) { f.bits.Store(math.Float64bits(v)) }
