package logging

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A gate is a writer that takes nothing until it is opened.
type gate struct {
	open    chan struct{}
	entered chan struct{}

	mu     sync.Mutex
	buf    bytes.Buffer
	writes int
}

func newGate() *gate { return &gate{open: make(chan struct{}), entered: make(chan struct{}, 1000)} }

func (g *gate) Write(p []byte) (int, error) {
	g.entered <- struct{}{}
	<-g.open
	g.mu.Lock()
	defer g.mu.Unlock()
	g.writes++
	return g.buf.Write(p)
}

func (g *gate) String() string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.buf.String()
}

func newAsync(t *testing.T, w io.Writer, cfg AsyncConfig) *AsyncWriter {
	t.Helper()
	a, err := NewAsyncWriter(w, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAsyncConfig(t *testing.T) {
	_, err := NewAsyncWriter(nil, AsyncConfig{MaxBytes: 5, MaxRecords: -1, Delay: -1})
	for _, want := range []string{"the writer is nil", "AsyncConfig.MaxBytes: 5", "AsyncConfig.MaxRecords: -1", "AsyncConfig.Delay: -1ns"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
}

// Records wait for each other for Delay, go in one Write, and stay in order.
func TestAsyncBatches(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		close(g.open)
		a := newAsync(t, g, AsyncConfig{Delay: time.Second})
		var want bytes.Buffer
		for i := range 100 {
			fmt.Fprintf(a, "record %d\n", i)
			fmt.Fprintf(&want, "record %d\n", i)
		}
		time.Sleep(time.Second - 1) // in a bubble
		if len(g.String()) != 0 {
			t.Error("it did not wait")
		}
		time.Sleep(2 * time.Nanosecond)
		synctest.Wait()
		if g.String() != want.String() || g.writes != 1 {
			t.Errorf("%d writes of %d bytes", g.writes, len(g.String()))
		}
		if s := a.Stats(); s != (AsyncStats{Written: 100}) {
			t.Errorf("%+v", s)
		}
		fmt.Fprintln(a, "last")
		if err := a.Close(t.Context()); err != nil || !strings.HasSuffix(g.String(), "\nlast\n") {
			t.Errorf("%v %q", err, g)
		}
	})
}

// A writer below that hangs makes nobody wait, and what it holds is bounded.
func TestAsyncHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{MaxBytes: 1024, MaxRecords: 50})
		record := strings.Repeat("x", 99) + "\n"
		for range 6 { // more than half of the buffer
			io.WriteString(a, record)
		}
		<-g.entered // it flies, and hangs
		for range 10 {
			if _, err := io.WriteString(a, record); err != nil {
				t.Error(err)
			}
		}
		for range 7 {
			if _, err := io.WriteString(a, record); err == nil {
				t.Error("a record found room")
			}
		}
		if s := a.Stats(); s != (AsyncStats{Dropped: 7, Waiting: 16, WaitingBytes: 1600}) {
			t.Errorf("%+v", s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "16 records (1600 bytes)") {
			t.Error(err)
		}
		close(g.open)
		if err := a.Flush(t.Context()); err != nil {
			t.Error(err)
		}
		if s := a.Stats(); s != (AsyncStats{Written: 16, Dropped: 7}) || len(g.String()) != 1600 {
			t.Errorf("%+v, %d bytes", s, len(g.String()))
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestAsyncMaxRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{MaxRecords: 3, Delay: time.Hour})
		io.WriteString(a, "0\n")
		io.WriteString(a, "1\n")
		<-g.entered
		for i := range 5 {
			fmt.Fprintln(a, i+2)
		}
		close(g.open)
		if err := a.Close(t.Context()); err != nil || g.String() != "0\n1\n2\n3\n4\n" || a.Stats().Dropped != 2 {
			t.Errorf("%v %q %+v", err, g, a.Stats())
		}
	})
}

// Close gives up in time and says what is lost; the goroutine ends once it can.
func TestAsyncCloseGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{})
		fmt.Fprintln(a, "flies")
		<-g.entered
		fmt.Fprintln(a, "waits")
		fmt.Fprintln(a, "waits, too")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, errors.New("no time left"))
		defer cancel()
		err := a.Close(ctx)
		if err == nil || err.Error() != "logging: AsyncWriter.Close: 3 records (23 bytes) are not written: no time left" {
			t.Error(err)
		}
		if again := a.Close(ctx); again != err {
			t.Errorf("the second time: %v", again)
		}
		if _, err := io.WriteString(a, "late\n"); err != errClosed {
			t.Error(err)
		}
		if _, err := a.direct([]byte("late\n")); err != errClosed {
			t.Error(err)
		}
		close(g.open)
		<-a.done // else the bubble would not end
		if s := a.Stats(); s != (AsyncStats{Written: 1, Dropped: 3}) || g.String() != "flies\n" {
			t.Errorf("%+v %q", s, g)
		}
		if again := a.Close(t.Context()); again != err {
			t.Errorf("the third time: %v", again)
		}
	})
}

