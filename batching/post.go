package batching

import "sync/atomic"

// post signals to callers on a goroutine of its own. Waking a caller takes
// about a microsecond; when the next batch is full already, the device should
// not stand still for 32 of them. Measured with 1,000 callers of a device that
// takes 264 µs for 32 items, that gains a twelfth.
type post[Out any] struct {
	top    atomic.Pointer[reply[Out]] // a stack, linked by below
	wake   chan struct{}              // capacity 1: there is something
	stop   chan struct{}              // closed when all instances have ended
	closed atomic.Bool
}

// postFrom is the size of a batch whose callers the post wakes. For fewer it
// saves nothing.
const postFrom = 8

// signal tells r's caller that the outcome is there, now if p is nil, else
// soon. It never blocks.
func (p *post[Out]) signal(r *reply[Out]) {
	if p == nil {
		r.signal()
		return
	}
	for {
		top := p.top.Load()
		r.below = top
		if !p.top.CompareAndSwap(top, r) {
			continue
		}
		if top == nil {
			select {
			case p.wake <- struct{}{}:
			default:
			}
		}
		if p.closed.Load() {
			p.deliver() // an answer from a goroutine that outlived its run by an instant
		}
		return
	}
}

// serve delivers until stop.
func (p *post[Out]) serve() {
	for {
		select {
		case <-p.wake:
			p.deliver()
		case <-p.stop:
			p.closed.Store(true)
			p.deliver() // after that whoever comes does so itself
			return
		}
	}
}

// deliver signals to all that are there, the first first.
func (p *post[Out]) deliver() {
	var first *reply[Out]
	for r := p.top.Swap(nil); r != nil; {
		r, r.below, first = r.below, first, r
	}
	for r := first; r != nil; {
		next := r.below // read before r is its caller's again
		r.below = nil
		r.signal()
		r = next
	}
}
