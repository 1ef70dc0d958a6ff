package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// A model that hangs until the end does not take the time in which the spans that
// tell of it are sent.
func TestSpansOutliveAModelThatHangs(t *testing.T) {
	var sent atomic.Bool
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err == nil && strings.Contains(string(body), "of a request") {
			sent.Store(true)
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer collector.Close()
	s, log := bare(t, "-trace-ratio=1", "-trace-protocol=http/protobuf", "-trace-endpoint="+collector.URL)
	begun, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	s.models = map[string]*model{"m": {batcher: newBatcher(t, batching.Config[item]{}, func(context.Context, []item, []batching.Slot[answer]) error {
		close(begun)
		<-release
		return nil
	})}}
	go s.models["m"].batcher.Do(t.Context(), item{})
	<-begun
	_, end := s.traces.step(t.Context(), "of a request")
	end("batch_timeout")
	// As health.Serve closes: each with its part of the time.
	ctx, cancel := context.WithTimeout(t.Context(), closeTimeout/2)
	defer cancel()
	if err := s.closeModels(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a model that hangs was closed: %v", err)
	}
	ctx, cancel = context.WithTimeout(t.Context(), closeTimeout/2)
	defer cancel()
	if err := s.closeRest(ctx); err != nil {
		t.Error(err)
	}
	if !sent.Load() || strings.Contains(log.String(), "spans were not delivered") {
		t.Errorf("the spans were not sent: %s", log)
	}
	s.models = nil
}
