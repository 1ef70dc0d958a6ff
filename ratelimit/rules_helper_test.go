package ratelimit_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// keyed is a limiter in memory.
func keyed(t testing.TB, l ratelimit.Limit) *ratelimit.Keyed {
	t.Helper()
	k, err := ratelimit.New(ratelimit.Config{Limit: l})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// once is the cost of a rule that counts calls.
func once(int) int { return 1 }

// constant is the key of a rule that all calls share.
func constant(key string) func(context.Context, string) string {
	return func(context.Context, string) string { return key }
}

// account is a limiter that is only a book: it never recovers, so that what has
// been taken and not returned can be read from it. It is told how to fail.
type account struct {
	mu     sync.Mutex
	limit  int // of what may be charged to a key
	keys   map[string]int
	calls  int   // of AllowN
	fail   error // of AllowN
	open   bool  // whether it lets through when it fails
	broken error // of Return, which then does nothing
	ctx    error // of the context of the last call
}

func newAccount(limit int) *account { return &account{limit: limit, keys: make(map[string]int)} }

func (a *account) AllowN(ctx context.Context, key string, n int) (ratelimit.Decision, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.calls++
	a.ctx = ctx.Err()
	d := ratelimit.Decision{Limit: ratelimit.Limit{Rate: 1, Burst: a.limit}}
	if a.fail != nil {
		d.OK = a.open
		return d, a.fail
	}
	if d.OK = n <= a.limit-a.keys[key]; d.OK {
		a.keys[key] += n
	} else {
		d.RetryAfter = time.Minute
		if n > a.limit {
			d.RetryAfter = rate.InfDuration
		}
	}
	d.Remaining = a.limit - a.keys[key]
	return d, nil
}

func (a *account) Return(ctx context.Context, key string, n int) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ctx = ctx.Err()
	if a.broken != nil {
		return a.broken
	}
	a.keys[key] -= n
	return nil
}

// charged is what key has taken and not returned.
func (a *account) charged(key string) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.keys[key]
}

func (a *account) set(f func(*account)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	f(a)
}
