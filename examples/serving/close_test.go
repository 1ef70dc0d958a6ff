package main

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// A model that hangs to the end does not cost the spans, which say why.
func TestModelThatHangsLeavesTimeForSpans(t *testing.T) {
	var sent atomic.Int64
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { sent.Add(1) }))
	defer collector.Close()
	s, _ := bare(t, "-drain-delay=0", "-trace-ratio=1", "-trace-protocol=http/protobuf", "-trace-endpoint="+collector.URL)
	hang, begun := make(chan struct{}), make(chan struct{})
	defer close(hang)
	batcher, err := batching.New(func(context.Context, []item, []batching.Slot[answer]) error {
		close(begun)
		<-hang
		return nil
	}, batching.Config[item]{})
	if err != nil {
		t.Fatal(err)
	}
	s.models = map[string]*model{"stuck": {batcher: batcher}}
	_, end := s.traces.step(t.Context(), "inference")
	end("")
	go func() { _, _ = batcher.Do(context.Background(), item{}) }()
	<-begun

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, terminate := context.WithCancel(t.Context())
	terminate()
	if err := s.serve(ctx, l); err == nil || !strings.Contains(err.Error(), "Close[0]: ") {
		t.Errorf("what hangs is not named: %v", err)
	}
	if sent.Load() == 0 {
		t.Error("the spans were not sent")
	}
}
