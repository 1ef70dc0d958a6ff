package tracingotlp_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Who exports traces pays for OpenTelemetry's SDK and gRPC, and for nothing else.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		for path, why := range map[string]string{
			"github.com/prometheus/":                                      "showing numbers is tracingotlpprom's",
			"github.com/ballast-go/ballast/internal":                      "a released module may not import the root module's internal packages",
			"github.com/ballast-go/ballast/logging":                       "it does not log",
			"github.com/grpc-ecosystem/":                                  "a gateway is of no use to a client",
			"go.opentelemetry.io/proto/otlp/collector":                    "it brings a gateway along",
			"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptrace": "their clients lose the numbers of partial successes, and log by a global handler",
			"go.uber.org/zap":                                             "it does not log",
		} {
			if strings.HasPrefix(line, path) {
				t.Errorf("%s: %s", strings.TrimSpace(line), why)
			}
		}
	}
}
