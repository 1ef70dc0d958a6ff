package authkubernetes_test

import (
	"os/exec"
	"strings"
	"testing"
)

// Who asks for reviews pays for them alone.
func TestDependencies(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path, why := range map[string]string{
		"k8s.io/client-go/kubernetes":                 "clients of all of the API are half of a binary, and log tokens",
		"k8s.io/client-go/tools/cache":                "nothing is watched",
		"github.com/prometheus/":                      "it counts in Stats",
		"google.golang.org/grpc":                      "an Authenticator knows no transport",
		"github.com/golang-jwt/":                      "the API server verifies",
		"github.com/ballast-go/ballast/auth/authjwt":  "the API server verifies",
		"github.com/ballast-go/ballast/auth/authrbac": "the API server decides",
	} {
		for line := range strings.Lines(string(out)) {
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
