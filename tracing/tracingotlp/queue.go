package tracingotlp

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// maxSpan is how large a span may be, in bytes as sizeOf reckons them.
	maxSpan = 1 << 20

	// maxRequest is how large the spans of a request are together. A collector
	// takes up to 4 MiB by gRPC, and refuses all spans of what is larger.
	maxRequest = 2 << 20
)

// Between attempts it waits for a random half to whole of minWait, and of twice
// as much after each, up to maxWait.
const (
	minWait = 250 * time.Millisecond
	maxWait = 5 * time.Second
)

// A queue holds ended spans until the collector has them. The SDK's
// BatchSpanProcessor, in whose place it is, counts what it drops where nobody
// can see it, is not bounded in bytes, and wakes up for each span.
//
// All spans that were let in are in the channel, in held, or in the batch of
// the exporting goroutine. They are counted in queued until it is known what
// became of them, and that is bounded by the channel's size: it never fills.
type queue struct {
	settings
	sender   sender
	counters counters

	spans chan entry
	held  *entry             // the goroutine's: the next span, which a batch had no room for
	armed atomic.Bool        // it has a timer running, and will look at the queue by itself
	wake  chan struct{}      // tells it to look now
	flush chan chan struct{} // closed when what is in the queue now is settled

	closed    atomic.Bool   // nothing is let in
	closing   chan struct{} // Close was called
	closeOnce sync.Once
	settled   chan struct{} // result is set
	result    error         // of Close
	lost      uint64        // before done: the spans lost before Close; then: those lost since
	life      context.Context
	giveUp    context.CancelCauseFunc // ends life: Close can wait no longer
	stopped   atomic.Bool             // nobody takes spans out any more
	done      chan struct{}           // the goroutine has ended
	last      atomic.Pointer[error]   // why spans were not delivered the last time
}

// An entry is a span and what it takes.
type entry struct {
	span sdktrace.ReadOnlySpan
	size int
}

// newQueue starts the goroutine that exports.
func newQueue(s settings, to sender) *queue {
	q := &queue{
		settings: s,
		sender:   to,
		spans:    make(chan entry, s.QueueSize),
		wake:     make(chan struct{}, 1),
		flush:    make(chan chan struct{}),
		closing:  make(chan struct{}),
		settled:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	q.life, q.giveUp = context.WithCancelCause(context.Background())
	go q.run()
	return q
}

// OnStart implements sdktrace.SpanProcessor.
func (q *queue) OnStart(context.Context, sdktrace.ReadWriteSpan) { q.counters.started.Add(1) }

// OnEnd implements sdktrace.SpanProcessor. It never waits.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	c := &q.counters
	c.ended.Add(1)
	if q.closed.Load() {
		c.droppedClosed.Add(1)
		return
	}
	size := sizeOf(s)
	switch {
	case size > min(maxSpan, q.QueueBytes):
		c.droppedLarge.Add(1)
		return
	case !q.reserve(size):
		c.droppedFull.Add(1)
		return
	}
	q.spans <- entry{s, size}
	if q.stopped.Load() {
		q.abandon() // it came after the last look
	}
	// The goroutine stops its timer before it looks, and here it is the other
	// way round: one of the two sees the other.
	if !q.armed.Load() || q.full() {
		select {
		case q.wake <- struct{}{}:
		default:
		}
	}
}

// reserve finds room for a span.
func (q *queue) reserve(size int) bool {
	c := &q.counters
	if c.queued.Add(1) > int64(q.QueueSize) {
		c.queued.Add(-1)
		return false
	}
	if c.queuedBytes.Add(int64(size)) > int64(q.QueueBytes) {
		c.queuedBytes.Add(-int64(size))
		c.queued.Add(-1)
		return false
	}
	return true
}

// release gives the room of a span back.
func (q *queue) release(size int) {
	q.counters.queuedBytes.Add(-int64(size))
	q.counters.queued.Add(-1)
}

// full reports whether there is enough for a request.
func (q *queue) full() bool {
	return len(q.spans) >= q.BatchSize || q.counters.queuedBytes.Load() >= maxRequest
}

// abandon counts what is in the channel as lost.
func (q *queue) abandon() {
	for {
		select {
		case e := <-q.spans:
			q.counters.droppedClosed.Add(1)
			q.release(e.size)
		default:
			return
		}
	}
}

// run exports until Close.
func (q *queue) run() {
	defer close(q.done)
	defer q.sender.close()
	timer := time.NewTimer(q.BatchDelay)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-q.wake:
			if !q.armed.Load() {
				q.armed.Store(true)
				timer.Reset(q.BatchDelay)
			}
			for q.full() && q.export() > 0 {
			}
		case <-timer.C:
			q.armed.Store(false)
			q.drain()
		case settled := <-q.flush:
			q.drain()
			close(settled)
		case <-q.closing:
			q.end()
			return
		}
	}
}

// drain exports what is in the queue now. What comes meanwhile waits, so that
// batches do not get ever smaller.
func (q *queue) drain() {
	left := len(q.spans)
	if q.held != nil {
		left++
	}
	for left > 0 {
		n := q.export()
		if n == 0 {
			return
		}
		left -= n
	}
}

