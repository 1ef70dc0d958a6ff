package limitbench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/didip/tollbooth/v7"
	"github.com/didip/tollbooth/v7/limiter"
	"github.com/failsafe-go/failsafe-go/ratelimiter"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/store/memory"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// errDenied is the end of a measurement: everything is to be admitted.
var errDenied = errors.New("denied")

// plenty is what every key may have: one a second, and a burst that no
// measurement uses up. A key that was used is in debt from then on, so that
// ballast's cells are live and nobody's state expires.
const plenty = 1_000_000_000

// period is that of the windows of limiters that count in windows. None ends
// while it is measured.
const period = 1000 * time.Hour

// A keyedLimiter is one that has state for each key.
type keyedLimiter struct {
	// loop takes one for each key at the time t, or when its own clock says.
	// It is a loop and not a function for one key so that nobody pays for
	// being called through a pointer.
	loop  func(t time.Time, keys []string) error
	close func()
}

// keyedPeer is a library's limiter, or what anyone would write.
type keyedPeer struct {
	name string
	note string
	new  func(keys int) (keyedLimiter, error)
}

const (
	ballastAllowAt = "ballast AllowAt"
	ballastAllow   = "ballast Allow"
	xrateMapAt     = "x/rate in a map, AllowN(t)"
	xrateSyncMapAt = "x/rate in a sync.Map, AllowN(t)"
)

const noRead = "is given the time"

func keyedPeers() []keyedPeer {
	return []keyedPeer{
		{ballastAllowAt, noRead, newBallastAllowAt},
		{ballastAllow, "", newBallastAllow},
		{xrateMapAt, noRead, newXRateMap(true)},
		{xrateSyncMapAt, noRead, newXRateSyncMap(true)},
		{"x/rate in a map", "", newXRateMap(false)},
		{"x/rate in a sync.Map", "", newXRateSyncMap(false)},
		{"failsafe in a sync.Map", "", newFailsafe},
		{"sethvargo", "", newSethvargo},
		{"throttled", "no cap", newThrottled(0)},
		{"throttled, LRU", "", newThrottled(1)},
		{"ulule", "", newUlule},
		{"tollbooth", "", newTollbooth},
	}
}

// readsClock are the names of the peers that an operation without a time is
// compared with.
func readsClock() []string {
	var names []string
	for _, p := range keyedPeers() {
		if p.note != noRead && p.name != ballastAllow {
			names = append(names, p.name)
		}
	}
	return names
}

func newBallast(keys int) (*ratelimit.Keyed, error) {
	return ratelimit.New(ratelimit.Config{
		Limit: ratelimit.Limit{Rate: 1, Burst: plenty}, MaxKeys: max(1024, keys),
	})
}

func newBallastAllowAt(keys int) (keyedLimiter, error) {
	l, err := newBallast(keys)
	return keyedLimiter{loop: func(t time.Time, keys []string) error {
		for _, key := range keys {
			if !l.AllowAt(t, key, 1).OK {
				return errDenied
			}
		}
		return nil
	}}, err
}

func newBallastAllow(keys int) (keyedLimiter, error) {
	l, err := newBallast(keys)
	return keyedLimiter{loop: func(_ time.Time, keys []string) error {
		for _, key := range keys {
			if !l.Allow(key) {
				return errDenied
			}
		}
		return nil
	}}, err
}

// newXRateMap is what anyone writes first. The lock is held for the look-up
// only: a limiter has its own.
func newXRateMap(given bool) func(int) (keyedLimiter, error) {
	return func(size int) (keyedLimiter, error) {
		var mu sync.Mutex
		limiters := make(map[string]*rate.Limiter, size)
		get := func(key string) *rate.Limiter {
			mu.Lock()
			l, ok := limiters[key]
			if !ok {
				l = rate.NewLimiter(1, plenty)
				limiters[key] = l
			}
			mu.Unlock()
			return l
		}
		return xrateLoop(given, get), nil
	}
}

