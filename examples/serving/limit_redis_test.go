//go:build unix

package main

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// redisServer is a real one of the test's own.
type redisServer struct {
	url string
	cmd *exec.Cmd
}

func startRedis(t *testing.T) *redisServer {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		if ci := os.Getenv("CI"); ci == "true" || ci == "1" {
			t.Fatal("CI has no redis-server on its PATH")
		}
		t.Skip("redis-server is not on the PATH")
	}
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	s := &redisServer{url: "redis://" + address}
	s.cmd = exec.Command(path, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir(), "--daemonize", "no")
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if strings.Contains(lines.Text(), "Ready to accept connections") {
			go func() {
				for lines.Scan() {
				}
			}()
			return s
		}
	}
	t.Fatal("redis-server did not start")
	return nil
}

func (s *redisServer) kill() {
	if s.cmd.Process != nil && s.cmd.ProcessState == nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Two replicas share a limit in Redis.
func TestSharedRateLimit(t *testing.T) {
	server := startRedis(t)
	var replicas [2]http.Handler
	for i := range replicas {
		s, _ := bare(t, "-redis-url", server.url, "-redis-replicas=2")
		replicas[i] = s.handler()
	}
	start := time.Now()
	passed := 0
	for i := range 150 {
		resp := from(replicas[i%2], "192.0.2.1", "GET", "/")
		switch {
		case resp.StatusCode == 200:
			passed++
		case resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "":
			t.Fatalf("request %d: %d %v", i, resp.StatusCode, resp.Header)
		case i == 149 && resp.Header.Get("RateLimit-Policy") != `"default";q=100;w=60`:
			t.Errorf("the header is %v", resp.Header)
		}
	}
	most := 100 + int(time.Since(start)/(600*time.Millisecond))
	// On a machine that is slow enough some calls may not wait for Redis.
	var byRedis, alone float64
	for _, h := range replicas {
		page := read(t, from(h, "192.0.2.1", "GET", "/metrics"))
		byRedis += series(t, page, `ratelimitredis_calls_total{limiter="requests",outcome="allowed"}`)
		alone += series(t, page, `ratelimitredis_calls_total{limiter="requests",outcome="fallback_allowed"}`)
		alone += series(t, page, `ratelimitredis_calls_total{limiter="requests",outcome="fallback_denied"}`)
	}
	if alone > 50 {
		t.Errorf("%v calls of 150 did not wait for Redis", alone)
	}
	if int(byRedis) > most || float64(passed) < 100-alone {
		t.Errorf("Redis let %v requests through, at most %d can be right; %d passed", byRedis, most, passed)
	}
	if resp := from(replicas[0], "192.0.2.2", "GET", "/"); resp.StatusCode != 200 {
		t.Errorf("another client gets %d", resp.StatusCode)
	}
}

// When Redis dies, or hangs, under load, every request is answered and none
// waits for it; the replica enforces its share and stays ready.
func TestRateLimitWithoutRedis(t *testing.T) {
	for name, end := range map[string]func(*redisServer){
		"dies":  (*redisServer).kill,
		"hangs": func(s *redisServer) { _ = s.cmd.Process.Signal(syscall.SIGSTOP) },
	} {
		t.Run(name, func(t *testing.T) {
			server := startRedis(t)
			s, _ := bare(t, "-redis-url", server.url, "-redis-replicas=2")
			if err := s.health.WaitReady(t.Context()); err != nil {
				t.Fatal(err)
			}
			h := s.handler()
			if resp := from(h, "192.0.2.1", "GET", "/"); resp.StatusCode != 200 {
				t.Fatal(resp.Status)
			}
			asked := make(chan struct{})
			statuses := make(chan [600]int)
			start := time.Now()
			go func() {
				var all [600]int
				for i := range all {
					if i == 20 {
						close(asked)
					}
					all[i] = from(h, "192.0.2.1", "GET", "/").StatusCode
				}
				statuses <- all
			}()
			<-asked
			end(server)
			passed := 0
			for i, status := range <-statuses {
				switch status {
				case 200:
					passed++
				case 429:
				default:
					t.Errorf("request %d: %d", i, status)
				}
			}
			// Those of Redis, at most, then half as many, and what comes back
			// meanwhile; at least the half, of which one was used before.
			if most := 150 + int(time.Since(start)/(600*time.Millisecond)); passed < 49 || passed > most {
				t.Errorf("%d requests passed, not 49 to %d", passed, most)
			}
			if resp := from(h, "192.0.2.1", "GET", "/readyz"); resp.StatusCode != 200 {
				t.Errorf("readyz says %d", resp.StatusCode)
			}
			page := read(t, from(h, "192.0.2.1", "GET", "/metrics"))
			if down, passed := series(t, page, `ratelimitredis_down_shards{limiter="requests"}`), series(t, page, `ratelimitredis_calls_total{limiter="requests",outcome="fallback_allowed"}`); down != 1 || passed < 50 {
				t.Errorf("down is %v; the fallback let %v requests through", down, passed)
			}
			if resp := from(h, "192.0.2.3", "GET", "/"); resp.StatusCode != 200 {
				t.Errorf("another client gets %d", resp.StatusCode)
			}
		})
	}
}

// A Redis that is not there is no reason not to start.
func TestRedisIsNotThere(t *testing.T) {
	s, _ := bare(t, "-redis-url=redis://127.0.0.1:1")
	if resp := from(s.handler(), "192.0.2.1", "GET", "/"); resp.StatusCode != 200 {
		t.Errorf("%d", resp.StatusCode)
	}
}