// What is written after Close is written at once.
func TestAsyncAfterClose(t *testing.T) {
	var buf bytes.Buffer
	a := newAsync(t, &buf, AsyncConfig{})
	for range 2 {
		if err := a.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	fmt.Fprintln(a, "last words")
	if err := a.Flush(t.Context()); err != nil || buf.String() != "last words\n" || a.Stats() != (AsyncStats{Written: 1}) {
		t.Errorf("%v %q %+v", err, &buf, a.Stats())
	}
}

// A faulty writer takes part of a batch, then panics, then works.
type faulty struct {
	bytes.Buffer
	calls int
}

func (f *faulty) Write(p []byte) (int, error) {
	f.calls++
	switch f.calls {
	case 1:
		n, _ := f.Buffer.Write(p[:8])
		return n, errors.New("disk full")
	case 2:
		panic("broken")
	}
	return f.Buffer.Write(p)
}

// What a broken writer leaves of a record stands on a line of its own, and the
// goroutine lives on.
func TestAsyncBrokenWriter(t *testing.T) {
	var f faulty
	a := newAsync(t, &f, AsyncConfig{Delay: time.Hour})
	for _, batch := range []string{"1111\n2222\n3333\n", "4444\n", "5555\n"} {
		for record := range strings.Lines(batch) {
			io.WriteString(a, record)
		}
		if err := a.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Close(t.Context()); err != nil || f.String() != "1111\n222\n5555\n" {
		t.Errorf("%v %q", err, &f)
	}
	if s := a.Stats(); s != (AsyncStats{Written: 2, Failed: 3}) {
		t.Errorf("%+v", s)
	}
}

// An Output that takes a part of a record does not spoil the next, which counts as
// written, whoever writes it.
func TestTornRecord(t *testing.T) {
	var f faulty
	l, err := New(Config{Output: &f, OmitSource: true})
	if err != nil {
		t.Fatal(err)
	}
	l.Slog().Info("torn")
	f.calls = 2
	l.Audit(t.Context(), "whole")
	if _, rest, _ := strings.Cut(f.String(), "\n"); !strings.HasPrefix(rest, `{"timestamp":`) {
		t.Errorf("%q", f.String())
	}
	if s := l.Stats(); s != (Stats{Failed: 1, AuditWritten: 1}) {
		t.Errorf("%+v", s)
	}
}

// A Flush that gives up leaves nothing behind.
func TestAsyncFlushGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGate()
		a := newAsync(t, g, AsyncConfig{})
		io.WriteString(a, "record\n")
		for range 1000 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := a.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			cancel()
		}
		if n := len(a.waiters); n > 0 {
			t.Errorf("%d wait", n)
		}
		close(g.open)
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Many writers, a slow reader: each record is whole, each writer's are in order,
// and written and dropped are all.
func TestAsyncConcurrent(t *testing.T) {
	var buf bytes.Buffer
	a := newAsync(t, &buf, AsyncConfig{MaxBytes: 2048, Delay: time.Nanosecond})
	const writers, each = 8, 2000
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				fmt.Fprintf(a, "%d %06d\n", w, i)
				if i%100 == 0 {
					if err := a.Flush(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var last [writers]int
	n := uint64(0)
	for line := range strings.Lines(buf.String()) {
		var w, i int
		if _, err := fmt.Sscanf(line, "%d %06d\n", &w, &i); err != nil || i < last[w] {
			t.Fatalf("%q after %d: %v", line, last[w], err)
		}
		last[w] = i
		n++
	}
	if s := a.Stats(); s.Written != n || s.Written+s.Dropped != writers*each || s.Failed != 0 || s.Waiting != 0 {
		t.Errorf("%+v, %d lines", s, n)
	}
}

func TestAsyncAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a := newAsync(t, io.Discard, AsyncConfig{Delay: time.Nanosecond})
	defer a.Close(t.Context())
	record := []byte(strings.Repeat("x", 200) + "\n")
	if n := testing.AllocsPerRun(5000, func() { a.Write(record) }); n != 0 {
		t.Errorf("a record allocates %v times", n)
	}
}

// A writer that breaks io.Writer's contract is one that fails.
func TestAsyncShortWrites(t *testing.T) {
	a := newAsync(t, short{}, AsyncConfig{Delay: time.Hour})
	io.WriteString(a, "whole\n")
	io.WriteString(a, "part\n")
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(a, "late, and too long\n"); err != io.ErrShortWrite {
		t.Error(err)
	}
	if s := a.Stats(); s != (AsyncStats{Written: 1, Failed: 2}) {
		t.Errorf("%+v", s)
	}
}

// short takes 8 bytes of everything, and does not complain.
type short struct{}

func (short) Write(p []byte) (int, error) { return min(len(p), 8), nil }
