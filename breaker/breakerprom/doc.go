// Package breakerprom shows Prometheus what circuit breakers of package breaker
// do: which state each is in, what it has seen of the calls, and how many it has
// turned away.
//
//	registry.MustRegister(
//		breakerprom.NewCollector(payments),
//		breakerprom.NewGroupCollector("models", byModel),
//	)
//
// # Series
//
// Each has the labels breaker and key, and the one in braces. breaker is
// [breaker.Config].Name, or the name given to NewGroupCollector. key says which
// breaker of a group it is; it is "" for the one that a group's keys share for
// want of room, and for a breaker of no group, and Prometheus takes "" for none.
//
//	breaker_state{state}            gauge    1 for the state it is in, else 0: closed, open, half_open, recovering, forced_open, forced_closed
//	breaker_calls_total{outcome}    counter  outcomes that were reported; see below
//	breaker_slow_calls_total        counter  of those, successes and failures that took SlowAfter or longer
//	breaker_rejected_total          counter  calls that were not let through
//	breaker_opened_total            counter  how often it opened, ForceOpen aside
//	breaker_expired_probes_total    counter  probes that did not report within ProbeTTL
//	breaker_window_calls            gauge    successes and failures in the window
//	breaker_window_failure_ratio    gauge    how many of them are failures, 0 to 1
//	breaker_window_slow_ratio       gauge    how many of them are slow, 0 to 1
//	breaker_retry_after_seconds     gauge    time until a call may be let through, 0 if one may be now, or nobody knows
//	breaker_share_ratio             gauge    how much of the calls is let through, about: 1 closed, 0 open, in between while it recovers
//
// outcome is one of
//
//	success   what was called works
//	failure   it does not
//	ignored   says nothing, such as a call that its caller canceled
//	late      came from before the last opening, or from a probe that had expired, and counts for nothing
//
// A breaker has 19 series. A group has 19 for each breaker there is at the time,
// so at most 19·(Max+1), of which 19 are those without a key: 19,475 where Max is
// 1024, as it is by default. Set a Max that Prometheus can bear. What made room for
// another key takes its series along; if it comes back, its counters begin at 0, as
// after a restart.
//
// # Queries
//
// Which breakers are not closed, and what they are:
//
//	breaker_state{state!="closed"} == 1
//
// How many of a group's are open:
//
//	sum by (breaker) (breaker_state{state="open"})
//
// How many of the calls are turned away, 0 to 1:
//
//	rate(breaker_rejected_total[5m]) / (rate(breaker_rejected_total[5m]) + sum without (outcome) (rate(breaker_calls_total[5m])))
//
// How many of the calls fail, 0 to 1:
//
//	sum without (outcome) (rate(breaker_calls_total{outcome="failure"}[5m])) / sum without (outcome) (rate(breaker_calls_total{outcome=~"success|failure"}[5m]))
//
// Whether a group's Max is too small, so that keys share a breaker:
//
//	sum by (breaker) (rate(breaker_calls_total{breaker="models",key=""}[5m])) > 0
//
// # Alerts
//
// A breaker that opens and closes again has done its work; what wants somebody's
// eyes is one that does not get out of it:
//
//	groups:
//	  - name: breaker
//	    rules:
//	      - alert: BreakerNotClosed
//	        expr: sum without (state) (breaker_state{state=~"open|half_open|recovering"}) == 1
//	        for: 5m
//	        annotations:
//	          summary: 'What {{ $labels.breaker }}{{ with $labels.key }}/{{ . }}{{ end }} calls is broken.'
//	      - alert: BreakerFlaps
//	        expr: increase(breaker_opened_total[30m]) >= 5
//	        annotations:
//	          summary: '{{ $labels.breaker }}{{ with $labels.key }}/{{ . }}{{ end }} opens again and again: what it calls cannot take the load.'
//	      - alert: BreakerForced
//	        expr: breaker_state{state=~"forced_open|forced_closed"} == 1
//	        for: 1h
//	        annotations:
//	          summary: 'Somebody has left {{ $labels.breaker }}{{ with $labels.key }}/{{ . }}{{ end }} {{ $labels.state }}.'
//	      - alert: BreakerProbesExpire
//	        expr: increase(breaker_expired_probes_total[30m]) >= 3
//	        annotations:
//	          summary: 'Probes of {{ $labels.breaker }}{{ with $labels.key }}/{{ . }}{{ end }} do not report: ProbeTTL is too short, or a Permit is not Done.'
//
// The first looks at three states, because an open breaker looks half open or
// recovering at some scrapes, whenever it tries again.
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot of
// each breaker.
//
// # What it does not do
//
// It keeps no time of when a state began: Prometheus has that. It does not count
// by error or by status: metrics does for servers, and for clients the place to
// do so is where the error is known.
//
// Names of breakers and groups are the program's, keys may be a client's. A key is
// cut and cleaned before it is a label, and the group's Max bounds how many there
// are at a time; but Prometheus keeps what it has seen, and a client that makes up
// keys makes up series. Give a group keys that are known, such as the models that
// there are.
package breakerprom
