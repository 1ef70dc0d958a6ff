package batching

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"
)

// What zero fields of a [Config] mean.
const (
	defaultMaxBatchSize = 32
	defaultMaxQueue     = 1024
	defaultInstances    = 1
	defaultPriorities   = 1
)

// Bounds of a [Config].
const (
	maxMaxBatchSize = 1 << 20
	maxPriorities   = 64
)

// Config shapes a [Batcher]. The zero value is useful; a negative number is
// an error. In is the type of one input.
//
// Priority, Tenant, TenantWeight, Group and Cost are called once for an item, on
// the goroutine of its Do and before it is queued: they may be called at the
// same time, and a panic in one is its caller's own.
type Config[In any] struct {
	// Name tells batchers apart in Stats and in Close's error. It may be empty.
	Name string

	// MaxBatchSize is the most items run gets at once; 0 means the largest of
	// Sizes, or 32. At most 1,048,576.
	MaxBatchSize int

	// MaxQueue is the most items that may wait for an instance; 0 means 1024.
	// Items inside run do not count. Beyond it Do fails with ErrQueueFull at
	// once. Below MaxBatchSize it also bounds the batch.
	//
	// With Priority or Tenant a full queue is shared fairly: an item that has
	// a better claim takes the place of the newest one that has a worse, which
	// fails with ErrQueueFull. More urgent is better, and so is a tenant that
	// holds less than its share of the places.
	MaxQueue int

	// Linger is how long an item may wait for company while an instance is
	// idle; nobody waits if arrivals are so rare that nobody is due by then, or
	// later than its deadline allows. A full batch never lingers, nor does
	// anything after Close. The default, 0, runs as soon as an instance is
	// idle: batches still form, from what arrives while all instances are
	// busy. Expect up to a millisecond more than asked for on an idle process
	// (golang/go#44343).
	Linger time.Duration

	// Instances is how many batches may run at the same time, each on a
	// goroutine of its own; 0 means 1.
	Instances int

	// LockOSThread wires each instance to an operating system thread of its
	// own, as CUDA contexts and other thread-local state want it. It costs a
	// thread switch a batch.
	LockOSThread bool

	// BatchTimeout is how long run may take; 0 means for ever. After it the
	// batch's context ends, its callers get ErrBatchTimeout, and a new
	// goroutine takes the instance over, while the hung run keeps the old one
	// until it returns. At most Instances hung runs are replaced at a time; see
	// OnExhausted.
	BatchTimeout time.Duration

	// OnExhausted, if set, is called on a goroutine of its own when a run hangs
	// and is not replaced, because as many hang already as may: the batcher
	// works with an instance less until one of them returns, or not at all. The
	// process should be restarted; Health.Fatal of package health fits here. It may
	// be called before what New returned is in use, and needs BatchTimeout.
	OnExhausted func(error)

	// TargetLatency is how long a call should take at most, from Do to its
	// answer. 0 means no shedding. Otherwise a call that, by the measured speed
	// of run and what is queued, could not be answered within TargetLatency or
	// before its context's deadline fails at once with a *ShedError, so that
	// the backend works on what can still be in time. An accepted item whose
	// time has run out when its turn comes fails so, too, and is not computed.
	TargetLatency time.Duration

	// Priority returns an item's level, from 0, the most urgent, to
	// Priorities-1; what lies outside counts as the nearest of these. nil means
	// that all items are equal. Levels are strict, but for aging: of every eight
	// places one goes to the item of a less urgent level that waits longest, if
	// that is longer than half of TargetLatency, or half a second without.
	// Between groups, one batch of every eight does.
	Priority func(In) int

	// Priorities is the number of levels, 1 to 64; 0 means 1. Above 1 it needs
	// Priority, and Priority needs it.
	Priorities int

	// Tenant returns whose item it is. Tenants that wait at the same level get
	// equal shares of the backend, counted in Cost. nil means one tenant.
	Tenant func(In) string

	// TenantWeight returns a tenant's share in proportion to others'; below 1
	// counts as 1. nil means 1 for all. It needs Tenant. A change takes effect
	// when nothing of the tenant waits.
	TenantWeight func(tenant string) int

	// Group returns what an item must have in common with the others of its
	// batch, such as a shape or an adapter. nil means nothing.
	Group func(In) string

	// Cost returns how much work an item is, in a unit of your own, such as
	// tokens; below 1 counts as 1, and above 2⁴⁰-1 as that. nil means 1 for all.
	Cost func(In) int

	// MaxBatchCost is the most that the costs of a batch may add up to; 0 means
	// no such bound, 2⁴⁰-1 is the most. It needs Cost. An item above it fails with
	// ErrTooLarge.
	MaxBatchCost int

	// Sizes lists the numbers of items that the backend is compiled for, in any
	// order; nil means that it takes any number. Run pads what it gets to the
	// next size. A batch is filled up to a size or padded to one, whichever is
	// cheaper for an item by the measured speed; Stats counts the padding.
	Sizes []int

	// OnBatch, if set, is told of each batch before it runs, on its instance's
	// goroutine: so that package tracing's BatchHook, or another, can say in the
	// trace of a call how long it waited and with whom it ran. ctx is the batch's.
	// What it returns is given to run and must be made of it; nil means ctx. The
	// function that it returns, unless nil, is called once with what became of run:
	// nil, its error, a *[PanicError] or ErrNoResult for runtime.Goexit, after the
	// callers have their answers. Its time is the instance's. If one of the two
	// panics, the batch runs as if it were not there, and Stats counts it.
	OnBatch func(ctx context.Context, b BatchInfo) (context.Context, func(err error))

	_ struct{}
}

