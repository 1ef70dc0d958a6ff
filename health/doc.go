// Package health answers the three questions an orchestrator asks a process:
// has it started, may it get traffic, must it be restarted.
//
//	h, err := health.New(health.Config{
//		Startup:   []health.Check{{Name: "model", Func: loadAndWarmUp}},
//		Readiness: []health.Check{{Name: "gpu", Func: gpuAnswers}},
//		Dependencies: []health.Dependency{{Name: "redis", Func: redisAnswers}},
//	})
//	mux.Handle("/readyz", h.ReadyHandler()) // and /livez, /startupz, /health
//	err = health.Serve(ctx, h, health.ServeConfig{Servers: []health.Server{{Listener: l, HTTP: server}}})
//
// Checks run in the background and publish a snapshot. A probe reads that
// snapshot: it does no I/O, takes no lock and allocates nothing, so that a
// thousand probes a second cost a check nothing, and a check that hangs never
// makes a probe hang.
//
// # What it decides
//
//   - Started: every startup check has passed once. From then on always.
//   - Ready: started, not draining, no Fatal, and every readiness check passes,
//     by its Rise and Fall, with a result that is fresh. One older than the check's
//     Interval + Timeout + 1 s counts as a failure: it says that checking itself
//     has stopped, and nobody knows.
//   - Live: nobody called [Health.Fatal], and no [LivenessCheck] has failed Fall
//     times in a row. It never comes back: what is beyond cure waits for its
//     restart, as with a poisoned CUDA context.
//
// A [Dependency] that is down decides none of these. A Redis that is away is not
// cured by restarting its clients, and if they all left, the load balancer had
// nowhere to send what they can do without it: an outage of an inconvenience. So
// dependencies have a type of their own, which does not fit Config.Liveness, and
// make the replica degraded: ready, and saying that it is not well.
//
// # States
//
// The first row that applies. Only the last three come and go.
//
//	state      when                                          Ready  Live  HTTP
//	unhealthy  Fatal was called, or a watchdog failed        no     no    503
//	draining   Drain or Close was called                     no     yes   503
//	starting   a startup check has not passed yet            no     yes   503
//	unhealthy  a readiness check fails, is new or stale      no     yes   503
//	degraded   a dependency is down, is new or stale         yes    yes   200
//	healthy    else                                          yes    yes   200
//
// # Endpoints
//
//	path       handler            200 when   status
//	/health    Handler            ready      healthy, degraded; starting, unhealthy, draining
//	/readyz    ReadyHandler       ready      likewise
//	/startupz  StartupHandler     started    healthy; starting
//	/livez     LiveHandler        live       healthy; unhealthy
//
// An answer is {"status":"…"}, or with Accept: application/health+json
// (draft-inadarei-api-health-check) pass, warn or fail in its place. It names no
// check and no error, so that the endpoints may face clients. Whom Config.Verbose
// lets see more may ask as of a Kubernetes API server:
//
//	$ curl 'localhost:8080/readyz?verbose&exclude=disk'
//	[+]model ok
//	[+]disk excluded: ok
//	[-]redis degraded: dial tcp 10.1.2.3:6379: connect: connection refused
//	readyz check passed, degraded
//
// The details are in [Health.Stats], too, and in the errors of [Health.State], for
// logs; healthprom makes Prometheus series of them, and healthgrpc answers gRPC
// health checks from the same Health. The handlers need none of the middlewares
// of this module: mount them outside the chain, so that probes are neither limited
// nor logged.
//
// In Kubernetes:
//
//	startupProbe:   {httpGet: {path: /startupz, port: 8080}, periodSeconds: 2, failureThreshold: 150}
//	livenessProbe:  {httpGet: {path: /livez, port: 8080}}
//	readinessProbe: {httpGet: {path: /readyz, port: 8080}, periodSeconds: 5}
//
// Never point livenessProbe at /health or /readyz: a process that drains, or
// waits for a dependency, would be killed. Until startupProbe has passed
// Kubernetes does not ask livenessProbe; a process that finds itself beyond
// cure that early should exit instead of calling Fatal.
//
// # Shutting down
//
// Load balancers notice only after a while that a replica is not ready. In that
// time requests still arrive, and they are served. [Serve] runs servers and then
// ends them so; by hand it is
//
//	h.Drain(ctx)         // not ready from here on; waits DrainDelay; still serving
//	server.Shutdown(ctx) // stops accepting, finishes what is in flight
//	h.Close(ctx)         // ends the checks
//
// Liveness stays good throughout. In Kubernetes, a preStop hook + DrainDelay +
// the slowest request must fit into terminationGracePeriodSeconds, which Serve
// checks when it starts. Streams that outlast that watch [Health.Draining] to end
// in their own time, and their context, whose cause [ErrDraining] says that it is
// time for last words: an SSE handler sends an error event then and returns, so
// that no client takes the half for the whole.
//
// # Concurrency
//
// Every method may be called from any goroutine at any time. [New] starts one
// goroutine for each check, each run of a check has another, and one more calls
// Config.OnStateChange if that is set. All of them belong to the Health, and
// [Health.Close] waits for them. A check runs single-flight: one that ignores
// its context and hangs is not started again, so it costs one goroutine however
// long it hangs. Time is monotonic: setting the clock changes nothing.
//
// # What it does not do
//
// It elects no leader, knows no other replica and restarts nothing. It has no
// check of its own for databases or brokers: a Func is a line of the caller's
// own client.
package health
