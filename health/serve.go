package health

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// Serve runs the servers of c until ctx ends, as on SIGTERM, and then ends them
// so that no request is lost that can be served:
//
//  1. h drains: not ready, and serving what arrives, for Config.DrainDelay.
//     HTTP/1 responses say Connection: close, HTTP/2 connections get a GOAWAY
//     with their next response.
//  2. The listeners are closed. A connection that was accepted has 1 s to send
//     its request. Everything in flight is finished; GRPC servers are told to
//     GracefulStop.
//  3. Shortly before ShutdownTimeout is over (a quarter of it, at most 2 s), the
//     contexts of HTTP requests that are still there end with the cause
//     ErrDraining, for streams to send a last event.
//  4. When it is over, what is left is cut: http.Server.Close, Stop.
//  5. h is closed, then c.Close is called one by one.
//
// It returns nil if nothing was cut and everything closed, else an error that
// joins what went wrong. If a server fails before ctx ends, the others are ended
// in the same way but without a drain delay, and its error is among those
// returned. When c is wrong, nothing has been started or closed.
//
// A second signal should end the process at once; the package example shows how
// main does that. Serve is called once for a Health.
func Serve(ctx context.Context, h *Health, c ServeConfig) error {
	c, err := c.check(h)
	if err != nil {
		return err
	}
	failed := make(chan error, len(c.Servers))
	var all []*running
	for i, one := range c.Servers {
		all = append(all, newRunning(h, one, i))
	}
	for _, r := range all { // not before: an http.Server may be there twice
		go r.serve(failed)
	}

	var errs []error
	select {
	case <-ctx.Done():
	case err := <-failed:
		errs = append(errs, err)
		h.part()
	}
	ctx = context.WithoutCancel(ctx) // from here on there are deadlines of our own
	if errs == nil {
		_ = h.Drain(ctx) // has nothing to fail with
	}
	end := time.Now().Add(c.ShutdownTimeout + c.CloseTimeout)
	errs = append(errs, c.shutdown(ctx, all, func() { h.cut(ErrDraining) }))
	return errors.Join(append(errs, c.close(ctx, h, end))...)
}

