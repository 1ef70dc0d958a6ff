package authkubernetes

import (
	"context"
	"sync"
)

// flights makes one call of those that ask the same at the same time. Whoever
// is first makes it, in its own goroutine.
type flights[V any] struct {
	mu  sync.Mutex
	all map[sum]*flight[V]
}

type flight[V any] struct {
	done  chan struct{} // closed when the rest is set
	value V
	err   error
	over  bool // the first one left before there was an answer
}

// do returns call's answer, or that of another call by the same key that is
// under way. If that one's caller leaves, or panics, another makes the call. The
// error is ctx's if ctx ends first. call must fail with ctx's error only if ctx is
// over.
func (f *flights[V]) do(ctx context.Context, key sum, call func(context.Context) (V, error)) (v V, shared bool, err error) {
	for {
		f.mu.Lock()
		fl := f.all[key]
		if fl == nil {
			fl = &flight[V]{done: make(chan struct{}), over: true}
			if f.all == nil {
				f.all = make(map[sum]*flight[V])
			}
			f.all[key] = fl
			f.mu.Unlock()
			v, err = f.lead(ctx, key, fl, call)
			return v, false, err
		}
		f.mu.Unlock()
		select {
		case <-fl.done:
			if !fl.over {
				return fl.value, true, fl.err
			}
		case <-ctx.Done():
			return v, true, ctx.Err()
		}
	}
}

// lead makes the call of a flight, and lets the others know however it ends.
func (f *flights[V]) lead(ctx context.Context, key sum, fl *flight[V], call func(context.Context) (V, error)) (V, error) {
	defer func() {
		f.mu.Lock()
		delete(f.all, key)
		f.mu.Unlock()
		close(fl.done)
	}()
	fl.value, fl.err = call(ctx)
	fl.over = fl.err != nil && ctx.Err() != nil
	return fl.value, fl.err
}
