package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	defaultShutdownTimeout = 15 * time.Second
	defaultGracePeriod     = 30 * time.Second // of Kubernetes
	defaultCloseTimeout    = 2 * time.Second
)

// ServeConfig says what Serve runs, and how long its end may take: PreStop +
// Config.DrainDelay + ShutdownTimeout + CloseTimeout must be less than
// GracePeriod, or the orchestrator kills the process in the midst of it.
type ServeConfig struct {
	// Servers are run side by side and ended side by side. At least one.
	Servers []Server

	// ShutdownTimeout is how long requests in flight may take once the drain
	// delay is over. Zero means 15 s; else 1 ms to 24 h.
	ShutdownTimeout time.Duration

	// PreStop is how long the orchestrator's own hook takes before it sends the
	// signal: Kubernetes counts it against the grace period. Zero means none.
	PreStop time.Duration

	// GracePeriod is when the orchestrator kills the process, counted from
	// where PreStop begins: Kubernetes' terminationGracePeriodSeconds. Zero
	// means 30 s, Kubernetes' default; negative means that nobody does.
	GracePeriod time.Duration

	// Close is called at the end, one after the other, whatever those before did:
	// batchers, clients, then what flushes logs and traces. A panic is an error
	// there. Each gets an equal part of what is left of CloseTimeout, and so does
	// Health.Close, which comes first: one that hangs leaves time to those after
	// it. One that does not heed its ctx is left behind, running.
	Close []func(ctx context.Context) error

	// CloseTimeout is for all of them together. A gRPC server whose handlers
	// heed nothing takes a quarter of it, at most 1 s. Zero means 2 s; else 1 ms
	// to 24 h.
	CloseTimeout time.Duration

	_ struct{}
}

// Server is a server and what it listens on. Exactly one of HTTP and GRPC is set.
type Server struct {
	// Listener is closed by Serve. Required.
	Listener net.Listener

	// HTTP is served with TLS, and HTTP/2, if its TLSConfig has a certificate or
	// a way to get one. Serve puts its own around Handler, ConnState and
	// BaseContext. Connections that a handler hijacked are the handler's to end:
	// Health.Draining and the request's context say when.
	HTTP *http.Server

	// GRPC is a *grpc.Server, or what stops as one.
	GRPC GracefulServer

	_ struct{}
}

// GracefulServer is what a *grpc.Server is. GracefulStop refuses what is new and
// waits for what is in flight; Stop cuts that, and makes GracefulStop return.
type GracefulServer interface {
	Serve(net.Listener) error
	GracefulStop()
	Stop()
}

// check returns c with its defaults filled in, or all that is wrong with it.
func (c ServeConfig) check(h *Health) (ServeConfig, error) {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("health: ServeConfig."+format, args...))
	}
	if len(c.Servers) == 0 {
		bad("Servers: is empty")
	}
	for i, s := range c.Servers {
		if s.Listener == nil {
			bad("Servers[%d].Listener: is nil", i)
		}
		if (s.HTTP == nil) == (s.GRPC == nil) {
			bad("Servers[%d]: exactly one of HTTP and GRPC must be set", i)
		}
	}
	for i, f := range c.Close {
		if f == nil {
			bad("Close[%d]: is nil", i)
		}
	}
	var err error
	if c.ShutdownTimeout, err = orDefault(c.ShutdownTimeout, defaultShutdownTimeout); err != nil {
		bad("ShutdownTimeout: %w", err)
	}
	if c.CloseTimeout, err = orDefault(c.CloseTimeout, defaultCloseTimeout); err != nil {
		bad("CloseTimeout: %w", err)
	}
	if c.PreStop < 0 || c.PreStop > maxDuration {
		bad("PreStop: %v is not between 0 and %v", c.PreStop, maxDuration)
	}
	if c.GracePeriod == 0 {
		c.GracePeriod = defaultGracePeriod
	}
	delay := max(h.drainDelay, 0)
	if total := c.PreStop + delay + c.ShutdownTimeout + c.CloseTimeout; errs == nil && c.GracePeriod > 0 && total >= c.GracePeriod {
		bad("GracePeriod: %v is not above PreStop %v + Config.DrainDelay %v + ShutdownTimeout %v + CloseTimeout %v = %v",
			c.GracePeriod, c.PreStop, delay, c.ShutdownTimeout, c.CloseTimeout, total)
	}
	return c, errors.Join(errs...)
}
