package batchingprom

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ballast-go/ballast/batching"
)

// NewCollector returns a collector of the series in the package comment for b,
// which is a *[batching.Batcher] or stands for one, and must not be nil.
//
// Its name is read here, once: it is the label batcher of all series. Register
// a collector for each batcher. Registration fails if two have one name, and
// succeeds if the other collector has been unregistered before: so a model is
// replaced. What tells more of a batcher, such as its model, can be put on its
// series by [prometheus.WrapRegistererWith].
//
// Each scrape calls b.Stats once.
func NewCollector(b interface{ Stats() batching.Stats }) prometheus.Collector {
	labels := prometheus.Labels{"batcher": b.Stats().Name}
	desc := func(name, help string, label ...string) *prometheus.Desc {
		return prometheus.NewDesc("batching_"+name, help, label, labels)
	}
	return &collector{
		source: b,

		calls:    desc("calls_total", "Calls that are over, by what became of them.", "outcome"),
		batches:  desc("batches_total", "Batches, by why they were closed to more items.", "seal"),
		items:    desc("items_total", "Items handed to run."),
		padding:  desc("padding_items_total", "Items that were missing to the next size the backend is compiled for."),
		panics:   desc("run_panics_total", "Calls of run that panicked."),
		timeouts: desc("run_timeouts_total", "Calls of run that took longer than BatchTimeout."),

		hookPanics: desc("hook_panics_total", "Calls of OnBatch, or of what it returned, that panicked."),

		batchSize:   desc("batch_size", "Items in a batch."),
		queueWait:   desc("queue_wait_seconds", "Time from Do to run, of items handed to run."),
		runDuration: desc("run_duration_seconds", "Time in run, by batch size: at most max_size and above the one before.", "max_size"),

		queueDepth: desc("queue_depth", "Items that wait for an instance."),
		queueLimit: desc("queue_limit", "Items that may wait for an instance at most."),
		running:    desc("running_items", "Items handed to run that have no outcome yet."),
		hung:       desc("hung_runs", "Calls of run that took longer than BatchTimeout and have not returned."),
		saturation: desc("saturation_ratio", "How much of what the instances could compute they do compute, 0 to 1."),

		instanceBatches:  desc("instance_batches_total", "Calls of run by an instance.", "index"),
		instanceBusyTime: desc("instance_busy_seconds_total", "Time that an instance has spent in run, up to now.", "index"),
		instanceBusy:     desc("instance_busy", "1 if the instance is inside run, else 0.", "index"),
		instanceFixed:    desc("instance_model_fixed_seconds", "Time that any batch takes, as fitted.", "index"),
		instanceUnit:     desc("instance_model_unit_seconds", "Time that each unit of a batch adds, as fitted.", "index"),
		instanceResidual: desc("instance_model_residual_seconds", "Standard deviation of the time that runs took from the fitted one.", "index"),
	}
}

type collector struct {
	source interface{ Stats() batching.Stats }

	calls, batches, items, padding, panics, timeouts, hookPanics *prometheus.Desc

	batchSize, queueWait, runDuration *prometheus.Desc

	queueDepth, queueLimit, running, hung, saturation *prometheus.Desc

	instanceBatches, instanceBusyTime, instanceBusy *prometheus.Desc
	instanceFixed, instanceUnit, instanceResidual   *prometheus.Desc
}

// Describe names all series beforehand, so that a batcher that is registered
// twice is found at once, and not at the first scrape.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		c.calls, c.batches, c.items, c.padding, c.panics, c.timeouts, c.hookPanics,
		c.batchSize, c.queueWait, c.runDuration,
		c.queueDepth, c.queueLimit, c.running, c.hung, c.saturation,
		c.instanceBatches, c.instanceBusyTime, c.instanceBusy,
		c.instanceFixed, c.instanceUnit, c.instanceResidual,
	} {
		to <- d
	}
}

func (c *collector) Collect(to chan<- prometheus.Metric) {
	s := c.source.Stats()
	p := page{to}
	c.collectCounters(p, &s)

	p.histogram(c.batchSize, s.BatchSize)
	p.histogram(c.queueWait, s.QueueWait)
	for _, t := range s.RunTime {
		p.histogram(c.runDuration, t.Seconds, strconv.Itoa(t.MaxSize))
	}

	p.gauge(c.queueDepth, float64(s.Queued))
	p.gauge(c.queueLimit, float64(s.MaxQueue))
	p.gauge(c.running, float64(s.Running))
	p.gauge(c.hung, float64(s.Hung))
	p.gauge(c.saturation, s.Saturation)

	for i, inst := range s.Instances {
		index := strconv.Itoa(i)
		p.counter(c.instanceBatches, float64(inst.Batches), index)
		p.counter(c.instanceBusyTime, inst.BusyTime.Seconds(), index)
		busy := 0.0
		if inst.Busy {
			busy = 1
		}
		p.gauge(c.instanceBusy, busy, index)
		p.gauge(c.instanceFixed, inst.Model.Fixed.Seconds(), index)
		p.gauge(c.instanceUnit, inst.Model.PerUnit.Seconds(), index)
		p.gauge(c.instanceResidual, inst.Model.Residual.Seconds(), index)
	}
}

func (c *collector) collectCounters(p page, s *batching.Stats) {
	for _, calls := range []struct {
		outcome string
		n       uint64
	}{
		{"answered", s.Answered},
		{"failed", s.Failed},
		{"timed_out", s.TimedOut},
		{"cancelled_queued", s.CancelledQueued},
		{"cancelled_running", s.CancelledRunning},
		{"queue_full", s.RejectedFull},
		{"shed", s.Shed},
		{"closed", s.RejectedClosed},
		{"displaced", s.Displaced},
		{"expired", s.Expired},
		{"aborted", s.Aborted},
	} {
		p.counter(c.calls, float64(calls.n), calls.outcome)
	}
	for _, batches := range []struct {
		seal string
		n    uint64
	}{
		{"full", s.Seals.Full},
		{"idle", s.Seals.Idle},
		{"linger", s.Seals.Linger},
		{"deadline", s.Seals.Deadline},
		{"close", s.Seals.Close},
	} {
		p.counter(c.batches, float64(batches.n), batches.seal)
	}
	p.counter(c.items, float64(s.Items))
	p.counter(c.padding, float64(s.Padding))
	p.counter(c.panics, float64(s.Panics))
	p.counter(c.timeouts, float64(s.Timeouts))
	p.counter(c.hookPanics, float64(s.HookPanics))
}

// page is what a scrape fills.
type page struct{ to chan<- prometheus.Metric }

func (p page) counter(d *prometheus.Desc, v float64, label ...string) {
	p.to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, label...)
}

func (p page) gauge(d *prometheus.Desc, v float64, label ...string) {
	p.to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, label...)
}

// histogram adds up what h counts bucket by bucket, as Prometheus has it.
func (p page) histogram(d *prometheus.Desc, h batching.Histogram, label ...string) {
	buckets := make(map[float64]uint64, len(h.Bounds))
	count := uint64(0)
	for i, n := range h.Counts {
		count += n
		if i < len(h.Bounds) {
			buckets[h.Bounds[i]] = count
		}
	}
	p.to <- prometheus.MustNewConstHistogram(d, count, h.Sum, buckets, label...)
}
