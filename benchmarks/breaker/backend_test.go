package breakbench

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

func newBackend(rate float64) *backend {
	return &backend{rand: rand.New(rand.NewPCG(1, 2)), rate: rate}
}

func TestBackendQueues(t *testing.T) {
	b := newBackend(100) // 10 ms each
	const shortest, longest = 16 * ms, 24 * ms
	for i := range 20 {
		wait := time.Duration(i) * 10 * ms
		if took, err := b.serve(0, health{}); err != nil || took < wait+shortest || took > wait+longest {
			t.Fatalf("call %d: %v, %v, want %v more than a service time", i, took, err, wait)
		}
	}
	for range 20 {
		b.serve(0, health{})
	}
	// What nobody waits for any more is worked at all the same.
	if took, err := b.serve(0, health{}); took != timeout || err != context.DeadlineExceeded {
		t.Errorf("%v, %v: it waits for 400 ms", took, err)
	}
	for range 100 {
		b.serve(0, health{})
	}
	if took, err := b.serve(0, health{}); took != refused || err != errBackend {
		t.Errorf("%v, %v: the queue is full", took, err)
	}
	if took, err := b.serve(time.Minute, health{}); err != nil || took > longest {
		t.Errorf("%v, %v: the queue is empty", took, err)
	}
}

func TestBackendHealth(t *testing.T) {
	b := newBackend(100)
	for range 30 {
		b.serve(0, health{})
	}
	if took, err := b.serve(0, health{fails: 1}); took != refused || err != errBackend {
		t.Errorf("dead: %v, %v", took, err)
	}
	if took, err := b.serve(0, health{fails: 1, hangs: true}); took != timeout || err != context.DeadlineExceeded {
		t.Errorf("hanging: %v, %v", took, err)
	}
	if took, err := b.serve(0, health{slower: 10}); err != nil || took < 160*ms || took > 240*ms {
		t.Errorf("slow, and its queue gone: %v, %v", took, err)
	}
	b.serve(time.Minute, health{capacity: 0.1})
	if took, _ := b.serve(time.Minute, health{}); took < 116*ms {
		t.Errorf("%v: a call before took 100 ms of the capacity", took)
	}
	failed := 0
	for i := range 1000 {
		if _, err := b.serve(time.Duration(i)*time.Hour, health{fails: 0.3}); err != nil {
			failed++
		}
	}
	if failed < 250 || failed > 350 {
		t.Errorf("%d of 1000 failed, want about 300", failed)
	}
}
