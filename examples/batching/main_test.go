package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ballast-go/ballast/batching"
)

// start runs the program on a port of its own, and ends it with t.
func start(t *testing.T) (url string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
		if _, err := net.Dial("tcp", listener.Addr().String()); err == nil {
			t.Error("it still listens")
		}
	})
	return "http://" + listener.Addr().String()
}

// ask sends a request and returns the status and the body.
func ask(t *testing.T, method, url, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(text)
}

// metric returns the sum of a metric's series.
func metric(t *testing.T, page, name string) (sum int) {
	t.Helper()
	for _, match := range regexp.MustCompile(`(?m)^`+name+`\{.*\} (\d+)$`).FindAllStringSubmatch(page, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

func TestServe(t *testing.T) {
	const calls = 64
	url := start(t)
	n := newNetwork(5_000)
	var closest [calls]int
	var wg sync.WaitGroup
	for person := range calls {
		wg.Go(func() {
			status, body := ask(t, "POST", url+"/closest", strconv.Itoa(person))
			var got struct{ Person, Closest int }
			if err := json.Unmarshal([]byte(body), &got); err != nil || status != 200 || got.Person != person {
				t.Errorf("%d %s", status, body)
			}
			closest[person] = got.Closest
		})
	}
	wg.Wait()
	for person, claim := range closest {
		if !isClosest(n, person, claim) {
			t.Errorf("%d is not closest to %d", claim, person)
		}
	}

	_, page := ask(t, "GET", url+"/metrics", "")
	items, batches := metric(t, page, "batching_items_total"), metric(t, page, "batching_batches_total")
	if items != calls || batches >= calls/2 || batches == 0 {
		t.Errorf("%d items in %d batches, want %d in much fewer", items, batches, calls)
	}
	t.Logf("%d items in %d batches", items, batches)
}

func TestBadRequests(t *testing.T) {
	url := start(t)
	for body, want := range map[string]int{
		"0": 200, "5000": 404, "-1": 404, "": 400, "Ann": 400, "1.5": 400, strings.Repeat(" ", 200) + "1": 400,
	} {
		if got, text := ask(t, "POST", url+"/closest", body); got != want {
			t.Errorf("%q: %d %s, want %d", body, got, text, want)
		}
	}
	if status, _ := ask(t, "GET", url+"/closest", ""); status != 405 {
		t.Errorf("GET: %d", status)
	}
}

func TestServeFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := serve(t.Context(), listener); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve on a closed listener: %v", err)
	}
}

// When everybody has left, the rest of the work is dropped.
func TestClosestStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := newNetwork(10).closest(ctx, []int{1}, make([]batching.Slot[int], 1)); err == nil {
		t.Error("it went on")
	}
}

// isClosest works out the walk from one person the plain way. Two may be about
// as close.
func isClosest(n network, start, claim int) bool {
	at := map[int]float64{start: 1}
	for range steps {
		next := map[int]float64{start: restart}
		for person, probability := range at {
			for _, friend := range n[person] {
				next[int(friend)] += probability * (1 - restart) / follows
			}
		}
		at = next
	}
	best := 0.0
	for person, probability := range at {
		if person != start {
			best = max(best, probability)
		}
	}
	return claim != start && at[claim] >= best*0.9999
}

func BenchmarkClosest(b *testing.B) {
	n := newNetwork(5_000)
	for _, size := range []int{1, 2, 4, 8, 16, 32} {
		b.Run(fmt.Sprint("batch=", size), func(b *testing.B) {
			starts, out := make([]int, size), make([]batching.Slot[int], size)
			for b.Loop() {
				if err := n.closest(b.Context(), starts, out); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(b.Elapsed().Seconds()*1e3/float64(b.N*size), "ms/item")
		})
	}
}