// end exports the rest, for as long as Close waits.
func (q *queue) end() {
	for q.export() > 0 {
	}
	if q.held != nil {
		q.counters.droppedClosed.Add(1)
		q.release(q.held.size)
		q.held = nil
	}
	q.stopped.Store(true)
	q.abandon()
	q.lost = q.stats().Dropped() - q.lost
}

// take removes the next batch from the queue.
func (q *queue) take() (batch []sdktrace.ReadOnlySpan, size int) {
	for len(batch) < q.BatchSize {
		e := q.held
		q.held = nil
		if e == nil {
			select {
			case next := <-q.spans:
				e = &next
			default:
				return batch, size
			}
		}
		if len(batch) > 0 && size+e.size > maxRequest {
			q.held = e
			return batch, size
		}
		batch = append(batch, e.span)
		size += e.size
	}
	return batch, size
}

// export settles what becomes of the next batch, and returns how many spans it
// had: none, too, once Close can wait no longer.
func (q *queue) export() int {
	if q.life.Err() != nil {
		return 0
	}
	batch, size := q.take()
	n := len(batch)
	if n == 0 {
		return 0
	}
	c := &q.counters
	r := q.deliver(batch)
	switch {
	case r.err != nil:
		c.failed.Add(uint64(n))
		r.err = fmt.Errorf("tracingotlp: %d spans given up: %w", n, r.err)
	default:
		rejected := min(max(r.rejected, 0), int64(n))
		c.rejected.Add(uint64(rejected))
		c.exported.Add(uint64(n) - uint64(rejected))
		if rejected > 0 || r.message != "" {
			r.err = fmt.Errorf("tracingotlp: the collector rejected %d of %d spans: %s", rejected, n, excerpt(r.message, q.Headers))
		}
	}
	c.queuedBytes.Add(-int64(size))
	c.queued.Add(-int64(n))
	if r.err != nil && q.life.Err() == nil {
		q.last.Store(&r.err)
	}
	if r.err != nil && q.OnError != nil {
		q.OnError(r.err)
	}
	return n
}

// deliver offers a batch to the collector until it takes it, will never take it,
// or RetryFor is over.
func (q *queue) deliver(batch []sdktrace.ReadOnlySpan) reply {
	request, err := encode(q.life, batch)
	if err != nil {
		return reply{err: err}
	}
	end := time.Now().Add(q.RetryFor)
	for wait := minWait; ; wait = min(2*wait, maxWait) {
		r := q.attempt(request)
		left := time.Until(end)
		if r.err == nil || !r.again || left <= 0 || q.life.Err() != nil {
			return r
		}
		q.last.Store(&r.err)
		q.pause(min(max(wait/2+rand.N(wait/2), r.after), left))
	}
}

// attempt sends a request once.
func (q *queue) attempt(request []byte) reply {
	ctx, cancel := context.WithTimeoutCause(q.life, q.ExportTimeout, errTimeout)
	defer cancel()
	q.counters.requests.Add(1)
	r := q.sender.send(ctx, request)
	if r.err != nil {
		q.counters.failedRequests.Add(1)
	}
	return r
}

// pause waits between attempts. Close, which has no time to lose, ends it.
func (q *queue) pause(d time.Duration) {
	closing := q.closing
	if q.closed.Load() {
		closing = nil // it has ended one
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-closing:
	case <-q.life.Done():
	}
}

// ForceFlush implements sdktrace.SpanProcessor: it waits until it is known what
// became of all spans that ended before.
func (q *queue) ForceFlush(ctx context.Context) error {
	settled := make(chan struct{})
	select {
	case q.flush <- settled:
	case <-q.done:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	select {
	case <-settled:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

var (
	errCloseTimeout = errors.New("CloseTimeout is over")
	errHangs        = errors.New("the exporting goroutine hangs in OnError")
)

// Shutdown implements sdktrace.SpanProcessor: it is Close. Calls after the first wait
// for it, so that one that is in a hurry cannot cost the first its spans.
func (q *queue) Shutdown(ctx context.Context) error {
	first := false
	q.closeOnce.Do(func() { first = true })
	if first {
		q.result = q.shutdown(ctx)
		close(q.settled)
	}
	<-q.settled
	return q.result
}

func (q *queue) shutdown(ctx context.Context) error {
	q.lost = q.stats().Dropped()
	q.closed.Store(true)
	close(q.closing)
	ctx, cancel := context.WithTimeoutCause(ctx, q.CloseTimeout, errCloseTimeout)
	defer cancel()
	select {
	case <-q.done:
	case <-ctx.Done():
		q.giveUp(context.Cause(ctx))
		// The senders return at once. A hook need not.
		select {
		case <-q.done:
		case <-time.After(time.Second):
			return &LostError{Spans: uint64(q.counters.queued.Load()), Err: errHangs}
		}
	}
	if q.lost == 0 {
		return nil
	}
	why := context.Cause(q.life)
	if last := q.last.Load(); last != nil && why != nil {
		why = fmt.Errorf("%w; before: %w", why, *last)
	} else if last != nil {
		why = *last
	}
	return &LostError{Spans: q.lost, Err: why}
}
