package tracingotlp

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"
	coltracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A script is a sender that answers as it says. Real collectors are in
// server_test.go; what they cannot do is to be slow in no time.
type script func(ctx context.Context, spans int) reply

func (s script) send(ctx context.Context, request []byte) reply {
	var r coltracepb.ExportTraceServiceRequest
	if err := proto.Unmarshal(request, &r); err != nil {
		return reply{err: err}
	}
	return s(ctx, spansOf(&r))
}

func (script) close() {}

func accepts(context.Context, int) reply { return reply{} }

func hangs(ctx context.Context, _ int) reply {
	<-ctx.Done()
	return reply{err: explain(ctx, ctx.Err()), again: true}
}

func busy(context.Context, int) reply { return reply{err: errors.New("busy"), again: true} }

// start runs a queue in the bubble of the test.
func start(t *testing.T, cfg Config, to script) *queue {
	t.Helper()
	cfg.ServiceName = "test"
	s, err := cfg.complete(func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	q := newQueue(s, to)
	t.Cleanup(func() {
		ended, cancel := context.WithCancel(context.Background())
		cancel()
		q.Shutdown(ended)
	})
	return q
}

// span is a sampled span with this much text in it.
func span(size int) sdktrace.ReadOnlySpan {
	return tracetest.SpanStub{
		Name:        "span",
		SpanContext: trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: 1}),
		Attributes:  []attribute.KeyValue{attribute.String("text", strings.Repeat("x", size))},
	}.Snapshot()
}

func end(q *queue, n int) {
	for range n {
		q.OnEnd(span(0))
	}
}

// check compares the stats, but for what a test does not care for: bytes, and
// the sizes that are configured.
func check(t *testing.T, q *queue, want Stats) {
	t.Helper()
	synctest.Wait()
	got := q.stats()
	if sum := got.Exported + got.Dropped() + uint64(got.Queued); sum != got.Ended {
		t.Errorf("%d spans ended, and %d are accounted for: %+v", got.Ended, sum, got)
	}
	if (got.Queued == 0) != (got.QueuedBytes == 0) {
		t.Errorf("%d spans of %d bytes are queued", got.Queued, got.QueuedBytes)
	}
	got.QueuedBytes, got.QueueSize = 0, 0
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// Whatever the collector does, every span is accounted for, exactly once, and
// the bounds hold.
func TestAccounting(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) { testAccounting(t, rand.New(rand.NewPCG(seed, 7))) })
	}
}

func testAccounting(t *testing.T, r *rand.Rand) {
	var mu sync.Mutex // of r
	var accepted, refused uint64
	draw := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}
	cfg := Config{
		QueueSize: 1 + r.IntN(50), BatchSize: 1 + r.IntN(20), QueueBytes: 2000 + r.IntN(100_000),
		RetryFor: time.Duration(r.IntN(20_000)-5000) * time.Millisecond, CloseTimeout: time.Duration(1+r.IntN(20)) * time.Second,
	}
	q := start(t, cfg, func(ctx context.Context, spans int) reply {
		select {
		case <-time.After(time.Duration(draw(3000)) * time.Millisecond):
		case <-ctx.Done():
			return hangs(ctx, spans)
		}
		switch draw(6) {
		case 0:
			return hangs(ctx, spans)
		case 1:
			return reply{err: errors.New("busy"), again: true, after: time.Duration(draw(10)) * time.Second}
		case 2:
			return reply{err: errors.New("no")}
		case 3:
			n := draw(spans+3) - 1 // what cannot be, too
			accepted += uint64(spans - min(max(n, 0), spans))
			refused += uint64(min(max(n, 0), spans))
			return reply{rejected: int64(n), message: "some"}
		default:
			accepted += uint64(spans)
			return reply{}
		}
	})
	bounds := func() Stats {
		s := q.stats()
		if s.Queued > cfg.QueueSize || s.QueuedBytes > cfg.QueueBytes {
			t.Fatalf("%d spans of %d bytes are queued; allowed are %d of %d", s.Queued, s.QueuedBytes, cfg.QueueSize, cfg.QueueBytes)
		}
		if s.Exported+s.Dropped()+uint64(s.Queued) != s.Ended {
			t.Fatalf("not all are accounted for: %+v", s)
		}
		return s
	}
	ended := uint64(0)
	for range 60 {
		switch draw(4) {
		case 0:
			time.Sleep(time.Duration(draw(4000)) * time.Millisecond)
		case 1:
			q.OnEnd(span(draw(5000)))
			ended++
		default:
			n := draw(20)
			end(q, n)
			ended += uint64(n)
		}
		synctest.Wait()
		bounds()
	}
	err := q.Shutdown(t.Context())
	end(q, 3)
	s := bounds()
	if s.Ended != ended+3 || s.Queued != 0 || s.Exported != accepted || s.Rejected != refused || s.DroppedClosed < 3 {
		t.Fatalf("%d spans ended, %d were accepted, %d rejected; got %+v", ended+3, accepted, refused, s)
	}
	if lost, ok := errors.AsType[*LostError](err); err != nil && (!ok || lost.Spans == 0 || lost.Spans > s.Dropped()-3) {
		t.Fatalf("Shutdown: %v, with %+v", err, s)
	}
}

