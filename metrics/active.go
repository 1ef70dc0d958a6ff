package metrics

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// active counts the requests that are being handled: in one gauge for Guide, by method
// and scheme for OTel.
type active struct {
	names  Names
	desc   *prometheus.Desc
	gauges [len(methods)][2]gauge // of Guide only the first
}

type gauge struct {
	n    atomic.Int64
	seen atomic.Bool
}

func newActive(n Names, name, help string, labels ...string) *active {
	return &active{names: n, desc: prometheus.NewDesc(name, help, labels, nil)}
}

func (a *active) gauge(method string, tls bool) *gauge {
	if a.names == Guide {
		return &a.gauges[0][0]
	}
	g := &a.gauges[methodIndex(method)][0]
	if tls {
		g = &a.gauges[methodIndex(method)][1]
	}
	if !g.seen.Load() {
		g.seen.Store(true)
	}
	return g
}

// Describe implements prometheus.Collector.
func (a *active) Describe(ch chan<- *prometheus.Desc) { ch <- a.desc }

// Collect implements prometheus.Collector.
func (a *active) Collect(ch chan<- prometheus.Metric) {
	if a.names == Guide {
		ch <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, float64(a.gauges[0][0].n.Load()))
		return
	}
	for i := range a.gauges {
		for j := range a.gauges[i] {
			if g := &a.gauges[i][j]; g.seen.Load() {
				ch <- prometheus.MustNewConstMetric(a.desc, prometheus.GaugeValue, float64(g.n.Load()),
					a.names.method(uint8(i)), scheme(j == 1))
			}
		}
	}
}
