// Package health answers the three questions an orchestrator asks a process:
// has it started, may it get traffic, must it be restarted.
//
//	h, err := health.New(health.Config{
//		Startup:   []health.Check{{Name: "model", Func: loadAndWarmUp}},
//		Readiness: []health.Check{{Name: "gpu", Func: gpuAnswers}},
//	})
//	mux.Handle("/readyz", h.ReadyHandler()) // and /livez, /startupz, /health
//	defer h.Close(context.Background())
//
// Checks run in the background and publish a snapshot. A probe reads that
// snapshot: it does no I/O, takes no lock and allocates nothing, so that a
// thousand probes a second cost a check nothing, and a check that hangs never
// makes a probe hang.
//
// # What it decides
//
//   - Started: every startup check has passed once. From then on always.
//   - Ready: started, not draining, no Fatal, and the latest result of every
//     readiness check is a pass and fresh. A result older than the check's
//     Interval + Timeout + 1 s counts as a failure: it says that checking
//     itself has stopped, and nobody knows.
//   - Live: nobody called [Health.Fatal]. That is all, on purpose: Config has
//     no list of liveness checks. A dependency that is down is not cured by
//     restarting the process, and restarting a whole fleet because a database
//     is away makes an outage of an inconvenience. Fatal is for what only a
//     restart cures, such as a poisoned CUDA context.
//
// # Endpoints
//
//	path       handler            200 {"status":"healthy"} when   503 otherwise, with status
//	/health    Handler            ready                           starting, unhealthy, draining
//	/readyz    ReadyHandler       ready                           starting, unhealthy, draining
//	/startupz  StartupHandler     started                         starting
//	/livez     LiveHandler        live                            unhealthy
//
// An answer names no check and no error, so that the endpoints may face
// clients; the details are in [Health.Stats] and in the errors of
// [Health.Ready], for logs. The handlers need none of the middlewares of this
// module: mount them outside the chain, so that probes are neither limited nor
// logged.
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
// Load balancers notice only after a while that a replica is not ready. In
// that time requests still arrive, and they are served:
//
//	h.Drain(ctx)      // not ready from here on; waits DrainDelay; still serving
//	server.Shutdown(ctx) // stops accepting, finishes what is in flight
//	h.Close(ctx)      // ends the checks
//
// Liveness stays good throughout. In Kubernetes, a preStop hook + DrainDelay +
// the slowest request must fit into terminationGracePeriodSeconds.
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