// No span waits, whether the collector does or not: in the bubble, time would
// pass.
func TestNobodyWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{QueueSize: 100, BatchSize: 10}, hangs)
		begin := time.Now()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() { end(q, 1000) })
		}
		all.Wait()
		if d := time.Since(begin); d != 0 {
			t.Errorf("8000 spans waited for %v", d)
		}
		synctest.Wait()
		s := q.stats()
		if s.Queued > 100 || s.Queued+int(s.DroppedFull) != 8000 {
			t.Errorf("got %+v", s)
		}
	})
}

// A span leaves after BatchDelay, those of a full batch at once, and an idle
// queue does nothing.
func TestWhenItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		var sizes []int
		q := start(t, Config{BatchSize: 10, BatchDelay: 5 * time.Second}, func(_ context.Context, n int) reply {
			at, sizes = append(at, time.Since(begin)), append(sizes, n)
			return reply{}
		})
		time.Sleep(time.Minute)
		end(q, 1) // leaves at 65 s
		time.Sleep(4 * time.Second)
		end(q, 2) // with it
		time.Sleep(6 * time.Second)
		end(q, 23) // at 70 s, 20 of them; the others at 75 s
		time.Sleep(time.Minute)
		end(q, 1) // at 135 s
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []time.Duration{65, 70, 70, 75, 135}
		counts := []int{3, 10, 10, 3, 1}
		if len(at) != len(want) {
			t.Fatalf("requests at %v, of %v spans", at, sizes)
		}
		for i := range want {
			if at[i] != want[i]*time.Second || sizes[i] != counts[i] {
				t.Errorf("request %d: %d spans after %v, want %d after %v", i, sizes[i], at[i], counts[i], want[i]*time.Second)
			}
		}
	})
}

// A span that ends while others are sent, after the timer, is not forgotten.
func TestEndsWhileSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *queue
		calls := 0
		q = start(t, Config{BatchDelay: time.Second}, func(context.Context, int) reply {
			if calls++; calls < 4 {
				end(q, 1)
			}
			return reply{}
		})
		end(q, 1)
		time.Sleep(4 * time.Second)
		check(t, q, Stats{Ended: 4, Exported: 4, Requests: 4})
	})
}

// A slowSpan is looked at for as long as its test likes.
type slowSpan struct {
	sdktrace.ReadOnlySpan
	reached, release chan struct{}
}

func (s slowSpan) Name() string {
	close(s.reached)
	<-s.release
	return "slow"
}

// A span that ends before Close, and is in the queue only after it, is counted.
func TestEndsAroundClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{}, accepts)
		s := slowSpan{span(0), make(chan struct{}), make(chan struct{})}
		go q.OnEnd(s)
		<-s.reached
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		close(s.release)
		check(t, q, Stats{Ended: 1, DroppedClosed: 1})
	})
}

// What has no room is dropped, by number and by size; a batch is not larger than
// a collector takes.
func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sizes []int
		q := start(t, Config{}, func(_ context.Context, n int) reply {
			sizes = append(sizes, n)
			return reply{}
		})
		for range 5 {
			q.OnEnd(span(900 << 10))
		}
		q.OnEnd(span(1 << 20)) // and what is around it
		time.Sleep(5 * time.Second)
		synctest.Wait()
		check(t, q, Stats{Ended: 6, Exported: 5, DroppedLarge: 1, Requests: 3})
		if len(sizes) != 3 || sizes[0] != 2 || sizes[1] != 2 || sizes[2] != 1 {
			t.Errorf("batches of %v", sizes)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{QueueBytes: 5000}, hangs)
		q.OnEnd(span(4500))
		q.OnEnd(span(4000))
		q.OnEnd(span(0))
		check(t, q, Stats{Ended: 3, DroppedLarge: 1, DroppedFull: 1, Queued: 1})
	})
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{}, accepts)
		q.OnEnd(tracetest.SpanStub{Name: "not sampled"}.Snapshot())
		check(t, q, Stats{})
	})
}

