package healthgrpc_test

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/reflection"

	"github.com/ballast-go/ballast/health"
	"github.com/ballast-go/ballast/health/healthgrpc"
)

// tool returns the path of a program in $BALLAST_GRPCTOOLS.
func tool(t *testing.T, name string) string {
	t.Helper()
	dir := os.Getenv("BALLAST_GRPCTOOLS")
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); dir == "" || err != nil {
		// CI without the variable runs the tests that need nothing built.
		if ci := os.Getenv("CI"); dir != "" && (ci == "true" || ci == "1") {
			t.Fatalf("CI has no %s in BALLAST_GRPCTOOLS: %v", name, err)
		}
		t.Skipf("BALLAST_GRPCTOOLS names no directory with %s", name)
	}
	return path
}

// What Kubernetes used before it could probe gRPC itself, and others still do.
func TestGRPCHealthProbe(t *testing.T) {
	path := tool(t, "grpc-health-probe")
	h := newHealth(t, health.Config{})
	s := serve(t, h, config)
	probe := func(service string, code int, says string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), path, "-addr", s.addr, "-service", service, "-connect-timeout", "30s", "-rpc-timeout", "30s")
		out, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(string(out), says) {
			t.Errorf("%q: exit code %d, want %d: %s", service, got, code, out)
		}
	}
	for _, service := range []string{"", predictor, healthgrpc.Readiness, healthgrpc.Startup, healthgrpc.Liveness} {
		probe(service, 0, "SERVING")
	}
	probe("nobody", 3, "NotFound") // its exit code for a call that failed
	_ = h.Drain(t.Context())
	probe("", 4, "NOT_SERVING") // its exit code for that
	probe(predictor, 4, "NOT_SERVING")
	probe(healthgrpc.Liveness, 0, "SERVING")
}

func TestGRPCurl(t *testing.T) {
	path := tool(t, "grpcurl")
	h := newHealth(t, health.Config{})
	s := serve(t, h, config)
	call := func(ctx context.Context, method, in string, more ...string) *exec.Cmd {
		args := append([]string{"-plaintext", "-d", in}, more...)
		return exec.CommandContext(ctx, path, append(args, s.addr, "grpc.health.v1.Health/"+method)...)
	}
	described := []string{"-import-path", "testdata", "-proto", "health.proto"}
	out, err := call(t.Context(), "List", "{}", described...).CombinedOutput()
	var got struct {
		Statuses map[string]struct{ Status string }
	}
	if err != nil || json.Unmarshal(out, &got) != nil || len(got.Statuses) != 5 {
		t.Fatalf("List: %v: %s", err, out)
	}
	for name, one := range got.Statuses {
		if one.Status != "SERVING" {
			t.Errorf("List: %q is %s", name, one.Status)
		}
	}

	watch := call(t.Context(), "Watch", `{"service":"`+predictor+`"}`, described...)
	pipe, err := watch.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr strings.Builder
	watch.Stderr = &stderr
	if err := watch.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(pipe)
	said := ""
	for lines.Scan() {
		said += strings.TrimSpace(lines.Text())
		if strings.Contains(said, `"status": "SERVING"`) && h.Ready() == nil {
			_ = h.Drain(t.Context())
		}
	}
	if err := watch.Wait(); err == nil || !strings.Contains(stderr.String(), "Code: Unavailable") {
		t.Errorf("Watch ended with %v: %s", err, stderr.String())
	}
	if want := `{"status": "SERVING"}{"status": "NOT_SERVING"}`; said != want {
		t.Errorf("Watch said %s, want %s", said, want)
	}
	stopped := make(chan struct{})
	go func() { s.GracefulStop(); close(stopped) }()
	select {
	case <-stopped:
	case <-time.After(time.Minute):
		t.Error("GracefulStop hangs")
	}
}

// By reflection grpcurl finds the service in the form that grpc-go's own has.
func TestGRPCurlByReflection(t *testing.T) {
	path := tool(t, "grpcurl")
	reflecting := grpc.NewServer()
	reflection.Register(reflecting)
	s := serveAs(t, newHealth(t, health.Config{}), config, reflecting)
	out, err := exec.CommandContext(t.Context(), path, "-plaintext", s.addr, "grpc.health.v1.Health/Check").CombinedOutput()
	if err != nil || strings.Join(strings.Fields(string(out)), "") != `{"status":"SERVING"}` {
		t.Errorf("%v: %s", err, out)
	}
}