// withDefaults fills in zero fields of a valid Config.
func (c Config[In]) withDefaults() Config[In] {
	c.Sizes = slices.Clone(c.Sizes)
	slices.Sort(c.Sizes)
	if n := len(c.Sizes); n > 0 {
		setDefault(&c.MaxBatchSize, c.Sizes[n-1])
	}
	setDefault(&c.MaxBatchSize, defaultMaxBatchSize)
	setDefault(&c.MaxQueue, defaultMaxQueue)
	setDefault(&c.Instances, defaultInstances)
	setDefault(&c.Priorities, defaultPriorities)
	for _, d := range []*time.Duration{&c.Linger, &c.BatchTimeout, &c.TargetLatency} {
		*d = min(*d, forever)
	}
	return c
}

// forever is longer than any process lives, and short enough to be added to.
const forever = time.Duration(1 << 60)

// maxCost bounds an item's cost, so that sums of costs stay exact: 2⁴⁰-1, or
// what an int holds where that is less.
const maxCost = math.MaxInt & (1<<40 - 1)

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// validate names everything that is wrong.
func (c Config[In]) validate() error {
	var errs []error
	fail := func(field, format string, args ...any) {
		errs = append(errs, fmt.Errorf("batching: Config."+field+": "+format, args...))
	}
	for _, field := range []struct {
		name  string
		value int
		most  int
	}{
		{"MaxBatchSize", c.MaxBatchSize, maxMaxBatchSize},
		{"MaxQueue", c.MaxQueue, 0},
		{"Instances", c.Instances, 0},
		{"Priorities", c.Priorities, maxPriorities},
		{"MaxBatchCost", c.MaxBatchCost, maxCost},
	} {
		if field.value < 0 {
			fail(field.name, "%d is negative", field.value)
		}
		if field.most > 0 && field.value > field.most {
			fail(field.name, "%d is above %d", field.value, field.most)
		}
	}
	for _, field := range []struct {
		name  string
		value time.Duration
	}{
		{"Linger", c.Linger},
		{"BatchTimeout", c.BatchTimeout},
		{"TargetLatency", c.TargetLatency},
	} {
		if field.value < 0 {
			fail(field.name, "%v is negative", field.value)
		}
	}
	for _, field := range []struct {
		name, needs string
		set, there  bool
	}{
		{"OnExhausted", "BatchTimeout", c.OnExhausted != nil, c.BatchTimeout != 0},
		{"Priority", "Priorities", c.Priority != nil, c.Priorities != 0},
		{"Priorities", "Priority", c.Priorities > 1, c.Priority != nil},
		{"TenantWeight", "Tenant", c.TenantWeight != nil, c.Tenant != nil},
		{"MaxBatchCost", "Cost", c.MaxBatchCost != 0, c.Cost != nil},
	} {
		if field.set && !field.there {
			fail(field.name, "needs %s", field.needs)
		}
	}
	return errors.Join(append(errs, c.validateSizes()...)...)
}

func (c Config[In]) validateSizes() (errs []error) {
	seen := make(map[int]bool, len(c.Sizes))
	for _, size := range c.Sizes {
		switch {
		case size < 1 || size > maxMaxBatchSize:
			errs = append(errs, fmt.Errorf("batching: Config.Sizes: %d is not from 1 to %d", size, maxMaxBatchSize))
		case seen[size]:
			errs = append(errs, fmt.Errorf("batching: Config.Sizes: %d is there twice", size))
		}
		seen[size] = true
	}
	if n := len(c.Sizes); n > 0 && c.MaxBatchSize > slices.Max(c.Sizes) {
		errs = append(errs, fmt.Errorf("batching: Config.MaxBatchSize: %d is above the largest of Sizes, %d",
			c.MaxBatchSize, slices.Max(c.Sizes)))
	}
	return errs
}
