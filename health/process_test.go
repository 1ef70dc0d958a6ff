package health_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ballast-go/ballast/health"
)

// Some tests run this binary again as the processes that they watch: with the
// role in this variable.
const roleVariable = "BALLAST_HEALTH_TEST_ROLE"

func TestMain(m *testing.M) {
	switch role := os.Getenv(roleVariable); role {
	case "":
		os.Exit(m.Run())
	case "device":
		os.Exit(child(device()))
	case "replica":
		os.Exit(child(replica(os.Getenv("BALLAST_HEALTH_TEST_REDIS"))))
	default:
		panic(role)
	}
}

// child serves until SIGTERM, as a service does, and returns the exit code.
func child(h *health.Health, mux *http.ServeMux) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	mux.Handle("/livez", h.LiveHandler())
	mux.Handle("/readyz", h.ReadyHandler())
	mux.Handle("/startupz", h.StartupHandler())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(l.Addr())
	go func() { // dies with its parent, which holds the other end
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(3)
	}()
	if err := health.Serve(ctx, h, health.ServeConfig{Servers: []health.Server{{Listener: l, HTTP: &http.Server{Handler: mux}}}}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func must(h *health.Health, err error) *health.Health {
	if err != nil {
		panic(err)
	}
	return h
}

// device is a service over a device that POST /poison breaks, and that
// POST /hang keeps from finishing what it is given.
func device() (*health.Health, *http.ServeMux) {
	var hangs atomic.Bool
	h := must(health.New(health.Config{
		Startup: []health.Check{health.WarmUp("warm-up", []int{1, 8}, func(context.Context, int) error { return nil })},
		Liveness: []health.LivenessCheck{{
			Name: "gpu", Interval: 5 * time.Millisecond,
			Func: func() error {
				if hangs.Load() {
					return errors.New("no kernel has finished for 30 s")
				}
				return nil
			},
		}},
		DrainDelay: -1,
	}))
	mux := http.NewServeMux()
	mux.HandleFunc("POST /poison", func(http.ResponseWriter, *http.Request) { h.Fatal(errors.New("CUDA error 700")) })
	mux.HandleFunc("POST /hang", func(http.ResponseWriter, *http.Request) { hangs.Store(true) })
	return h, mux
}

// process is a child at work.
type process struct {
	cmd  *exec.Cmd
	addr string
}

func spawn(t *testing.T, role string, env ...string) *process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), append(env, roleVariable+"="+role)...)
	cmd.Stderr = os.Stderr
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{cmd: cmd}
	t.Cleanup(p.kill)
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("the child said %q: %v", line, err)
	}
	p.addr = strings.TrimSpace(line)
	return p
}

// kill ends the process at once; a second time does nothing.
func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

// probe returns what an endpoint answers; 0 if nothing does.
func (p *process) probe(path string) (int, string) {
	c := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := c.Get("http://" + p.addr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// until asks again and again, and fails t after a minute.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	late := time.After(time.Minute)
	for !is() {
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not in a minute: " + what)
		}
	}
}

// A supervisor that does as the kubelet restarts a process whose context is
// poisoned, and one whose device is stuck; what it restarts comes up well.
func TestSupervisorRestartsWhatOnlyARestartCures(t *testing.T) {
	t.Parallel()
	for _, mishap := range []string{"/poison", "/hang"} {
		p := spawn(t, "device")
		well := func() bool {
			live, _ := p.probe("/livez")
			ready, _ := p.probe("/readyz")
			return live == 200 && ready == 200
		}
		until(t, "the first process is well", well)
		resp, err := http.Post("http://"+p.addr+mishap, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		failures := 0 // of liveness in a row
		until(t, "liveness fails after "+mishap, func() bool {
			code, text := p.probe("/livez")
			switch {
			case code == 503 && text == `{"status":"unhealthy"}`:
				failures++
			case code == 200 && failures == 0:
			default:
				t.Fatalf("/livez: %d %s after %d failures", code, text, failures)
			}
			return failures == 3 // the failureThreshold
		})
		if code, _ := p.probe("/readyz"); code != 503 {
			t.Errorf("/readyz of a process beyond cure: %d", code)
		}
		p.kill()
		p = spawn(t, "device")
		until(t, "the second process is well", well)
		// And that one ends cleanly when asked to.
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("SIGTERM: %v", err)
		}
	}
}