// newXRateSyncMap is what is written next. Load comes first, because
// LoadOrStore would make a limiter each time.
func newXRateSyncMap(given bool) func(int) (keyedLimiter, error) {
	return func(int) (keyedLimiter, error) {
		var limiters sync.Map
		get := func(key string) *rate.Limiter {
			l, ok := limiters.Load(key)
			if !ok {
				l, _ = limiters.LoadOrStore(key, rate.NewLimiter(1, plenty))
			}
			return l.(*rate.Limiter)
		}
		return xrateLoop(given, get), nil
	}
}

func xrateLoop(given bool, get func(string) *rate.Limiter) keyedLimiter {
	if given {
		return keyedLimiter{loop: func(t time.Time, keys []string) error {
			for _, key := range keys {
				if !get(key).AllowN(t, 1) {
					return errDenied
				}
			}
			return nil
		}}
	}
	return keyedLimiter{loop: func(_ time.Time, keys []string) error {
		for _, key := range keys {
			if !get(key).Allow() {
				return errDenied
			}
		}
		return nil
	}}
}

// newFailsafe has bursts, as the others have; failsafe's smooth limiters admit
// none.
func newFailsafe(int) (keyedLimiter, error) {
	var limiters sync.Map
	return keyedLimiter{loop: func(_ time.Time, keys []string) error {
		for _, key := range keys {
			l, ok := limiters.Load(key)
			if !ok {
				l, _ = limiters.LoadOrStore(key, ratelimiter.NewBursty[any](plenty, period))
			}
			if !l.(ratelimiter.RateLimiter[any]).TryAcquirePermit() {
				return errDenied
			}
		}
		return nil
	}}, nil
}

// newSethvargo's window must not end: after each, a key of a store with more
// tokens than nanoseconds in the window has less than a whole burst.
func newSethvargo(size int) (keyedLimiter, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: plenty, Interval: period, InitialAlloc: size})
	if err != nil {
		return keyedLimiter{}, err
	}
	ctx := context.Background()
	return keyedLimiter{
		loop: func(_ time.Time, keys []string) error {
			for _, key := range keys {
				if _, _, _, ok, err := store.Take(ctx, key); !ok || err != nil {
					return fmt.Errorf("%w: %w", errDenied, err)
				}
			}
			return nil
		},
		close: func() { _ = store.Close(ctx) },
	}, nil
}

// newThrottled has a map without a cap, or an LRU cache with room for
// everyone. A thousand attempts instead of ten: two cores at one key make it
// give up otherwise.
func newThrottled(lru int) func(int) (keyedLimiter, error) {
	return func(size int) (keyedLimiter, error) {
		store, err := memstore.NewCtx(lru * size)
		if err != nil {
			return keyedLimiter{}, err
		}
		l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{MaxRate: throttled.PerSec(1), MaxBurst: plenty - 1})
		if err != nil {
			return keyedLimiter{}, err
		}
		l.SetMaxCASAttemptsLimit(1000)
		ctx := context.Background()
		return keyedLimiter{loop: func(_ time.Time, keys []string) error {
			for _, key := range keys {
				if limited, _, err := l.RateLimitCtx(ctx, key, 1); limited || err != nil {
					return fmt.Errorf("%w: %w", errDenied, err)
				}
			}
			return nil
		}}, nil
	}
}

// newUlule sweeps no more often than its window ends.
func newUlule(int) (keyedLimiter, error) {
	store := memory.NewStoreWithOptions(ulule.StoreOptions{Prefix: ulule.DefaultPrefix, CleanUpInterval: period})
	l := ulule.New(store, ulule.Rate{Period: period, Limit: plenty})
	ctx := context.Background()
	return keyedLimiter{loop: func(_ time.Time, keys []string) error {
		for _, key := range keys {
			if got, err := l.Get(ctx, key); got.Reached || err != nil {
				return fmt.Errorf("%w: %w", errDenied, err)
			}
		}
		return nil
	}}, nil
}

// newTollbooth is tollbooth's decision, without its way of making a key.
func newTollbooth(int) (keyedLimiter, error) {
	l := tollbooth.NewLimiter(1, &limiter.ExpirableOptions{DefaultExpirationTTL: period}).SetBurst(plenty)
	return keyedLimiter{loop: func(_ time.Time, keys []string) error {
		for _, key := range keys {
			if l.LimitReached(key) {
				return errDenied
			}
		}
		return nil
	}}, nil
}
