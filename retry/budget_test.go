package retry

import (
	"context"
	"errors"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A naiveBudget is a bucket of rational numbers behind a mutex.
type naiveBudget struct {
	mu                  sync.Mutex
	level, full, ratio  *big.Rat
	calls, spent, debts uint64
}

func newNaive(ratio string, floor int64) *naiveBudget {
	r, ok := new(big.Rat).SetString(ratio)
	if !ok {
		panic(ratio)
	}
	return &naiveBudget{level: big.NewRat(floor, 1), full: big.NewRat(floor, 1), ratio: r}
}

func (n *naiveBudget) deposit() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.calls++
	if n.level.Add(n.level, n.ratio).Cmp(n.full) > 0 {
		n.level.Set(n.full)
	}
}

func (n *naiveBudget) take() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	one := big.NewRat(1, 1)
	if n.level.Cmp(one) < 0 {
		n.debts++
		return false
	}
	n.level.Sub(n.level, one)
	n.spent++
	return true
}

var ratios = []string{"0.1", "0.01", "0.3", "1", "0.25", "0.000001", "0.7", "0.123456789"}

func mustBudget(t testing.TB, ratio string, floor int) *Budget {
	t.Helper()
	r, _ := new(big.Rat).SetString(ratio)
	f, _ := r.Float64()
	b, err := NewBudget(BudgetConfig{Ratio: f, Floor: floor})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Ratios as people write them are exact, however many calls there are.
func FuzzBudget(f *testing.F) {
	f.Add(uint8(0), uint16(0), []byte("\x00\x01\x02\xff\xfe\x80\x01\x01\x01\x01"))
	f.Add(uint8(3), uint16(5), []byte(strings.Repeat("\xff\x00\x01", 60)))
	f.Add(uint8(6), uint16(0), []byte("\x06\x01\x01\x06\x01\x02\x01"))
	f.Fuzz(func(t *testing.T, which uint8, floor uint16, ops []byte) {
		if len(ops) > 200 {
			return
		}
		ratio, floor := ratios[int(which)%len(ratios)], floor%1000+1
		b, naive := mustBudget(t, ratio, int(floor)), newNaive(ratio, int64(floor))
		for i, op := range ops {
			for range op>>1%16 + 1 {
				if op&1 == 0 {
					if full := naive.level.Cmp(naive.full) == 0; full != b.isFull() {
						t.Fatalf("op %d: full: %v", i, !full)
					}
					b.deposit()
					naive.deposit()
				} else if want := naive.take(); b.take() != want {
					t.Fatalf("op %d: the naive one says %v at %v", i, want, naive.level)
				}
			}
		}
		level, _ := naive.level.Float64()
		s := b.Stats()
		if math.Abs(s.Tokens-level) > 1e-9 || s.Spent != naive.spent || s.Denied != naive.debts || s.Capacity != float64(floor) {
			t.Errorf("%+v: the naive one has %v, %d, %d", s, level, naive.spent, naive.debts)
		}
	})
}

// Nothing is lost and nothing is made, whatever the interleaving: the naive one
// is given the same operations, in another order, and while the bucket is
// neither full nor empty the order makes no difference.
func TestBudgetUnderStress(t *testing.T) {
	const floor = 1_000_000
	b, naive := mustBudget(t, "0.3", floor), newNaive("0.3", floor)
	for range floor / 2 {
		b.take()
	}
	naive.level = big.NewRat(floor/2, 1)
	naive.spent = floor / 2
	var wg sync.WaitGroup
	for g := range 16 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(g), 1))
			for range 2000 {
				if random.IntN(3) == 0 {
					if !b.take() || !naive.take() {
						t.Error("empty")
					}
				} else {
					b.deposit()
					naive.deposit()
				}
			}
		})
	}
	wg.Wait()
	level, _ := naive.level.Float64()
	if s := b.Stats(); math.Abs(s.Tokens-level) > 1e-9 || s.Spent != naive.spent {
		t.Errorf("%+v: the naive one has %v, %d", s, level, naive.spent)
	}
}