// A collector that is down for less than RetryFor costs nothing.
func TestRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begin := time.Now()
		var at []time.Duration
		q := start(t, Config{BatchSize: 1}, func(ctx context.Context, n int) reply {
			at = append(at, time.Since(begin))
			if time.Since(begin) < 30*time.Second {
				return busy(ctx, n)
			}
			return reply{}
		})
		end(q, 3)
		time.Sleep(time.Minute)
		synctest.Wait()
		check(t, q, Stats{Ended: 3, Exported: 3, Requests: uint64(len(at)), FailedRequests: uint64(len(at) - 3)})
		wait := minWait
		for i := range len(at) - 3 {
			if d := at[i+1] - at[i]; d < wait/2 || d >= wait {
				t.Errorf("attempt %d came after %v, want %v to %v", i+1, d, wait/2, wait)
			}
			wait = min(2*wait, maxWait)
		}
	})
}

func TestGivesUp(t *testing.T) {
	for _, c := range []struct {
		name     string
		retryFor time.Duration
		answer   reply
		requests uint64
		after    time.Duration
	}{
		{"never again", -1, reply{err: errors.New("busy"), again: true}, 1, 0},
		{"no use", time.Minute, reply{err: errors.New("no such service")}, 1, 0},
		{"at the end of RetryFor", 10 * time.Second, reply{err: errors.New("busy"), again: true, after: time.Hour}, 2, 10 * time.Second},
		{"as often as the collector wants", time.Minute, reply{err: errors.New("busy"), again: true, after: 25 * time.Second}, 4, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begin := time.Now()
				var told []error
				var after time.Duration
				q := start(t, Config{BatchSize: 2, RetryFor: c.retryFor, OnError: func(err error) {
					told, after = append(told, err), time.Since(begin)
				}}, func(context.Context, int) reply { return c.answer })
				end(q, 2)
				time.Sleep(2 * time.Minute)
				check(t, q, Stats{Ended: 2, Failed: 2, Requests: c.requests, FailedRequests: c.requests})
				if len(told) != 1 || told[0].Error() != "tracingotlp: 2 spans given up: "+c.answer.err.Error() || !errors.Is(told[0], c.answer.err) {
					t.Errorf("OnError was told %v", told)
				}
				if after != c.after {
					t.Errorf("given up after %v, want %v", after, c.after)
				}
			})
		})
	}
}

// An attempt ends after ExportTimeout, and the next may succeed.
func TestExportTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		q := start(t, Config{BatchSize: 1, ExportTimeout: 3 * time.Second}, func(ctx context.Context, n int) reply {
			if calls++; calls == 1 {
				return hangs(ctx, n)
			}
			return reply{}
		})
		end(q, 1)
		time.Sleep(3*time.Second + minWait)
		check(t, q, Stats{Ended: 1, Exported: 1, Requests: 2, FailedRequests: 1})
	})
}

func TestPartialSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told error
		q := start(t, Config{BatchSize: 10, OnError: func(err error) { told = err }}, func(context.Context, int) reply {
			return reply{rejected: 4, message: "too old"}
		})
		end(q, 10)
		synctest.Wait()
		check(t, q, Stats{Ended: 10, Exported: 6, Rejected: 4, Requests: 1})
		if told == nil || told.Error() != "tracingotlp: the collector rejected 4 of 10 spans: too old" {
			t.Errorf("OnError was told %v", told)
		}
	})
}

