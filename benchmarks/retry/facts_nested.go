package retrybench

import (
	"context"
	"fmt"
)

const layers = 3

// nestedFacts has a call go through layers that all retry, each with a retrier
// of its own, as three libraries in one process do.
func nestedFacts() ([]fact, error) {
	about := fmt.Sprintf("%d layers in one process that make up to three attempts each, and a backend that is down: attempts that reach it",
		layers)
	var all []fact
	for _, p := range peers() {
		reached := 0
		do := func(context.Context) error { reached++; return errDown }
		for range layers {
			call, err := p.new(usual())
			if err != nil {
				return nil, fmt.Errorf("%s: %w", p.name, err)
			}
			inner := do
			do = func(ctx context.Context) error { return call(ctx, with(ctx, inner), 1) }
		}
		if do(context.Background()) == nil {
			return nil, fmt.Errorf("%s: no error", p.name)
		}
		all = append(all, fact{about, p.name, fmt.Sprintf("%d", reached), reached <= usual().attempts})
	}
	return all, nil
}
