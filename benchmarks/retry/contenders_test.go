package retrybench

import (
	"context"
	"errors"
	"testing"
	"time"
)

// Each contender does what it is measured at.
func TestEveryContender(t *testing.T) {
	for _, table := range allTables() {
		t.Run(table.Name, func(t *testing.T) {
			for _, c := range table.Contenders {
				s, err := table.turn(c, time.Millisecond)
				if err != nil || s.Ops < table.Batch {
					t.Errorf("%s: %d operations, %v", c.Name, s.Ops, err)
				}
			}
		})
	}
}

// A library that never tried again, or did not stop, would not do the same work.
func TestEveryPeerRetries(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	for _, p := range peers() {
		for _, ctx := range []context.Context{context.Background(), ctx} {
			for fails, want := range []struct {
				calls int
				err   error
			}{{1, nil}, {2, nil}, {3, nil}, {3, errDown}} {
				call, err := p.new(settings{attempts: 3, fixed: true})
				if err != nil {
					t.Fatal(err)
				}
				calls := 0
				err = call(ctx, with(ctx, func(context.Context) error {
					if calls++; calls <= fails {
						return errDown
					}
					return nil
				}), 1)
				if calls != want.calls || !errors.Is(err, want.err) {
					t.Errorf("%s: %d failures: %d calls, %v", p.name, fails, calls, err)
				}
			}
		}
	}
}

// What is counted must be as often as it takes.
func TestCounted(t *testing.T) {
	never := func(context.Context, work, int) error { return nil }
	if err := counted(context.Background(), never, 0, 1)(0, 10); !errors.Is(err, errWrong) {
		t.Errorf("no calls: %v", err)
	}
	if err := counted(context.Background(), callAlone, 1, 1)(0, 10); !errors.Is(err, errDown) {
		t.Errorf("no retries: %v", err)
	}
}