func TestClose(t *testing.T) {
	lost := func(t *testing.T, err error, spans uint64, texts ...string) {
		t.Helper()
		e, ok := errors.AsType[*LostError](err)
		if !ok || e.Spans != spans {
			t.Fatalf("got %v, want %d spans lost", err, spans)
		}
		for _, text := range texts {
			if !strings.Contains(err.Error(), text) {
				t.Errorf("%q does not contain %q", err, text)
			}
		}
	}
	run := func(name string, cfg Config, to script, f func(t *testing.T, q *queue)) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { f(t, start(t, cfg, to)) })
		})
	}
	run("nothing to do", Config{}, hangs, func(t *testing.T, q *queue) {
		if err := q.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
	run("everything is sent", Config{BatchSize: 10}, accepts, func(t *testing.T, q *queue) {
		end(q, 37)
		if err := errors.Join(q.Shutdown(t.Context()), q.Shutdown(t.Context())); err != nil {
			t.Error(err)
		}
		end(q, 1)
		check(t, q, Stats{Ended: 38, Exported: 37, DroppedClosed: 1, Requests: 4})
	})
	run("the collector hangs", Config{BatchSize: 10, CloseTimeout: 3 * time.Second}, hangs, func(t *testing.T, q *queue) {
		end(q, 37)
		begin := time.Now()
		err := q.Shutdown(t.Context())
		if d := time.Since(begin); d != 3*time.Second {
			t.Errorf("it took %v", d)
		}
		lost(t, err, 37, "37 spans", "CloseTimeout")
		lost(t, q.Shutdown(t.Context()), 37)
		check(t, q, Stats{Ended: 37, Failed: 10, DroppedClosed: 27, Requests: 1, FailedRequests: 1})
	})
	run("ctx ends first", Config{}, hangs, func(t *testing.T, q *queue) {
		end(q, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin := time.Now()
		err := q.Shutdown(ctx)
		lost(t, err, 1, "1 span ")
		if d := time.Since(begin); d != time.Second || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("after %v: %v", d, err)
		}
	})
	run("another is in a hurry", Config{BatchSize: 10}, func(ctx context.Context, _ int) reply {
		time.Sleep(time.Second)
		return reply{err: ctx.Err()}
	}, func(t *testing.T, q *queue) {
		end(q, 20)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		go func() {
			time.Sleep(time.Millisecond)
			if err := q.Shutdown(ended); err != nil {
				t.Errorf("the second: %v", err)
			}
		}()
		if err := q.Shutdown(t.Context()); err != nil {
			t.Errorf("the first: %v", err)
		}
		check(t, q, Stats{Ended: 20, Exported: 20, Requests: 2})
	})
	run("again and again", Config{}, hangs, func(t *testing.T, q *queue) {
		end(q, 1)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		first := q.Shutdown(t.Context())
		for range 100 {
			if err := q.Shutdown(ended); err != first {
				t.Fatalf("%v, after %v", err, first)
			}
		}
	})
	run("the collector is down", Config{BatchSize: 10}, busy, func(t *testing.T, q *queue) {
		end(q, 20)
		lost(t, q.Shutdown(t.Context()), 20, "busy", "CloseTimeout")
	})
	run("the collector wants none", Config{BatchSize: 10}, func(context.Context, int) reply { return reply{err: errors.New("no")} }, func(t *testing.T, q *queue) {
		end(q, 20)
		synctest.Wait()
		if q.stats().Failed != 20 {
			t.Fatalf("got %+v", q.stats())
		}
		end(q, 2)
		lost(t, q.Shutdown(t.Context()), 2, "2 spans", "no") // not the 20 before
	})
	calls := 0
	run("it does not wait for the next attempt", Config{BatchSize: 1}, func(context.Context, int) reply {
		if calls++; calls == 1 {
			return reply{err: errors.New("busy"), again: true, after: 30 * time.Second}
		}
		return reply{}
	}, func(t *testing.T, q *queue) {
		end(q, 1)
		synctest.Wait()
		begin := time.Now()
		if err := q.Shutdown(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
	})
	t.Run("a hook hangs", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			release := make(chan struct{})
			q := start(t, Config{BatchSize: 1, OnError: func(error) { <-release }}, func(context.Context, int) reply { return reply{err: errors.New("no")} })
			end(q, 1)
			begin := time.Now()
			err := q.Shutdown(t.Context())
			if d := time.Since(begin); d != 6*time.Second || !errors.Is(err, errHangs) {
				t.Errorf("after %v: %v", d, err)
			}
			close(release)
			synctest.Wait()
		})
	})
}

// Spans that end while Close is under way are sent or counted, whatever the
// order.
func TestCloseRace(t *testing.T) {
	for range 200 {
		q := start(t, Config{QueueSize: 100, BatchSize: 7}, accepts)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() { end(q, 50) })
		}
		all.Go(func() { q.Shutdown(context.Background()) })
		all.Wait()
		if s := q.stats(); s.Queued != 0 || s.QueuedBytes != 0 || s.Ended != 200 || s.Exported+s.DroppedClosed+s.DroppedFull != 200 {
			t.Fatalf("got %+v", s)
		}
	}
}

func TestForceFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{BatchSize: 10}, accepts)
		end(q, 25)
		begin := time.Now()
		if err := q.ForceFlush(t.Context()); err != nil || time.Since(begin) != 0 {
			t.Errorf("after %v: %v", time.Since(begin), err)
		}
		check(t, q, Stats{Ended: 25, Exported: 25, Requests: 3})
		q.Shutdown(t.Context())
		if err := q.ForceFlush(t.Context()); err != nil {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{BatchSize: 10}, hangs)
		end(q, 5)
		for range 2 { // the first has its answer to wait for, the second cannot even ask
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := q.ForceFlush(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// The queue keeps no span that is settled.
func TestHeldSpanIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := start(t, Config{CloseTimeout: time.Second}, hangs)
		for range 3 {
			q.OnEnd(span(900 << 10))
		}
		synctest.Wait() // two are under way, and the third has been taken out
		err := q.Shutdown(t.Context())
		if lost, ok := errors.AsType[*LostError](err); !ok || lost.Spans != 3 {
			t.Errorf("got %v", err)
		}
		check(t, q, Stats{Ended: 3, Failed: 2, DroppedClosed: 1, Requests: 1, FailedRequests: 1})
	})
}
