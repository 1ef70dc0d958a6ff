package health

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// requestLag is how long a connection that was there when the listener closed may
// take to send its request. Browsers open some in advance and send nothing.
const requestLag = time.Second

// connections knows which of a server's connections have a request, or are new
// and may send one any moment. The zero value is ready.
type connections struct {
	mu    sync.Mutex
	busy  map[net.Conn]http.ConnState
	quiet chan struct{} // closed when busy is empty; nil if nobody waits
}

// track is called with what an http.Server's ConnState is.
func (c *connections) track(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateActive:
		if c.busy == nil {
			c.busy = make(map[net.Conn]http.ConnState)
		}
		c.busy[conn] = state
		return
	}
	delete(c.busy, conn)
	if len(c.busy) == 0 && c.quiet != nil {
		close(c.quiet)
		c.quiet = nil
	}
}

// anyBusy reports whether a connection has a request, or is new.
func (c *connections) anyBusy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.busy) > 0
}

// waitQuiet returns when no connection is busy, or when ctx ends or most has
// passed; then it closes those that sent no request yet, which Server.Shutdown
// would give 5 s. Only one call may wait at a time.
func (c *connections) waitQuiet(ctx context.Context, most time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	c.mu.Lock()
	if len(c.busy) == 0 {
		c.mu.Unlock()
		return
	}
	quiet := make(chan struct{})
	c.quiet = quiet
	c.mu.Unlock()
	select {
	case <-quiet:
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		for conn, state := range c.busy {
			if state == http.StateNew {
				_ = conn.Close() // its goroutine tells track
			}
		}
	}
}