// shutdown ends all servers within ShutdownTimeout, and a part of CloseTimeout if
// one hangs.
func (c ServeConfig) shutdown(ctx context.Context, all []*running, cut func()) error {
	ctx, cancel := context.WithTimeout(ctx, c.ShutdownTimeout)
	defer cancel()
	parting := time.AfterFunc(c.ShutdownTimeout-lastWords(c.ShutdownTimeout), cut)
	defer parting.Stop()
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, r := range all {
		wg.Go(func() {
			if err := r.shutdown(ctx, min(time.Second, c.CloseTimeout/4)); err != nil {
				errs[i] = fmt.Errorf("health: serve: %s: %w", r.name, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// lastWords is how long before the cut a stream hears of it.
func lastWords(timeout time.Duration) time.Duration { return min(2*time.Second, timeout/4) }

// close ends the checks, then what they and the requests used. Each gets an equal
// part of the time that is left: a check that hangs must not cost the last logs.
func (c ServeConfig) close(ctx context.Context, h *Health, end time.Time) error {
	if soon := time.Now().Add(c.CloseTimeout); soon.Before(end) {
		end = soon
	}
	part := func(i int) time.Duration { return time.Until(end) / time.Duration(len(c.Close)+1-i) }
	own, cancel := context.WithTimeout(ctx, part(0))
	defer cancel()
	errs := []error{h.Close(own)}
	for i, f := range c.Close {
		if err := bounded(ctx, part(i+1), f); err != nil {
			errs = append(errs, fmt.Errorf("health: serve: Close[%d]: %w", i, err))
		}
	}
	return errors.Join(errs...)
}

// bounded calls f, and leaves it alone when it has not returned in time, by then a
// tenth of that after the end of its context.
func bounded(ctx context.Context, most time.Duration, f func(context.Context) error) error {
	late := time.NewTimer(most)
	defer late.Stop()
	ctx, cancel := context.WithTimeout(ctx, most-most/10)
	outcome := make(chan error, 1)
	go func() {
		defer cancel()
		err := errors.New("ended its goroutine by runtime.Goexit")
		defer func() {
			if v := recover(); v != nil {
				err = panicked(v)
			}
			outcome <- err
		}()
		err = f(ctx)
	}()
	select {
	case err := <-outcome:
		return err
	case <-late.C:
		return fmt.Errorf("still running: %w", context.DeadlineExceeded)
	}
}

// running is a Server at work.
type running struct {
	Server
	name  string
	tls   bool // asked before net/http changes what says so
	conns connections
	ended chan struct{} // closed when Serve of the server has returned
}

func newRunning(h *Health, s Server, i int) *running {
	r := &running{Server: s, name: fmt.Sprintf("server %d on %v", i, s.Listener.Addr()), ended: make(chan struct{})}
	if s.HTTP != nil {
		r.tls = hasCertificate(s.HTTP)
		r.install(h)
	}
	return r
}

// install makes the HTTP server tell what Serve must know and do what Serve says,
// around what is set already.
func (r *running) install(h *Health) {
	s := r.HTTP
	next, connState, baseContext := s.Handler, s.ConnState, s.BaseContext
	if next == nil {
		next = http.DefaultServeMux
	}
	s.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// An upgrade has its own Connection header to send.
		if h.current.Load().draining && r.Header.Get("Upgrade") == "" {
			w.Header().Set("Connection", "close") // for HTTP/2, net/http makes it a GOAWAY
		}
		next.ServeHTTP(w, r)
	})
	s.ConnState = func(conn net.Conn, state http.ConnState) {
		r.conns.track(conn, state)
		if connState != nil {
			connState(conn, state)
		}
	}
	s.BaseContext = func(l net.Listener) context.Context {
		if baseContext == nil {
			return h.base
		}
		ctx, cancel := context.WithCancelCause(baseContext(l))
		context.AfterFunc(h.base, func() { cancel(ErrDraining) })
		return ctx
	}
}

// serve serves until the end, which it reports to failed.
func (r *running) serve(failed chan<- error) {
	defer close(r.ended)
	var err error
	switch {
	case r.HTTP == nil:
		err = r.GRPC.Serve(r.Listener)
	case r.tls:
		err = r.HTTP.ServeTLS(r.Listener, "", "")
	default:
		err = r.HTTP.Serve(r.Listener)
	}
	if err == nil {
		err = errors.New("returned before it was told to")
	}
	failed <- fmt.Errorf("health: serve: %s: %w", r.name, err)
}

// hasCertificate reports whether s has one, or a way to get one.
func hasCertificate(s *http.Server) bool {
	c := s.TLSConfig
	return c != nil && (len(c.Certificates) > 0 || c.GetCertificate != nil || c.GetConfigForClient != nil)
}

// shutdown ends the server, and cuts what is left when ctx ends, which may take
// as long as linger.
func (r *running) shutdown(ctx context.Context, linger time.Duration) error {
	if r.HTTP == nil {
		return r.stop(ctx, linger)
	}
	// Shutdown drops requests that the server has accepted but not read yet. So
	// stop accepting first, and let what is there be read.
	err := r.Listener.Close()
	if errors.Is(err, net.ErrClosed) { // it had failed
		err = nil
	}
	select {
	case <-r.ended:
		r.conns.waitQuiet(ctx, requestLag)
	case <-ctx.Done():
	}
	if cut := r.HTTP.Shutdown(ctx); cut != nil {
		// It looks every half second, and may have missed the end of the last.
		if r.conns.anyBusy() {
			err = errors.Join(err, fmt.Errorf("requests were cut: %w", cut))
		}
		err = errors.Join(err, r.HTTP.Close())
	}
	return err
}

// stop ends a gRPC server. GracefulStop knows no deadline and waits for streams
// for ever; Stop makes it return.
func (r *running) stop(ctx context.Context, linger time.Duration) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.GRPC.GracefulStop()
	}()
	select {
	case <-done:
		select {
		case <-r.ended:
		case <-ctx.Done():
		}
		return nil
	case <-ctx.Done():
	}
	// Stop waits for handlers, too, if grpc.WaitForHandlers says so, or if it finds
	// GracefulStop waiting for them with the lock held, as in older grpc-go.
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		r.GRPC.Stop()
		<-done
	}()
	err := fmt.Errorf("calls were cut: %w", ctx.Err())
	select {
	case <-stopped:
	case <-time.After(linger):
		err = errors.Join(err, errors.New("GracefulStop or Stop still hangs"))
	}
	return err
}
