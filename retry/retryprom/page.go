package retryprom

import "github.com/prometheus/client_golang/prometheus"

// describer makes descriptions of series that begin with prefix and have one
// label, kind, with the name.
func describer(prefix, kind, name string) func(name, help string, label ...string) *prometheus.Desc {
	labels := prometheus.Labels{kind: name}
	return func(name, help string, label ...string) *prometheus.Desc {
		return prometheus.NewDesc(prefix+name, help, label, labels)
	}
}

// page is what a scrape fills.
type page struct{ to chan<- prometheus.Metric }

func (p page) counter(d *prometheus.Desc, n uint64, label ...string) {
	p.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), label...)
}

func (p page) gauge(d *prometheus.Desc, v float64) {
	p.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v)
}
