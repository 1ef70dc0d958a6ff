// Package healthprom shows Prometheus how a [health.Health] is, and how each of
// its checks does.
//
//	registry.MustRegister(healthprom.NewCollector(h))
//
// # Series
//
//	health_state{state}                        gauge    1 for the state it is in, else 0: starting, healthy, degraded, unhealthy, draining
//	health_live                                gauge    1 unless Fatal was called or a watchdog failed, else 0
//	health_started                             gauge    1 once startup has passed, else 0
//	health_ready                               gauge    1 if the process should get traffic, else 0
//	health_check_ok{check,kind}                gauge    1 if the check passes, by Rise and Fall, and is fresh, else 0
//	health_check_hung{check,kind}              gauge    1 while a run goes on 1 s or more after its timeout, else 0
//	health_check_duration_seconds{check,kind}  gauge    how long the last run took; not there before the first
//	health_check_runs_total{check,kind}        counter  runs that have ended or timed out
//	health_check_failures_total{check,kind}    counter  those of them that did not pass
//
// check is its Name; kind is startup, readiness, dependency or liveness. There are
// 8 series, and 5 for each check of [health.Config]: at most 256 checks, whatever
// clients do.
//
// A duration is that of the last run and no histogram: checks run seldom, and
// what matters is how near it is to the timeout.
//
// # Alerts
//
//	groups:
//	- name: health
//	  rules:
//	  - alert: DependencyDown
//	    expr: min by (check) (health_check_ok{kind="dependency"}) == 0
//	    for: 5m
//	  - alert: CheckHangs
//	    expr: health_check_hung == 1
//	    for: 5m
//
// # Concurrency
//
// A scrape calls Stats once, which takes no lock and runs no check. Nothing here
// starts a goroutine.
package healthprom
