package breakbench

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"
)

var errBackend = errors.New("backend: failed")

// A backend is one server with a queue. It does not know that a caller has given
// up, and so wastes its time on calls that nobody waits for any more: that is
// what makes a recovery fail.
type backend struct {
	mu   sync.Mutex
	rand *rand.Rand
	rate float64       // calls a second that it bears
	busy time.Duration // until when, as things stand
}

// serve returns how long a call takes that arrives now, and how it ends.
func (b *backend) serve(now time.Duration, h health) (time.Duration, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	luck, length := b.rand.Float64(), b.rand.Float64()
	if luck < h.fails {
		if h.fails == 1 {
			b.busy = now // it is down, and its queue gone
		}
		if h.hangs {
			return timeout, context.DeadlineExceeded
		}
		return refused, errBackend
	}
	b.busy = max(b.busy, now)
	if b.busy-now > backlog {
		return refused, errBackend
	}
	wait := b.busy - now
	b.busy += time.Duration(float64(time.Second) / (b.rate * or1(h.capacity)))
	took := wait + time.Duration(float64(service)*or1(h.slower)*(1+spread*(2*length-1)))
	if took > timeout {
		return timeout, context.DeadlineExceeded
	}
	return took, nil
}

func or1(v float64) float64 {
	if v == 0 {
		return 1
	}
	return v
}
