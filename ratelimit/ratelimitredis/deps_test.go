package ratelimitredis_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Who limits by Redis pays for Redis alone.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	list := string(out)
	for path, why := range map[string]string{
		"github.com/prometheus/": "showing numbers is ratelimitredisprom's",
		"google.golang.org/grpc": "a limiter knows no transport",
		"go.opentelemetry.io/":   "a service without OpenTelemetry must not compile it",
		"go.uber.org/zap":        "it does not log",
	} {
		for line := range strings.Lines(list) {
			if strings.HasPrefix(line, path) {
				t.Errorf("%s: %s", strings.TrimSpace(line), why)
			}
		}
	}
	direct, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(direct), "github.com/ballast-go/ballast/internal") {
		t.Error("it imports the root module's internal packages, which a released module may not")
	}
}
