//go:build unix

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ballast-go/ballast/examples/serving/internal/digits"
)

// Three replicas of the real binary over one Redis, which is killed under load: all
// of them are degraded, ready and live, and not one request fails.
func TestFleetOverAKilledRedis(t *testing.T) {
	bin := build(t)
	redis := startRedis(t)
	held, err := digits.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	body := requestBody("", held[0].Input())
	var fleet [3]*program
	for i := range fleet {
		fleet[i] = startProgram(t, bin, "-redis-url="+redis.url, "-redis-replicas=3", "-rate-limit=1000000", "-drain-delay=0")
	}
	probe := func(p *program, path string) string {
		resp, err := http.Get(p.url + path)
		if err != nil {
			return err.Error()
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		return fmt.Sprint(resp.StatusCode, " ", string(text), err)
	}

	ctx, stop := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer stop()
	for i, p := range fleet {
		load.Go(func() {
			for ctx.Err() == nil {
				if got, err := p.predict(body); err != nil || got.Prediction[0].Class != held[0].Label {
					t.Errorf("replica %d: %v, %v", i, got, err)
				}
				if got := probe(p, "/readyz"); !strings.HasPrefix(got, "200 ") {
					t.Errorf("replica %d left: %s", i, got)
				}
			}
		})
	}
	redis.kill()
	for i, p := range fleet {
		until(t, fmt.Sprintf("replica %d is degraded", i), func() bool {
			return probe(p, "/readyz") == `200 {"status":"degraded"}<nil>`
		})
		if got := probe(p, "/livez"); got != `200 {"status":"healthy"}<nil>` {
			t.Errorf("replica %d: /livez says %s", i, got)
		}
		if got, err := p.predict(body); err != nil || got.Prediction[0].Class != held[0].Label {
			t.Errorf("replica %d, degraded: %v, %v", i, got, err)
		}
	}
	stop()
	load.Wait()
	for i, p := range fleet {
		if err := p.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := p.Wait(); err != nil {
			t.Errorf("replica %d ended with %v\n%s", i, err, p.stdout)
		}
		var why string
		for _, m := range logRecords(t, p.stdout.String()) {
			if m["to"] == "degraded" {
				why = fmt.Sprint(m["reason"])
			}
		}
		if !strings.Contains(why, "redis") {
			t.Errorf("replica %d logged no reason for being degraded: %q", i, why)
		}
	}
}
