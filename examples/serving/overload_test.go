package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/batching"
	"github.com/ballast-go/ballast/examples/serving/internal/digits"
	"github.com/ballast-go/ballast/health"
)

// replaceBackends has run compute the model with the given id, and the others
// answer rightly, behind batchers and checks as the service makes them.
func replaceBackends(t *testing.T, s *service, id string, run runFunc) {
	t.Helper()
	if err := s.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.assembled = make(chan struct{})
	defer close(s.assembled)
	for each, m := range s.models {
		backend := class(0)
		if each == id {
			backend = run
		}
		m.batcher = newBatcher(t, s.batching(each), backend)
		m.finishedBefore.Store(0)
	}
	var err error
	if s.health, err = health.New(s.healthConfig()); err != nil {
		t.Fatal(err)
	}
}

// reply is what a client got.
type reply struct {
	status     int
	reason     string
	retryAfter int // seconds; -1 without
	took       time.Duration
}

// askRow posts one row with a Priority field, unless that is empty.
func askRow(t *testing.T, client *http.Client, url, id, priority string) reply {
	start := time.Now()
	req, err := http.NewRequestWithContext(t.Context(), "POST", url+"/predict", bytes.NewReader(requestBody(id, make([]float32, digits.InputSize))))
	if err != nil {
		t.Error(err)
		return reply{}
	}
	if priority != "" {
		req.Header.Set("Priority", priority)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Error(err)
		return reply{}
	}
	return readReply(t, resp, start)
}

func readReply(t *testing.T, resp *http.Response, start time.Time) reply {
	defer resp.Body.Close()
	var problem struct {
		Status int
		Reason string
	}
	if err := json.NewDecoder(resp.Body).Decode(&problem); err != nil {
		t.Error(err)
	}
	if resp.StatusCode != 200 && (problem.Status != resp.StatusCode || resp.Header.Get("Content-Type") != problemJSON) {
		t.Errorf("%s with %+v", resp.Status, problem)
	}
	r := reply{resp.StatusCode, problem.Reason, -1, time.Since(start)}
	if text := resp.Header.Get("Retry-After"); text != "" {
		var err error
		if r.retryAfter, err = strconv.Atoi(text); err != nil {
			t.Error(err)
		}
	}
	return r
}

// However much background work waits, a request that somebody waits for is
// next, and finds a place in a queue that is full of it.
func TestBackgroundFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestService(t, "-instances=1", "-max-batch=1", "-max-queue=20", "-max-rows=1")
		var flooded atomic.Bool
		begun, step := make(chan int, 100), make(chan struct{})
		replaceBackends(t, s, digits.Small, func(ctx context.Context, in []item, out []batching.Slot[answer]) error {
			if flooded.Load() {
				begun <- in[0].level
				<-step
			}
			return class(0)(ctx, in, out)
		})
		if err := s.health.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		client := bubble(t, s.server(s.handler())).client(t, nil)
		flooded.Store(true)

		replies := make(chan reply, 100)
		var wg sync.WaitGroup
		for range 21 { // one is computed, 20 wait
			wg.Go(func() { replies <- askRow(t, client, "http://x", digits.Small, "u=5, i") })
		}
		synctest.Wait()
		if got := s.models[digits.Small].batcher.Stats(); got.Running != 1 || got.Queued != 20 {
			t.Fatalf("%d items run, %d wait", got.Running, got.Queued)
		}
		urgent := make(chan reply, 1)
		wg.Go(func() { urgent <- askRow(t, client, "http://x", digits.Small, "") })
		synctest.Wait()
		if got := <-replies; got.status != 503 || got.reason != "queue-full" || got.retryAfter < 1 {
			t.Errorf("whoever lost its place got %+v", got)
		}
		step <- struct{}{} // what was computed already
		step <- struct{}{}
		synctest.Wait()
		select {
		case got := <-urgent:
			if got.status != 200 {
				t.Errorf("it got %+v", got)
			}
		default:
			t.Error("an interactive request waits behind others")
		}
		close(step)
		wg.Wait()
		close(begun)
		var order []int
		for level := range begun {
			order = append(order, level)
		}
		if len(order) != 21 || order[0] != background || order[1] != interactive || order[2] != background {
			t.Errorf("the levels in the order of computing: %v", order)
		}
		for range 20 {
			if got := <-replies; got.status != 200 {
				t.Errorf("a background request got %+v", got)
			}
		}
	})
}

