package health

import (
	"context"
	"errors"
	"fmt"
)

// WarmUp returns a check for Config.Startup that calls run once for each size, in
// order: a forward pass for every batch size or sequence length that the model
// compiles, captures or allocates for, so that no request pays for that. The
// process has started when all of them have passed in one run of the check; the
// first that fails ends it, and the next run begins anew, which costs little for
// sizes that are compiled by then. Set the check's Timeout to what all of them
// take together.
//
// A nil run is refused by New, and no sizes make a check that never passes.
func WarmUp(name string, sizes []int, run func(ctx context.Context, size int) error) Check {
	c := Check{Name: name}
	if run == nil {
		return c
	}
	sizes = append([]int(nil), sizes...)
	c.Func = func(ctx context.Context) error {
		if len(sizes) == 0 {
			return errors.New("there are no sizes to warm up")
		}
		for _, size := range sizes {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("before size %d: %w", size, err)
			}
			if err := run(ctx, size); err != nil {
				return fmt.Errorf("size %d: %w", size, err)
			}
		}
		return nil
	}
	return c
}
