package metricsgrpc_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"

	"github.com/ballast-go/ballast/metrics"
	"github.com/ballast-go/ballast/metrics/metricsgrpc"
)

// Prometheus's own tool has nothing to say of the series.
func TestPromtoolCheckMetrics(t *testing.T) {
	path, err := exec.LookPath("promtool")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no promtool on its PATH")
		}
		t.Skip("promtool is not on the PATH")
	}
	for _, names := range []metrics.Names{metrics.Guide, metrics.OTel} {
		m := newMetrics(t, metrics.Config{Names: names, Registerer: prometheus.NewRegistry()})
		cc, stop := serve(t, numbers{}, append(intercept(m, metricsgrpc.ServerConfig{}), grpc.StatsHandler(metricsgrpc.NewServerHandler(m))),
			append(watched(m), grpc.WithStatsHandler(metricsgrpc.NewClientHandler(m)))...)
		if _, err := call(t.Context(), cc, 1); err != nil {
			t.Error(err)
		}
		if _, err := exchange(t.Context(), cc, chat, 2); err != nil {
			t.Error(err)
		}
		stop()
		w := httptest.NewRecorder()
		m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		page := w.Body.String()
		if !strings.Contains(page, "test.Numbers") {
			t.Fatal(page)
		}
		cmd := exec.CommandContext(t.Context(), path, "check", "metrics")
		cmd.Stdin = strings.NewReader(page)
		if out, err := cmd.CombinedOutput(); err != nil || len(out) > 0 {
			t.Errorf("%v: promtool check metrics: %v\n%s", names, err, out)
		}
	}
}