// What cannot be answered in time is told so at once, and what is accepted is
// in time.
func TestShedding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := newTestService(t, "-instances=1", "-max-batch=1", "-target-latency=35ms")
		replaceBackends(t, s, digits.Small, takes(10*time.Millisecond))
		if err := s.health.WaitReady(t.Context()); err != nil { // and the speed is known
			t.Fatal(err)
		}
		h := s.handler()
		client := bubble(t, s.server(h)).client(t, nil)
		replies := make(chan reply, 10)
		for range cap(replies) {
			go func() { replies <- askRow(t, client, "http://x", digits.Small, "") }()
		}
		answered, shed := 0, 0
		for range cap(replies) {
			switch got := <-replies; {
			case got.status == 200 && got.took <= 35*time.Millisecond:
				answered++
			case got.status == 503 && got.reason == "shed" && got.retryAfter >= 1 && got.retryAfter <= 2 && got.took == 0:
				shed++
			default:
				t.Errorf("got %+v", got)
			}
		}
		if answered != 3 || shed != 7 {
			t.Errorf("%d were answered, %d shed", answered, shed)
		}
		if n := series(t, read(t, ask(t, h, "GET", "/metrics", "")), `prediction_errors_total{error_type="shed",model_id="digits-small"}`); n != 7 {
			t.Errorf("%v errors of type shed counted", n)
		}
		if !strings.Contains(out.String(), `"error_type":"shed"`) {
			t.Errorf("the log: %s", out)
		}
		if err := s.health.Ready(); err != nil {
			t.Errorf("overload is a fault: %v", err)
		}
	})
}

// A model that hangs is answered for at the batch timeout, has its instance
// replaced once, and then asks for a restart.
func TestModelHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, out := newTestService(t, "-instances=1", "-batch-timeout=2s", "-request-timeout=1m")
		var hangs atomic.Bool
		release := make(chan struct{})
		replaceBackends(t, s, digits.Small, func(ctx context.Context, in []item, out []batching.Slot[answer]) error {
			if hangs.Load() {
				<-release
			}
			return class(0)(ctx, in, out)
		})
		defer close(release)
		if err := s.health.WaitReady(t.Context()); err != nil {
			t.Fatal(err)
		}
		h := s.handler()
		client := bubble(t, s.server(h)).client(t, nil)
		hangs.Store(true)
		for n, status := range []int{200, 503} {
			got := askRow(t, client, "http://x", digits.Small, "")
			if got != (reply{504, "", -1, 2 * time.Second}) {
				t.Errorf("got %+v", got)
			}
			synctest.Wait() // OnExhausted has a goroutine of its own
			for _, probe := range []string{"/livez", "/readyz"} {
				if resp := ask(t, h, "GET", probe, ""); resp.StatusCode != status {
					t.Errorf("%s says %d when %d batches hang", probe, resp.StatusCode, n+1)
				}
			}
		}
		if n := series(t, read(t, ask(t, h, "GET", "/metrics", "")), `prediction_errors_total{error_type="batch_timeout",model_id="digits-small"}`); n != 2 {
			t.Errorf("%v errors of type batch_timeout counted", n)
		}
		if err := s.health.Live(); !errors.Is(err, health.ErrFatal) || !strings.Contains(err.Error(), `"digits-small": 2 runs hang`) {
			t.Errorf("the reason is %v", err)
		}
		for _, want := range []string{`"message":"a model hangs"`, `"model_id":"digits-small"`, `"error_type":"batch_timeout"`, `"to":"unhealthy"`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("the log lacks %s: %s", want, out)
			}
		}
		if got := askRow(t, client, "http://x", digits.Large, ""); got.status != 200 {
			t.Errorf("the other model: %+v", got)
		}
	})
}

// Without traffic it is the canaries that find out.
func TestModelHangsUnseen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := newTestService(t, "-instances=1")
		replaceBackends(t, s, digits.Small, takes(time.Hour))
		<-time.After(time.Minute)
		if err := s.health.Live(); !errors.Is(err, health.ErrFatal) {
			t.Errorf("after a minute: %v", err)
		}
	})
}

