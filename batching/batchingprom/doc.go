// Package batchingprom shows Prometheus what a [batching.Batcher] does: how
// full its batches are, how long items wait and run, who was turned away and
// why, and how much room is left.
//
//	registry.MustRegister(batchingprom.NewCollector(b))
//
// # Series
//
// Each has the label batcher, which is [batching.Config].Name, and those in
// braces.
//
//	batching_calls_total{outcome}                    counter    calls that are over, each once; see below
//	batching_batches_total{seal}                     counter    batches, by why they took no more: full, idle, linger, deadline, close
//	batching_items_total                             counter    items handed to run
//	batching_padding_items_total                     counter    what was missing to the next of Config.Sizes
//	batching_run_panics_total                        counter    calls of run that panicked
//	batching_run_timeouts_total                      counter    calls of run that took longer than BatchTimeout
//	batching_hook_panics_total                       counter    calls of OnBatch, or of what it returned, that panicked
//	batching_batch_size                              histogram  items a batch
//	batching_queue_wait_seconds                      histogram  from Do to run, of items handed to run
//	batching_run_duration_seconds{max_size}          histogram  of run, by batch size: at most max_size, and above the one before
//	batching_queue_depth                             gauge      items that wait
//	batching_queue_limit                             gauge      items that may wait at most
//	batching_running_items                           gauge      items handed to run that have no outcome yet
//	batching_hung_runs                               gauge      calls of run past BatchTimeout that have not returned
//	batching_saturation_ratio                        gauge      0 to 1, how much of what could be computed is
//	batching_instance_batches_total{index}           counter    calls of run
//	batching_instance_busy_seconds_total{index}      counter    spent in run, up to now
//	batching_instance_busy{index}                    gauge      1 inside run, else 0
//	batching_instance_model_fixed_seconds{index}     gauge      the fitted cost model: what any batch takes,
//	batching_instance_model_unit_seconds{index}      gauge      what each unit adds to it,
//	batching_instance_model_residual_seconds{index}  gauge      and by how much runs miss that; all 0 before the first run
//
// index counts the instances from 0: "instance" is what Prometheus itself
// calls the process. outcome is one of
//
//	answered           got a value
//	failed             got an error of run's: its own, Fail's, a panic, no result
//	timed_out          failed with ErrBatchTimeout
//	cancelled_queued   the caller's context ended before its item was computed
//	cancelled_running  the same while its item was in run
//	queue_full         not accepted: ErrQueueFull
//	shed               not accepted: a *ShedError
//	closed             not accepted, after Close or Abort
//	displaced          accepted, but lost its place in a full queue to another
//	expired            accepted, but its time had run out when its turn came
//	aborted            taken out of the queue by Abort
//
// Bounds of histograms are the batcher's: powers of two up to MaxBatchSize, and
// 16.384 µs doubled up to 34 s. The number of series depends on the
// configuration alone: 54, and 26 for each max_size, and 6 for each instance;
// that is 216 by default.
//
// # Queries
//
// How busy an instance is, 0 to 1:
//
//	rate(batching_instance_busy_seconds_total[5m])
//
// How much of what is computed is padding, 0 to 1:
//
//	rate(batching_padding_items_total[5m]) / (rate(batching_padding_items_total[5m]) + rate(batching_items_total[5m]))
//
// Items in a mean batch:
//
//	rate(batching_batch_size_sum[5m]) / rate(batching_batch_size_count[5m])
//
// How many of the calls are shed, 0 to 1:
//
//	sum without (outcome) (rate(batching_calls_total{outcome=~"shed|expired"}[5m])) / sum without (outcome) (rate(batching_calls_total[5m]))
//
// How long all but one in a hundred items wait, in seconds:
//
//	histogram_quantile(0.99, sum by (batcher, le) (rate(batching_queue_wait_seconds_bucket[5m])))
//
// How long runs take, by size, in seconds:
//
//	sum by (batcher, max_size) (rate(batching_run_duration_seconds_sum[5m])) / sum by (batcher, max_size) (rate(batching_run_duration_seconds_count[5m]))
//
// What to scale the number of replicas by, with a target of 0.7 or so, since
// calls per second no longer rise once a service is saturated:
//
//	avg by (batcher) (batching_saturation_ratio)
//
// # Concurrency
//
// A collector is safe for concurrent use and keeps nothing between scrapes. It
// starts no goroutine; there is nothing to close. A scrape takes one snapshot,
// so that all the series of a batcher are of the same moment.
//
// # What it does not do
//
// It has no series by tenant, priority or group: what a client can choose must
// not size anything. Count those where they are known.
package batchingprom
