package ratelimitredis

import (
	"context"
	"encoding/binary"
	"sync"
	"time"
)

// A batch is the calls of one round trip, and what it takes to make it. Calls
// of one key are one after the other, and of those the equal ones are one run.
type batch struct {
	calls []*call
	index map[string]int // by key, into firsts
	firsts,
	lasts []*call // of each key, by call.sibling
	keys []string
	blob []byte

	// Written under lane.mu, as calls is.
	start  int64 // by Limiter.now
	landed bool  // the calls are being answered

	reply string
	err   error
}

var batches = sync.Pool{New: func() any {
	return &batch{index: make(map[string]int)}
}}

func (b *batch) reset() {
	clear(b.calls)
	clear(b.firsts)
	clear(b.lasts)
	clear(b.keys)
	clear(b.index)
	b.calls, b.firsts, b.lasts, b.keys, b.blob = b.calls[:0], b.firsts[:0], b.lasts[:0], b.keys[:0], b.blob[:0]
	b.reply, b.err, b.landed = "", nil, false
}

// encode groups the calls, and writes what the script reads.
func (b *batch) encode(ln *lane) {
	b.keys = append(b.keys, ln.holders)
	for _, c := range b.calls {
		if i, ok := b.index[c.key]; ok {
			b.lasts[i].sibling, b.lasts[i] = c, c
			continue
		}
		b.index[c.key] = len(b.firsts)
		b.firsts, b.lasts = append(b.firsts, c), append(b.lasts, c)
		b.keys = append(b.keys, ln.prefix+c.key)
	}
	id := ln.lim.id
	b.blob = append(b.blob, byte(len(id)))
	b.blob = append(b.blob, id...)
	b.blob = binary.BigEndian.AppendUint32(b.blob, uint32(holderTTL.Milliseconds()))
	for _, first := range b.firsts {
		at := len(b.blob)
		b.blob = append(b.blob, 0, 0)
		runs := 0
		for c := first; c != nil; runs++ {
			next, count := c.run()
			b.blob = append(b.blob, byte(c.op))
			b.blob = binary.BigEndian.AppendUint16(b.blob, uint16(count))
			b.blob = appendTime(b.blob, c.cost)
			b.blob = appendTime(b.blob, c.room)
			if c.op == opLease {
				b.blob = appendTime(b.blob, c.held)
				b.blob = appendTime(b.blob, c.least)
			}
			c = next
		}
		binary.BigEndian.PutUint16(b.blob[at:], uint16(runs))
	}
}

// run says how many calls from c on are equal to it, and which is the first
// that is not.
func (c *call) run() (next *call, count int) {
	next, count = c.sibling, 1
	if c.op != opAsk {
		return next, 1
	}
	for next != nil && next.op == opAsk && next.cost == c.cost && next.room == c.room {
		next = next.sibling
		count++
	}
	return next, count
}

// trip asks the server. The context's end is no earlier than that of the last
// of the callers; whether a command heeds it is up to the client's options.
func (b *batch) trip(ln *lane) {
	timeout := ln.lim.cfg.Timeout
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	b.reply, b.err = run(ctx, ln.lim.client, b.keys, b.blob)
	took := time.Duration(ln.lim.now() - b.start)
	if b.err == nil && len(b.reply) != headBytes+replyBytes*b.runs() {
		b.err = errReply
	}
	ln.lim.stats.roundTrips.Add(1)
	ln.lim.stats.sent.Add(uint64(len(b.calls)))
	switch {
	case b.err != nil:
		ln.fail()
	case took <= timeout:
		ln.succeed()
	default:
		ln.nextProbe.Store(0) // it does answer: one call may see whether in time
	}
}

func (b *batch) runs() int {
	n := 0
	for _, c := range b.firsts {
		for c != nil {
			c, _ = c.run()
			n++
		}
	}
	return n
}

// answer gives every call its answer. The calls are not the lane's afterwards.
func (b *batch) answer(ln *lane) {
	b.land(ln)
	if b.err != nil {
		err := ln.unavailable(b.err)
		for _, c := range b.calls {
			c.err = err
		}
	} else {
		b.decode(ln)
	}
	// Leases are booked before their keys' callers come back for them.
	for i, c := range b.calls {
		if c.settle != nil {
			c.finish(b.start)
			b.calls[i] = nil
		}
	}
	for _, c := range b.calls {
		if c != nil && c.state != gone {
			c.finish(b.start)
		}
	}
}

// land takes the calls from those who might give up on them.
func (b *batch) land(ln *lane) {
	ln.mu.Lock()
	defer ln.mu.Unlock()
	b.landed = true
	for _, c := range b.calls {
		if c.state != gone {
			c.state = landed
		}
	}
}

// decode reads the reply into the calls.
func (b *batch) decode(ln *lane) {
	ln.lim.holders.Store(int64(binary.BigEndian.Uint32([]byte(b.reply[:headBytes]))))
	rest := b.reply[headBytes:]
	for _, c := range b.firsts {
		for c != nil {
			next, count := c.run()
			taken := readTime(rest)
			through := int(rest[9])<<8 | int(rest[10])
			leased := readTime(rest[11:])
			rest = rest[replyBytes:]
			for i := range count {
				c.taken = taken + time.Duration(min(i, through))*c.cost
				c.ok = i < through
				c.leased = leased
				c = c.sibling
			}
			c = next
		}
	}
}

// finish wakes whoever waits for c.
func (c *call) finish(sent int64) {
	c.sent = sent
	if c.settle != nil {
		c.settle(c)
		c.free()
		return
	}
	c.done <- struct{}{}
}