// At the edges the bucket stays within its bounds, seen from other goroutines too.
func TestBudgetStaysWithinItsBounds(t *testing.T) {
	b := mustBudget(t, "0.7", 1)
	var calls, taken atomic.Uint64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5000 {
				if !b.isFull() {
					b.deposit()
				}
				calls.Add(1)
				if b.take() {
					taken.Add(1)
				}
				if level := b.level.Load(); level < 0 || level > b.full {
					t.Errorf("level %d", level)
				}
			}
		})
	}
	wg.Wait()
	s := b.Stats()
	if s.Spent != taken.Load() || s.Spent+s.Denied != calls.Load() || float64(s.Spent) > 0.7*float64(calls.Load())+1 {
		t.Errorf("%+v after %d calls, %d taken", s, calls.Load(), taken.Load())
	}
}

// retries ≤ ratio·calls + floor, when a thousand goroutines call what is down.
func TestRetriesNeverExceedTheBudget(t *testing.T) {
	const goroutines, each = 1000, 20
	for _, ratio := range []string{"0.1", "1"} {
		b := mustBudget(t, ratio, 7)
		r, err := New(Config{MaxAttempts: 5, Budget: b, Backoff: func() Backoff { return now{} }})
		if err != nil {
			t.Fatal(err)
		}
		down := errors.New("down")
		var reached atomic.Uint64
		var wg sync.WaitGroup
		for range goroutines {
			wg.Go(func() {
				for range each {
					_ = r.Do(context.Background(), func(context.Context) error {
						reached.Add(1)
						return down
					})
				}
			})
		}
		wg.Wait()
		const calls = goroutines * each
		retries := reached.Load() - calls
		if s := r.Stats(); s.Retries != retries || s.Exhausted+s.OverBudget != calls {
			t.Errorf("%d retries: %+v", retries, s)
		}
		limit := map[string]uint64{"0.1": calls/10 + 7, "1": calls + 7}[ratio]
		if retries > limit || b.Stats().Spent != retries {
			t.Errorf("ratio %s: %d retries of %d calls: want at most %d; %+v", ratio, retries, calls, limit, b.Stats())
		}
		if retries < 7 || b.take() {
			t.Errorf("ratio %s: %d retries of %d calls: the budget is not given out", ratio, retries, calls)
		}
	}
}

// now is a schedule without waits.
type now struct{}

func (now) NextBackOff() time.Duration { return 0 }
func (now) Reset()                     {}

func TestBudgetConfig(t *testing.T) {
	for _, ratio := range []float64{-0.1, 1.1, math.NaN(), math.Inf(1), math.Inf(-1), 1e-13} {
		_, err := NewBudget(BudgetConfig{Ratio: ratio, Floor: -1})
		if err == nil || !strings.Contains(err.Error(), "retry: BudgetConfig.Ratio: ") ||
			!strings.Contains(err.Error(), "retry: BudgetConfig.Floor: -1 is not between") {
			t.Errorf("ratio %v: %v", ratio, err)
		}
	}
	if _, err := NewBudget(BudgetConfig{Floor: 1e6 + 1}); err == nil {
		t.Error("a floor above 1e6")
	}
	b, err := NewBudget(BudgetConfig{Ratio: 1, Floor: 1e6})
	if err != nil {
		t.Fatal(err)
	}
	if s := b.Stats(); s.Tokens != 1e6 || s.Capacity != 1e6 {
		t.Errorf("%+v", s)
	}
	b, err = NewBudget(BudgetConfig{})
	if err != nil {
		t.Fatal(err)
	}
	for range 10 {
		if !b.take() {
			t.Error("the zero config has fewer than 10")
		}
	}
	for range 10 {
		if b.take() {
			t.Error("ten calls have earned more than one")
		}
		b.deposit()
	}
	if !b.take() || b.take() {
		t.Error("ten calls have not earned one")
	}
}
