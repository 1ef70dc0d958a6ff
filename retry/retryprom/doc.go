// Package retryprom shows Prometheus what package retry does: how many attempts
// there are besides the first, what they are good for, why calls are given up, how
// much of a budget is left, and what hedging adds.
//
//	registry.MustRegister(
//		retryprom.NewCollector("payments", retrier),
//		retryprom.NewBudgetCollector("payments", retrier.Budget()),
//		retryprom.NewHedgeCollector("search", hedger),
//	)
//
// # Series of NewCollector
//
// Each has the label retrier, which is the name given to NewCollector, and the
// one in braces.
//
//	retry_retries_total                  counter  attempts after the first of a call
//	retry_recovered_calls_total          counter  calls that succeeded after a failed attempt
//	retry_given_up_calls_total{reason}   counter  calls that failed and were not tried again; see below
//
// reason is one of
//
//	exhausted     the attempts, or the schedule, were used up: ErrExhausted
//	over_budget   ErrBudget
//	out_of_time   the next attempt would have been past the deadline, or the context ended in a wait
//	permanent     the error was not one to retry, after the first attempt or later
//	nested        the call served a retry already: ErrNested
//
// Calls that succeed at once are not counted, so that they cost nothing; what
// counts requests or budgets knows them.
//
// # Series of NewBudgetCollector
//
// Each has the label budget, which is the name given, and the one in braces.
//
//	retry_budget_attempts_total{outcome}   counter  retries and hedges that were asked for: allowed, denied
//	retry_budget_tokens                    gauge    retries and hedges that could be made at once
//	retry_budget_tokens_limit              gauge    BudgetConfig.Floor
//
// # Series of NewHedgeCollector
//
// Each has the label hedger, which is the name given.
//
//	retry_hedge_calls_total         counter  calls of Hedge
//	retry_hedge_attempts_total      counter  attempts besides the first of a call
//	retry_hedge_wins_total          counter  calls that such an attempt answered
//	retry_hedge_over_budget_total   counter  attempts that were not made for want of budget
//	retry_hedge_panics_total        counter  losers, and calls of discard for them, that panicked: nobody else hears of them
//	retry_hedge_running_attempts    gauge    losers that have not returned yet, though their call is over
//	retry_hedge_delay_seconds       gauge    time until the second attempt, 0 while too little is known
//
// There are 7 series of a retrier, 4 of a budget and 7 of a hedger, whatever its
// configuration.
//
// # Queries
//
// How many retries a second there are:
//
//	rate(retry_retries_total[5m])
//
// How many calls a retry saves, of those that needed one, 0 to 1:
//
//	rate(retry_recovered_calls_total[5m]) / (rate(retry_recovered_calls_total[5m]) + sum without (reason) (rate(retry_given_up_calls_total{reason!="permanent"}[5m])))
//
// Why calls are given up:
//
//	sum by (retrier, reason) (rate(retry_given_up_calls_total[5m]))
//
// How much of a budget is used up, 0 to 1:
//
//	1 - retry_budget_tokens / retry_budget_tokens_limit
//
// How many of the retries and hedges a budget does not allow, 0 to 1:
//
//	sum without (outcome) (rate(retry_budget_attempts_total{outcome="denied"}[5m])) / sum without (outcome) (rate(retry_budget_attempts_total[5m]))
//
// How much load hedging adds, and how many of the calls it answers, 0 to 1:
//
//	rate(retry_hedge_attempts_total[5m]) / rate(retry_hedge_calls_total[5m])
//	rate(retry_hedge_wins_total[5m]) / rate(retry_hedge_calls_total[5m])
//
// # Alerts
//
// A budget that says no has kept retries from making an outage worse, and calls
// fail. Attempts that do not return hold memory and connections:
//
//	groups:
//	  - name: retry
//	    rules:
//	      - alert: RetryBudgetSpent
//	        expr: rate(retry_budget_attempts_total{outcome="denied"}[5m]) > 0
//	        for: 5m
//	        annotations:
//	          summary: 'Calls fail that {{ $labels.budget }} leaves no room to repeat.'
//	      - alert: RetriesInVain
//	        expr: sum without (reason) (rate(retry_given_up_calls_total{reason="exhausted"}[15m])) > rate(retry_recovered_calls_total[15m])
//	        for: 15m
//	        annotations:
//	          summary: 'Most retries of {{ $labels.retrier }} fail: what it calls is broken, and wants a breaker.'
//	      - alert: HedgesHang
//	        expr: min_over_time(retry_hedge_running_attempts[15m]) > 0
//	        for: 15m
//	        annotations:
//	          summary: 'Attempts of {{ $labels.hedger }} do not heed the end of their context.'
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot.
//
// # What it does not do
//
// It has no series by attempt, error or host: attempts are few, and what can be
// anything must not size anything. A budget that is shared has one collector, and
// does not say who spent it; the retries of each who shares it do.
package retryprom
