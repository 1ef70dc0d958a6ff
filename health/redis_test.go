package health_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/ballast-go/ballast/health"
)

// ping asks a Redis, as any client would, for a sign of life.
func ping(addr string) func(context.Context) error {
	return func(ctx context.Context) error {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		if until, ok := ctx.Deadline(); ok {
			_ = conn.SetDeadline(until)
		}
		if _, err := io.WriteString(conn, "PING\r\n"); err != nil {
			return err
		}
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil {
			return err
		}
		if line != "+PONG\r\n" {
			return fmt.Errorf("answered %q", line)
		}
		return nil
	}
}

// replica is a service that can do without the Redis at addr. /wrong is what its
// readiness were if that was among its readiness checks.
func replica(addr string) (*health.Health, *http.ServeMux) {
	h := must(health.New(health.Config{
		Dependencies: []health.Dependency{{Name: "redis", Func: ping(addr), Interval: 20 * time.Millisecond, Fall: 2}},
		DrainDelay:   -1,
	}))
	wrong := must(health.New(health.Config{
		Readiness: []health.Check{{Name: "redis", Func: ping(addr), Interval: 20 * time.Millisecond, Fall: 2}},
	}))
	mux := http.NewServeMux()
	mux.Handle("/wrong", wrong.ReadyHandler())
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "served") })
	return h, mux
}

// redisServer starts a Redis at addr and returns it.
func redisServer(t *testing.T, addr string) *exec.Cmd {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no redis-server on its PATH")
		}
		t.Skip("redis-server is not on the PATH")
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--bind", host, "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "redis-server answers", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return ping(addr)(ctx) == nil
	})
	return cmd
}

// Three replicas share a Redis. When it dies they are degraded and go on serving;
// with the same check on readiness all three would have left at once.
func TestReplicasOverAKilledRedisKeepServing(t *testing.T) {
	t.Parallel()
	l := listen(t)
	addr := l.Addr().String()
	_ = l.Close() // for Redis to have
	redis := redisServer(t, addr)
	var fleet [3]*process
	for i := range fleet {
		fleet[i] = spawn(t, "replica", "BALLAST_HEALTH_TEST_REDIS="+addr)
	}
	all := func(path string, code int, text string) {
		t.Helper()
		until(t, fmt.Sprintf("%s answers %d %s on all replicas", path, code, text), func() bool {
			for _, p := range fleet {
				if got, body := p.probe(path); got != code || body != text {
					return false
				}
			}
			return true
		})
	}
	all("/readyz", 200, `{"status":"healthy"}`)
	all("/wrong", 200, `{"status":"healthy"}`)

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	var served [3]int
	for i, p := range fleet {
		load.Go(func() {
			for ctx.Err() == nil {
				if code, text := p.probe("/"); code != 200 || text != "served" {
					t.Errorf("replica %d: %d %s", i, code, text)
				}
				if code, text := p.probe("/readyz"); code != 200 {
					t.Errorf("replica %d left: %d %s", i, code, text)
				}
				served[i]++
			}
		})
	}
	_ = redis.Process.Kill()
	_ = redis.Wait()
	all("/readyz", 200, `{"status":"degraded"}`)
	all("/livez", 200, `{"status":"healthy"}`)
	all("/wrong", 503, `{"status":"unhealthy"}`)
	redisServer(t, addr)
	all("/readyz", 200, `{"status":"healthy"}`)
	stop()
	load.Wait()
	for i, n := range served {
		if n == 0 {
			t.Errorf("replica %d served nothing meanwhile", i)
		}
	}
}
