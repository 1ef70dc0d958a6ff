package batching

import (
	"errors"
	"fmt"
	"time"
)

// What zero fields of a [Config] mean.
const (
	defaultMaxBatchSize = 32
	defaultMaxQueue     = 1024
	defaultInstances    = 1
)

// Config shapes a [Batcher]. The zero value is useful; a negative number is
// an error. In is the type of one input.
type Config[In any] struct {
	// Name tells batchers apart in Stats and in Close's error. It may be empty.
	Name string

	// MaxBatchSize is the most items run gets at once; 0 means 32.
	MaxBatchSize int

	// MaxQueue is the most items that may wait for an instance; 0 means 1024.
	// Items inside run do not count. Beyond it Do fails with ErrQueueFull at
	// once. Below MaxBatchSize it also bounds the batch.
	MaxQueue int

	// Linger is how long an item may wait for company while an instance is
	// idle. A full batch never lingers, nor does anything after Close. The
	// default, 0, runs as soon as an instance is idle: batches still form,
	// from what arrives while all instances are busy. Expect up to a
	// millisecond more than asked for on an idle process (golang/go#44343).
	Linger time.Duration

	// Instances is how many batches may run at the same time, each on a
	// goroutine of its own; 0 means 1.
	Instances int

	_ struct{}
}

// withDefaults fills in zero fields.
func (c Config[In]) withDefaults() Config[In] {
	setDefault(&c.MaxBatchSize, defaultMaxBatchSize)
	setDefault(&c.MaxQueue, defaultMaxQueue)
	setDefault(&c.Instances, defaultInstances)
	return c
}

func setDefault(field *int, value int) {
	if *field == 0 {
		*field = value
	}
}

// validate names everything that is wrong.
func (c Config[In]) validate() error {
	var errs []error
	for _, field := range []struct {
		name  string
		value int
	}{
		{"MaxBatchSize", c.MaxBatchSize},
		{"MaxQueue", c.MaxQueue},
		{"Instances", c.Instances},
	} {
		if field.value < 0 {
			errs = append(errs, fmt.Errorf("batching: Config.%s: %d is negative", field.name, field.value))
		}
	}
	if c.Linger < 0 {
		errs = append(errs, fmt.Errorf("batching: Config.Linger: %v is negative", c.Linger))
	}
	return errors.Join(errs...)
}
