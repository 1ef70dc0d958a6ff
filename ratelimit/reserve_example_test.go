package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// answer stands for a model's answer, one token at a time.
func answer(tokens int) func(func(string) bool) {
	return func(yield func(string) bool) {
		for i := range tokens {
			if !yield(fmt.Sprint("token ", i)) {
				return
			}
		}
	}
}

// A stream of tokens reserves 100 at a time. When the key has no more, it ends
// as one that has reached max_tokens does.
func ExampleReserve() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(400)})
	if err != nil {
		panic(err)
	}
	stream := func(ctx context.Context, key string, prompt, tokens int) (reason string, err error) {
		const step = 100
		r, _, err := ratelimit.Reserve(ctx, limiter, key, prompt+step)
		if err != nil {
			return "", err // before anything is sent: 429
		}
		sent := 0
		defer func() { r.Commit(prompt + sent) }() // also of a client that leaves
		for token := range answer(tokens) {
			if sent > 0 && sent%step == 0 && r.Extend(step) != nil {
				return "length", nil
			}
			_ = token // send it
			sent++
		}
		return "stop", nil
	}
	fmt.Println(stream(context.Background(), "alice", 20, 130)) // uses 150 of the 400
	fmt.Println(stream(context.Background(), "alice", 20, 130)) // and again
	_, err = stream(context.Background(), "alice", 20, 130)     // 100 are left
	fmt.Println(errors.Is(err, ratelimit.ErrLimited))
	fmt.Println(stream(context.Background(), "bob", 50, 1000))
	// Output:
	// stop <nil>
	// stop <nil>
	// true
	// length <nil>
}

// Two ways to give tokens away. To cancel on every way out makes what was sent
// before a panic, or before the client left, free: a client that reads all but
// the last token and disconnects pays nothing. To charge only after the stream
// lets any number of streams in before the first one pays.
func ExampleReserve_incorrect() {
	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(300)})
	if err != nil {
		panic(err)
	}
	used := func(ctx context.Context, key string) int {
		d, err := limiter.AllowN(ctx, key, 0)
		if err != nil {
			panic(err)
		}
		return d.Limit.Burst - d.Remaining
	}
	errGone := errors.New("the client is gone")
	send := func(i int) error {
		if i == 90 {
			return errGone
		}
		return nil
	}

	cancels := func(ctx context.Context, key string) error {
		r, _, err := ratelimit.Reserve(ctx, limiter, key, 100)
		if err != nil {
			return err
		}
		defer r.Cancel() // Wrong: r.Commit(sent), and Cancel only where nothing was sent.
		for i := range 100 {
			if err := send(i); err != nil {
				return err
			}
		}
		return r.Commit(100)
	}
	err = cancels(context.Background(), "alice")
	fmt.Println(err, "and used", used(context.Background(), "alice"))

	late := func(ctx context.Context, key string, streams int) {
		for range streams { // all at once
			d, err := limiter.AllowN(ctx, key, 1) // Wrong: Reserve(ctx, limiter, key, 100).
			if err != nil || !d.OK {
				fmt.Println("turned away")
			}
		}
		limiter.Return(ctx, key, -99*streams) // after the streams
	}
	late(context.Background(), "bob", 100)
	r, d, err := ratelimit.Reserve(context.Background(), limiter, "bob", 1)
	fmt.Println(r == nil, errors.Is(err, ratelimit.ErrLimited), "for", d.RetryAfter.Round(time.Minute))
	// Output:
	// the client is gone and used 0
	// true true for 32m0s
}

// Requests a minute and tokens an hour by API key, and tokens a day by the key's tenant.
func ExampleAll() {
	must := func(l *ratelimit.Keyed, err error) *ratelimit.Keyed {
		if err != nil {
			panic(err)
		}
		return l
	}
	perMinute := must(ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(3)}))
	tokens := must(ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(1000)}))
	tokensPerDay := must(ratelimit.New(ratelimit.Config{Limit: ratelimit.PerDay(5000)}))
	tenants := map[string]string{"key-1": "acme", "key-2": "acme"}

	limiter := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: perMinute, Cost: func(int) int { return 1 }},
		ratelimit.Rule{Name: "tokens", Limiter: tokens},
		ratelimit.Rule{
			Name:    "tenant-day",
			Limiter: tokensPerDay,
			Key:     func(_ context.Context, key string) string { return tenants[key] },
		},
	)
	ctx := context.Background()
	for _, n := range []int{600, 500, 400, 1, 1} {
		d, err := limiter.AllowN(ctx, "key-1", n)
		fmt.Println(n, d.OK, d.Rule, err)
	}
	d, err := limiter.AllowN(ctx, "key-2", 1)
	fmt.Println("another key of the tenant:", d.OK, d.Rule, err)
	// Output:
	// 600 true tokens <nil>
	// 500 false tokens <nil>
	// 400 true tokens <nil>
	// 1 false tokens <nil>
	// 1 false tokens <nil>
	// another key of the tenant: true requests <nil>
}

// Output costs more than input, and input that the model has in its cache costs
// less.
func ExampleWeights() {
	weights := ratelimit.Weights{Input: 1, CachedInput: 0.1, Output: 4}
	promptTokens, cachedTokens, completionTokens := 1200, 1000, 50 // of the usage that ends a stream
	fmt.Println(weights.Cost(promptTokens-cachedTokens, cachedTokens, completionTokens))
	// Output: 500
}
