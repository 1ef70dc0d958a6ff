package main

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

type modelInfo struct {
	ID         string   `json:"id"`
	Default    bool     `json:"default"`
	Layers     []int    `json:"layers"`
	Parameters int      `json:"parameters"`
	Kernel     string   `json:"kernel"`
	Accuracy   *float64 `json:"accuracy"` // on the held-out digits; null until measured
}

func (s *service) info(m *model) modelInfo {
	return modelInfo{m.net.ID(), m.net.ID() == s.cfg.defaultModel, m.net.Widths(), m.net.Parameters(), m.net.Kernel(), m.accuracy.Load()}
}

func (s *service) listModels(w http.ResponseWriter, _ *http.Request) {
	var list struct {
		Models []modelInfo `json:"models"`
	}
	for _, id := range digits.IDs() {
		list.Models = append(list.Models, s.info(s.models[id]))
	}
	writeJSON(w, list)
}

func (s *service) showModel(w http.ResponseWriter, r *http.Request) {
	m, ok := s.models[r.PathValue("id")]
	if !ok {
		writeProblem(w, &badRequest{http.StatusNotFound, "There is no such model; GET /models lists them."})
		return
	}
	writeJSON(w, s.info(m))
}

func (s *service) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintf(w, index, digits.InputSize, digits.Side, s.cfg.maxRows, s.cfg.defaultModel)
}

const index = `Ballast serves networks that read handwritten digits.

POST /predict      {"model_id": "…", "input": [[%d numbers]]}
                   a row is an image of %[2]d×%[2]d pixels, row by row from the top,
                   0 is paper and 1 is ink; at most %[3]d rows;
                   without model_id, %[4]s
GET  /models       the models
GET  /models/{id}  one of them
GET  /health       {"status":"healthy"} when ready
GET  /startupz     started?   GET /readyz  ready?   GET /livez  alive?
GET  /metrics      for Prometheus
`

// batchCollector turns the batchers' numbers into series.
type batchCollector struct{ models map[string]*model }

var (
	label        = []string{"model_id"}
	batches      = prometheus.NewDesc("batching_batches_total", "Batches that ran.", label, nil)
	items        = prometheus.NewDesc("batching_items_total", "Items in those batches.", label, nil)
	rejected     = prometheus.NewDesc("batching_rejected_total", "Items refused because the queue was full or closed.", label, nil)
	cancelled    = prometheus.NewDesc("batching_cancelled_total", "Items whose caller left before its answer.", label, nil)
	panics       = prometheus.NewDesc("batching_panics_total", "Batches that panicked.", label, nil)
	queueDepth   = prometheus.NewDesc("batching_queue_depth", "Items that wait.", label, nil)
	runningItems = prometheus.NewDesc("batching_running_items", "Items being computed.", label, nil)
)

func (c *batchCollector) Describe(to chan<- *prometheus.Desc) { prometheus.DescribeByCollect(c, to) }

func (c *batchCollector) Collect(to chan<- prometheus.Metric) {
	for id, m := range c.models {
		s := m.batcher.Stats()
		counter := func(d *prometheus.Desc, n uint64) {
			to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(n), id)
		}
		gauge := func(d *prometheus.Desc, n int) {
			to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(n), id)
		}
		counter(batches, s.Batches)
		counter(items, s.Items)
		counter(rejected, s.RejectedFull+s.RejectedClosed)
		counter(cancelled, s.CancelledQueued+s.CancelledRunning)
		counter(panics, s.Panics)
		gauge(queueDepth, s.Queued)
		gauge(runningItems, s.Running)
	}
}
