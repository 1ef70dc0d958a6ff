package main

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"github.com/ballast-go/ballast/ratelimit"
)

// A call is a request for a completion, from what it reserves to what it was.
// One goroutine at a time has it: net/http/httputil's proxy starts none.
type call struct {
	*prompt
	gateway  *gateway
	client   context.Context
	status   int             // of the upstream's answer; 0 before
	reserved int             // what was charged up to now
	extend   func(int) error // charges more; nil before the call is made

	// What it was up to now, in tokens: by the upstream's usage, and counted
	// behind that or without any.
	input, cached, output int
	exact                 bool // there was a usage
	limited               bool // it was ended because it may have no more
	unread                bool // its answer is too long for its usage to be read
}

func (g *gateway) newCall(r *http.Request, p *prompt) *call {
	return &call{prompt: p, gateway: g, client: r.Context(), input: p.tokens}
}

// estimate is what the call is charged beforehand: the prompt, and as much
// output as it may have.
func (c *call) estimate() int {
	c.reserved = c.cost(c.maxOutput)
	if c.maxOutput == 0 {
		c.reserved = c.cost(times(c.choices, c.gateway.cfg.defaultOutput))
	}
	return c.reserved
}

func (c *call) cost(output int) int {
	return c.gateway.cfg.weights.Cost(c.input, c.cached, output)
}

type callKey struct{}

// metered returns r as it is sent upstream. What its answer needs beyond the
// estimate is asked of extend, meanwhile.
func (c *call) metered(r *http.Request, extend func(int) error) *http.Request {
	c.extend = extend
	r = r.WithContext(context.WithValue(r.Context(), callKey{}, c))
	c.send(r)
	return r
}

// extendBy is how much output is asked for at a time, so that not every chunk
// asks. It is what a call that is out of tokens may leave unused.
const extendBy = 64

// mayHave charges what the output is beyond what was charged before. No means
// no, whether the limit or the limiter says so.
func (c *call) mayHave(output int) bool {
	if c.cost(output) <= c.reserved {
		return true
	}
	more := c.cost(output+extendBy) - c.reserved
	if err := c.extend(more); err != nil {
		if !errors.Is(err, ratelimit.ErrLimited) {
			c.gateway.log.WarnContext(c.client, "a stream was ended: its reservation cannot grow", "error", err)
		}
		c.limited = true
		return false
	}
	c.reserved += more
	return true
}

// settle charges what the call was instead of what was estimated. It is
// deferred, and so happens on every way out.
func (c *call) settle(commit func(int) error, cancel func() error) {
	how, err := "cancelled", error(nil)
	switch {
	case c.status >= 200 && c.status < 300:
		switch how = "counted"; {
		case c.limited:
			how = "limited"
		case c.exact:
			how = "usage"
		}
		c.gateway.counters.add(c)
		err = commit(c.cost(c.output))
	case c.status >= 400 && c.status < 500:
		// The upstream did nothing, but the request was one.
		how = "refused"
		err = commit(0)
	case c.client.Err() != nil && c.stream:
		how = "abandoned"
		err = commit(c.cost(0))
	case c.client.Err() != nil, c.unread:
		// How far the upstream got nobody knows: to give back what might have
		// been used would make it free for who leaves in time, or asks for an
		// answer that nobody reads.
		how = "abandoned"
		err = commit(c.reserved)
	default:
		err = cancel()
	}
	c.gateway.counters.settled.WithLabelValues(how).Inc()
	if err != nil {
		c.gateway.log.LogAttrs(c.client, slog.LevelWarn, "a call was not settled", slog.String("how", how), slog.Any("error", err))
	}
}
