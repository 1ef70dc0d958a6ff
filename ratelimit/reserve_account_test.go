package ratelimit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// book is what a reservation should have charged, told naively.
type book struct {
	total, charged int
	expires        time.Time
	over           bool
}

// A limiter's account, and each reservation's part of it, stays what the book
// says, through any sequence of calls with time going by.
func TestReserveAgainstBook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for seed := range uint64(200) {
			rng := rand.New(rand.NewPCG(seed, 0))
			a := newAccount(1000)
			var held []*ratelimit.Reservation
			var books []*book
			sum := func() (n int) {
				for _, b := range books {
					n += b.charged
				}
				return n
			}
			for step := range 60 {
				did := ""
				switch op := rng.IntN(10); {
				case op < 3 || len(held) == 0:
					n := rng.IntN(300)
					want := n <= 1000-sum()
					r, d, err := ratelimit.Reserve(t.Context(), a, "key", n)
					did = fmt.Sprintf("Reserve(%d)", n)
					if n == 0 {
						want = true
					}
					if (err == nil) != want || d.OK != want || (r != nil) != want {
						t.Fatalf("seed %d, step %d: %s: %v, %+v", seed, step, did, err, d)
					}
					if want {
						held = append(held, r)
						books = append(books, &book{n, n, time.Now().Add(ratelimit.ReservationTTL), false})
					}
				case op == 3:
					<-time.After(time.Duration(rng.IntN(6)) * time.Minute)
					did = "wait"
				default:
					i := rng.IntN(len(held))
					var got, want error
					did, got, want = books[i].step(rng, held[i], 1000-sum())
					if !errors.Is(got, want) || (got == nil) != (want == nil) {
						t.Fatalf("seed %d, step %d: %s: %v, want %v", seed, step, did, got, want)
					}
				}
				if got := a.charged("key"); got != sum() {
					t.Fatalf("seed %d, step %d: after %s, %d are charged, want %d", seed, step, did, got, sum())
				}
			}
		}
	})
}

// step does something to r and says what came of it and what should have.
func (b *book) step(rng *rand.Rand, r *ratelimit.Reservation, left int) (did string, got, want error) {
	late := !time.Now().Before(b.expires)
	n := rng.IntN(300)
	switch rng.IntN(4) {
	case 0:
		switch {
		case b.over:
		case late:
			want = ratelimit.ErrExpired
		default:
			b.over, b.charged = true, 0
		}
		return "Cancel", r.Cancel(), want
	case 1:
		switch {
		case b.over:
		case late:
			want = ratelimit.ErrExpired
		default:
			b.over, b.charged = true, n
		}
		return fmt.Sprintf("Commit(%d)", n), r.Commit(n), want
	default:
		switch {
		case b.over || late:
			want = ratelimit.ErrExpired
		case n > 0 && n > left:
			want = ratelimit.ErrLimited
		default:
			b.total, b.charged, b.expires = b.total+n, b.charged+n, time.Now().Add(ratelimit.ReservationTTL)
		}
		return fmt.Sprintf("Extend(%d)", n), r.Extend(n), want
	}
}

// Streams that are extended, committed, cancelled and forgotten all at once,
// each from several goroutines: nothing is given back twice.
func TestReserveRaces(t *testing.T) {
	tokens, requests := newAccount(1<<40), newAccount(1<<40)
	byKey := newAccount(1 << 40)
	l := ratelimit.All(
		ratelimit.Rule{Name: "tokens", Limiter: tokens, Key: constant("key")},
		ratelimit.Rule{Name: "requests", Limiter: requests, Key: constant("key"), Cost: once},
		ratelimit.Rule{Name: "own", Limiter: byKey},
	)
	const streams = 300
	var sum, calls int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range streams {
		wg.Go(func() {
			key := strconv.Itoa(i)
			r, _, err := ratelimit.Reserve(t.Context(), l, key, 100)
			if err != nil {
				t.Error(err)
				return
			}
			var each sync.WaitGroup
			var extended int
			each.Go(func() {
				for range 5 {
					if r.Extend(10) == nil {
						extended += 10
					}
				}
			})
			ends := i % 4 // 0 vanishes, 1 commits, 2 cancels, 3 does both
			for range 2 {
				if ends&1 != 0 {
					each.Go(func() { wantError(t, r.Commit(7), nil) })
				}
				if ends&2 != 0 {
					each.Go(func() { wantError(t, r.Cancel(), nil) })
				}
			}
			each.Wait()
			want := map[int][]int{0: {100 + extended}, 1: {7}, 2: {0}, 3: {0, 7}}[ends]
			got := byKey.charged(key)
			if got != want[0] && got != want[len(want)-1] {
				t.Errorf("stream %d is charged %d, want one of %v", i, got, want)
			}
			if ends == 0 && extended != 50 {
				t.Errorf("stream %d was extended by %d", i, extended)
			}
			mu.Lock()
			defer mu.Unlock()
			sum += got
			if got > 0 {
				calls++
			}
		})
	}
	wg.Wait()
	wantCharged(t, tokens, sum)
	wantCharged(t, requests, calls)
}
