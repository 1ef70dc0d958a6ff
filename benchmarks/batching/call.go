package batchbench

import "sync"

// A call is an item on its way through a peer that passes pointers.
type call struct {
	item   Item
	answer uint64
	done   chan struct{} // capacity 1
}

// callPool recycles calls, so that no peer pays for a channel an item. These
// peers have no cancellation: whoever waits gets an answer, and nobody else
// holds the call then.
type callPool struct{ pool sync.Pool }

func newCallPool() *callPool {
	return &callPool{sync.Pool{New: func() any { return &call{done: make(chan struct{}, 1)} }}}
}

func (p *callPool) get(it Item) *call {
	c := p.pool.Get().(*call)
	c.item = it
	return c
}

func (p *callPool) put(c *call) { p.pool.Put(c) }

// wait returns c's answer when it is there, and recycles c.
func (p *callPool) wait(c *call) uint64 {
	<-c.done
	got := c.answer
	p.pool.Put(c)
	return got
}

func totalCost(batch []*call) int {
	cost := 0
	for _, c := range batch {
		cost += c.item.Cost
	}
	return cost
}

func answer(batch []*call) {
	for _, c := range batch {
		c.answer = c.item.Answer()
		c.done <- struct{}{}
	}
}