// A model that hangs while the service is being made waits with its complaint
// until there is a health to tell.
func TestModelHangsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := bare(t)
		h := s.health
		s.health, s.assembled = nil, make(chan struct{})
		go s.hopeless("m", errors.New("it hangs"))
		synctest.Wait()
		s.health = h
		close(s.assembled)
		synctest.Wait()
		if err := h.Live(); err == nil || !strings.Contains(err.Error(), "it hangs") {
			t.Errorf("got %v", err)
		}
		s.health = nil
		s.hopeless("m", nil) // nobody to tell: the service was not made
		s.health = h
	})
}

func TestErrorTypes(t *testing.T) {
	s, _ := newTestService(t, "-instances=1")
	h := s.handler()
	for _, tt := range []struct {
		err          error
		status       int
		reason, kind string
	}{
		{batching.ErrQueueFull, 503, "queue-full", "queue_full"},
		{&batching.ShedError{Estimate: time.Minute, RetryAfter: time.Second}, 503, "shed", "shed"},
		{batching.ErrClosed, 503, "draining", "draining"},
		{batching.ErrBatchTimeout, 504, "", "batch_timeout"},
		{context.DeadlineExceeded, 504, "", "timeout"},
		{batching.ErrTooLarge, 413, "", "too_large"},
		{&batching.PanicError{Value: "hunter2"}, 500, "", "panic"},
		{batching.ErrNoResult, 500, "", "backend"},
		{errors.New("hunter2"), 500, "", "backend"},
	} {
		if kind := errorType(fmt.Errorf("wrapped: %w", tt.err)); kind != tt.kind {
			t.Errorf("%v counts as %q, not %q", tt.err, kind, tt.kind)
		}
		s.models[digits.Small].batcher = newBatcher(t, s.cfg.batching("m"), func(context.Context, []item, []batching.Slot[answer]) error { return tt.err })
		resp := ask(t, h, "POST", "/predict", string(requestBody(digits.Small, make([]float32, digits.InputSize))))
		retry := resp.Header.Get("Retry-After") != ""
		if body := read(t, resp); resp.StatusCode != tt.status || (tt.reason != "") != strings.Contains(body, `"reason":"`+tt.reason+`"`) ||
			retry != (tt.status == 503) || strings.Contains(body, "hunter2") {
			t.Errorf("%v: %d %v %s", tt.err, resp.StatusCode, resp.Header, body)
		}
	}
}

// The binary under more load than it can take sheds, goes on answering, stays
// ready and alive, and ends cleanly.
func TestOverloadEndToEnd(t *testing.T) {
	p := startProgram(t, build(t), "-drain-delay=0", "-instances=1", "-max-batch=1", "-max-queue=100000", "-target-latency=50ms", "-rate-limit=0")
	held, err := digits.HeldOut()
	if err != nil {
		t.Fatal(err)
	}
	rows := make([][]float32, 16)
	for i := range rows {
		rows[i] = held[i].Input()
	}
	body := requestBody("", rows...)
	var answered, shed atomic.Int64
	var wg sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range callers {
		wg.Go(func() {
			for ctx.Err() == nil {
				resp, err := p.client.Post(p.url+"/predict", "application/json", bytes.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				switch got := readReply(t, resp, time.Now()); {
				case got.status == 200:
					answered.Add(1)
				case got.status == 503 && got.reason == "shed" && got.retryAfter >= 1:
					shed.Add(1)
					select { // as it was asked to, at least
					case <-time.After(time.Second):
					case <-ctx.Done():
					}
				default:
					t.Errorf("got %+v", got)
				}
			}
		})
	}
	until(t, "some are answered and some are shed", func() bool {
		for _, probe := range []string{"/livez", "/readyz"} {
			if body := get(t, p.url+probe); !strings.Contains(body, `"healthy"`) {
				t.Errorf("%s says %s", probe, body)
			}
		}
		return answered.Load() > callers && shed.Load() > callers
	})
	stop()
	wg.Wait()
	page := get(t, p.url+"/metrics")
	if n := series(t, page, `prediction_errors_total{error_type="shed",model_id="digits-large"}`); n != float64(shed.Load()) {
		t.Errorf("%v errors of type shed counted, not %d", n, shed.Load())
	}
	t.Logf("%d answered, %d shed", answered.Load(), shed.Load())
	p.Process.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Errorf("it ended with %v; the log ends:\n%s", err, lastLines(p.stdout.String(), 5))
	}
}

func lastLines(text string, n int) string {
	lines := strings.SplitAfter(text, "\n")
	return strings.Join(lines[max(0, len(lines)-n-1):], "")
}
