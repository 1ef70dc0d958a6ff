package breaker

import "errors"

// ForceOpen turns every call away, until [Breaker.Reset] or
// [Breaker.ForceClosed].
func (b *Breaker) ForceOpen() {
	b.mu.Lock()
	defer b.unlock()
	b.part(forever)
	b.enterState(ForcedOpen)
}

// ForceClosed lets every call through, whatever becomes of it, until
// [Breaker.Reset] or [Breaker.ForceOpen]. Outcomes are counted.
func (b *Breaker) ForceClosed() {
	b.mu.Lock()
	defer b.unlock()
	b.part(0)
	b.enterState(ForcedClosed)
	b.refill()
}

// Reset closes the breaker, with an empty window. Calls that are being made do
// not count any more.
func (b *Breaker) Reset() {
	b.mu.Lock()
	defer b.unlock()
	b.part(0)
	b.machine.level = 0
	b.machine.closedAt = b.now()
	b.enterState(Closed)
	b.refill()
}

// Reconfigure changes what the breaker goes by from now on, or returns all that is
// wrong with cfg and changes nothing. The state stays, the window if its length
// does, and an open time as it is. The name cannot change: leave it out.
func (b *Breaker) Reconfigure(cfg Config) error {
	full, err := cfg.withDefaults()
	if cfg.Name != "" && cfg.Name != b.name {
		err = errors.Join(err, errors.New("breaker: Config.Name cannot change"))
	}
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.unlock()
	full.Name = b.name
	old := b.cfg.Swap(full)
	if old.Window != full.Window {
		b.forget()
		b.newest = b.window.number(b.now())
	}
	if s := b.machine.state; s == HalfOpen || s == ForcedOpen {
		b.longest.Store(int64(full.OpenFor))
	}
	if b.slab.Load() != nil {
		b.refill()
	}
	return nil
}

// A change is one of state.
type change struct{ from, to State }

// changes are those that are not told yet.
type changes struct {
	queue   []change
	telling bool // some goroutine does
}

// enterState changes the state. b.mu is held.
func (b *Breaker) enterState(to State) {
	from := b.machine.state
	b.machine.state = to
	if from != to && b.cfg.Load().OnStateChange != nil {
		b.changes.queue = append(b.changes.queue, change{from, to})
	}
}

// unlock unlocks b.mu and tells what has changed.
func (b *Breaker) unlock() {
	mine := len(b.changes.queue) > 0 && !b.changes.telling
	if mine {
		b.changes.telling = true
	}
	b.mu.Unlock()
	if mine {
		b.tell()
	}
}

// tell tells all changes in their order. If OnStateChange panics, the next one to
// change something tells the rest.
func (b *Breaker) tell() {
	told := false
	defer func() {
		if !told {
			b.mu.Lock()
			b.changes.telling = false
			b.mu.Unlock()
		}
	}()
	for {
		b.mu.Lock()
		if len(b.changes.queue) == 0 {
			b.changes.telling, told = false, true
			b.mu.Unlock()
			return
		}
		next := b.changes.queue[0]
		b.changes.queue = b.changes.queue[1:]
		f := b.cfg.Load().OnStateChange
		b.mu.Unlock()
		if f != nil {
			f(next.from, next.to)
		}
	}
}
