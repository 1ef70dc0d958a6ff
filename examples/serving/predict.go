package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/ballast-go/ballast/auth"
	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/logging"
)

type (
	predictResponse struct {
		ID              string       `json:"id"`
		ModelID         string       `json:"model_id"`
		Prediction      []prediction `json:"prediction"`
		InferenceTimeMS float64      `json:"inference_time_ms"` // of the slowest batch that a row was in
	}
	prediction struct {
		Class         int                  `json:"class"`
		Probabilities digits.Probabilities `json:"probabilities"`
	}
)

func (s *service) predict(w http.ResponseWriter, r *http.Request) {
	_, end := s.traces.step(r.Context(), "preprocess")
	req, err := decodeRequest(w, r, s.cfg.maxBody, s.cfg.maxRows)
	end("") // what is wrong with a request is not the service's
	if err != nil {
		writeProblem(w, err)
		return
	}
	if req.modelID == "" {
		req.modelID = s.cfg.defaultModel
	}
	// Before anything else is said of the model: who may not use it need not learn
	// whether there is one.
	if err := s.access.check(r, "predict", req.modelID); err != nil {
		auth.WriteError(w, r, err)
		return
	}
	m, ok := s.models[req.modelID]
	if !ok {
		writeProblem(w, &badRequest{http.StatusNotFound, "There is no such model; GET /models lists them."})
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), s.cfg.requestTimeout)
	defer cancel()
	ofModel(ctx, req.modelID)
	ctx, end = s.traces.step(ctx, "inference")
	answers, err := m.predict(ctx, req.input, levelOf(r.Header))
	end(errorType(err))
	s.account(r, m, answers)
	if err != nil {
		s.predictFailed(w, r, m, err)
		return
	}
	_, end = s.traces.step(r.Context(), "postprocess")
	defer end("")
	resp := predictResponse{ID: logging.RequestID(ctx), ModelID: req.modelID, Prediction: make([]prediction, len(answers))}
	for i, a := range answers {
		resp.Prediction[i] = prediction{a.probabilities.Class(), a.probabilities}
		resp.InferenceTimeMS = max(resp.InferenceTimeMS, float64(a.took)/float64(time.Millisecond))
	}
	writeJSON(w, resp)
}

// predict submits all rows at once, so that they can share batches, and waits
// for all of them. A request has one outcome: if rows fail, the first of them in
// the request's order says what the client is told. The others are computed all
// the same, unless the request's time runs out or its client leaves first.
func (m *model) predict(ctx context.Context, rows [][]float32, level int) ([]answer, error) {
	items := make([]item, len(rows))
	for i, row := range rows {
		items[i] = item{row, level}
	}
	answers, errs := m.batcher.DoMany(ctx, items)
	for _, err := range errs {
		if err != nil {
			return answers, err
		}
	}
	return answers, nil
}

// account says in the audit stream what the request has used: its share of each
// batch that its rows were in.
func (s *service) account(r *http.Request, m *model, answers []answer) {
	var used time.Duration
	for _, a := range answers {
		used += a.share
	}
	if used == 0 {
		return
	}
	tenant := "anonymous"
	if p, ok := auth.PrincipalFromContext(r.Context()); ok && p != nil {
		tenant = p.Subject
	}
	s.logger.Usage(r.Context(), logging.Usage{Tenant: tenant, Model: m.net.ID(), DeviceSeconds: used.Seconds()})
}

func (s *service) predictFailed(w http.ResponseWriter, r *http.Request, m *model, err error) {
	if kind := errorType(err); kind != "" {
		m.metrics.CountError(kind)
		s.log.WarnContext(r.Context(), "prediction failed", "model_id", m.net.ID(), "error_type", kind, "error", err)
	}
	batching.WriteError(w, r, err)
}

// errorType is the metric's name for err, one of those in doc.go; "" for a
// client that left, which is no fault of the model's.
func errorType(err error) string {
	var panicked *batching.PanicError
	switch {
	case err == nil, errors.Is(err, context.Canceled):
		return ""
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, batching.ErrQueueFull):
		return "queue_full"
	case errors.Is(err, batching.ErrShed):
		return "shed"
	case errors.Is(err, batching.ErrClosed):
		return "draining"
	case errors.Is(err, batching.ErrBatchTimeout):
		return "batch_timeout"
	case errors.Is(err, batching.ErrTooLarge):
		return "too_large"
	case errors.As(err, &panicked):
		return "panic"
	}
	return "backend"
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	// Structs of strings and finite numbers encode; a failed write has nobody
	// to be told but the access log, which sees it.
	_ = json.NewEncoder(w).Encode(v)
}
