package batching_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ballast-go/ballast/batching"
)

// With TargetLatency a tenant is let in if its own share would be served in
// time, though others have more waiting than can be; but not past those that
// are more urgent, whoever's they are.
func TestShareIsLetInBehindTheMoreUrgent(t *testing.T) {
	for _, c := range []struct {
		name  string
		flood task // ten batches of these wait
		shed  bool
	}{
		{"its own flood", task{tenant: "b", level: 1}, true},
		{"another's flood", task{tenant: "a", level: 1}, false},
		{"another's more urgent flood", task{tenant: "a"}, true},
		{"another's less urgent flood", task{tenant: "a", level: 2}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFloor(t, batching.Config[task]{
					MaxBatchSize: 4, TargetLatency: 5 * time.Millisecond,
					Tenant: taskTenant, Priority: taskLevel, Priorities: 3,
				})
				// The backend is not known yet, so that the flood is let in.
				c.flood.id = 100
				f.load(40, c.flood)
				f.forBatches(1)
				pass(time.Microsecond) // now it is
				call := f.put(task{id: 1, tenant: "b", level: 1})
				err := error(nil)
				if !call.pending() {
					err = <-call.done
				}
				if shed := errors.Is(err, batching.ErrShed); shed != c.shed {
					t.Errorf("%v: %v, want shed %v", fmt.Sprint(c.flood), err, c.shed)
				}
				f.callers.Wait()
				if err == nil {
					if err := <-call.done; err != nil {
						t.Errorf("let in, and then %v", err)
					}
				}
				closeBatcher(t, f.Batcher)
				checkSums(t, f.Stats())
			})
		})
	}
}
