package retrybench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	callEach   = time.Millisecond
	answerTime = 5 * time.Millisecond // of the backend, dead or alive

	// amplified is how much more than the calls themselves a dead backend may
	// get: a fifth, as Finagle's budget has it if nobody sets another. The SRE
	// book (chapter "Handling Overload") takes a tenth.
	amplified = 1.2
)

// load is so many calls, one each millisecond, whether or not those before have
// come back.
type load struct{ calls int }

func (l load) String() string {
	return fmt.Sprintf("%v at 1,000 calls a second", time.Duration(l.calls)*callEach)
}

// put makes the calls, and returns how many of them failed and how often the
// backend was called.
func (l load) put(call caller, backend func(ctx context.Context, n int64) error) (failed, reached int64) {
	var fails, tries atomic.Int64
	do := func(ctx context.Context) error { return backend(ctx, tries.Add(1)) }
	tick := time.NewTicker(callEach)
	defer tick.Stop()
	var calls sync.WaitGroup
	for range l.calls {
		<-tick.C
		calls.Go(func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			if call(ctx, with(ctx, do), 1) != nil {
				fails.Add(1)
			}
		})
	}
	calls.Wait()
	return fails.Load(), tries.Load()
}

// after answers with err after d, if anybody still wants it then.
func after(ctx context.Context, d time.Duration, err error) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// outage has every library call a backend that is down.
func (l load) outage() ([]fact, error) {
	about := fmt.Sprintf("An outage, %v with up to three attempts each: attempts that reach the dead backend", l)
	return eachPeer(func(p peer, call caller) fact {
		_, reached := l.put(call, func(ctx context.Context, _ int64) error { return after(ctx, answerTime, errDown) })
		factor := float64(reached) / float64(l.calls)
		saw := fmt.Sprintf("%d, %s for each call", reached, number(factor))
		return fact{about, p.name, saw, factor <= amplified}
	})
}

// hiccups is the other side of the matter: what keeps an outage from growing
// must not be in the way when a few attempts fail.
func (l load) hiccups() ([]fact, error) {
	const each, mended = 20, 5
	about := fmt.Sprintf("%v, and one answer in %d is a failure: calls that fail in the end", l, each)
	return eachPeer(func(p peer, call caller) fact {
		failed, reached := l.put(call, func(ctx context.Context, n int64) error {
			if n%each == 0 {
				return after(ctx, answerTime, errDown)
			}
			return after(ctx, answerTime, nil)
		})
		saw := fmt.Sprintf("%d of %d, in %d attempts", failed, l.calls, reached)
		return fact{about, p.name, saw, failed*each*mended <= int64(l.calls)}
	})
}

// eachPeer puts everyone to the same test, with the usual settings.
func eachPeer(test func(peer, caller) fact) (all []fact, err error) {
	for _, p := range peers() {
		call, err := p.new(usual())
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, test(p, call))
	}
	return all, nil
}
