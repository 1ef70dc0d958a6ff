package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ballast-go/ballast/metrics"
)

var update = flag.Bool("update", false, "write deploy/prometheus/slo.yml anew")

// What the service promises is what deploy/prometheus/slo.yml has rules for.
func TestSLO(t *testing.T) {
	rules, err := metrics.Rules(metrics.SLO{
		Name:             "serving",
		Matchers:         map[string]string{"job": "serving"},
		Availability:     0.999,
		Latency:          500 * time.Millisecond,
		LatencyObjective: 0.99,
		Labels:           map[string]string{"team": "ml-platform"},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("deploy", "prometheus", "slo.yml")
	if *update {
		if err := os.WriteFile(path, rules, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != string(rules) {
		t.Errorf("%s is not what metrics.Rules gives (%v): go test -run TestSLO -update .", path, err)
	}
}
