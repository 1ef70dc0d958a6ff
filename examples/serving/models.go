package main

import (
	"fmt"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/batching/batchingprom"
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

func (s *service) listModels(w http.ResponseWriter, r *http.Request) {
	var list struct {
		Models []modelInfo `json:"models"`
	}
	list.Models = []modelInfo{}
	for _, id := range digits.IDs() {
		if s.access.shows(r, id) {
			list.Models = append(list.Models, s.info(s.models[id]))
		}
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
	if s.access != nil && s.access.issuer != nil {
		fmt.Fprint(w, authIndex)
	}
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

const authIndex = `POST /auth/login    {"username": "…", "password": "…"}: tokens
POST /auth/refresh  {"refresh_token": "…"}: new tokens; each is good once
POST /auth/logout   ends the token's session
GET  /.well-known/jwks.json  the keys that tokens are signed by
`

// registerBatchers shows what the models' batchers do. Their name is the
// model's already, in the label batcher, but a dashboard wants to find all of a
// model's series by one label.
func registerBatchers(registry prometheus.Registerer, models map[string]*model) {
	for id, m := range models {
		prometheus.WrapRegistererWith(prometheus.Labels{"model_id": id}, registry).
			MustRegister(batchingprom.NewCollector(m))
	}
}

// Stats are those of the model's batcher.
func (m *model) Stats() batching.Stats { return m.batcher.Stats() }
