package batching_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ballast-go/ballast/batching"
)

var errEmpty = errors.New("empty text")

// A model that scores texts. It is called with whatever came in while it was
// busy; a bad item fails alone.
func ExampleBatcher() {
	score := func(ctx context.Context, in []string, out []batching.Slot[int]) error {
		for i, text := range in {
			switch {
			case out[i].Gone():
				// Nobody waits for this one any more.
			case text == "":
				out[i].Fail(errEmpty)
			default:
				out[i].Set(strings.Count(text, "good") - strings.Count(text, "bad"))
			}
		}
		return nil
	}
	b, err := batching.New(score, batching.Config[string]{Name: "sentiment", MaxBatchSize: 16})
	if err != nil {
		fmt.Println(err)
		return
	}

	texts := []string{"good, really good", "bad", ""}
	answers := make([]string, len(texts))
	var wg sync.WaitGroup
	for i, text := range texts { // usually requests, each in its handler
		wg.Go(func() {
			score, err := b.Do(context.Background(), text)
			answers[i] = fmt.Sprint(score, " ", err)
		})
	}
	wg.Wait()
	for _, answer := range answers {
		fmt.Println(answer)
	}

	if err := b.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Println(b.Stats().Answered, "answered,", b.Stats().Failed, "failed")
	// Output:
	// 2 <nil>
	// -1 <nil>
	// 0 empty text
	// 2 answered, 1 failed
}

// What outlives run must copy the slice: in is cleared and used again.
func ExampleNew_incorrect() {
	var audit [][]string
	run := func(_ context.Context, in []string, out []batching.Slot[int]) error {
		audit = append(audit, in) // incorrect; slices.Clone(in)
		for i := range in {
			out[i].Set(len(in[i]))
		}
		return nil
	}
	b, err := batching.New(run, batching.Config[string]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := b.Do(context.Background(), "first request"); err != nil {
		fmt.Println(err)
	}
	if err := b.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("audited: %q\n", audit)
	// Output:
	// audited: [[""]]
}

// Keeping what an item points to after its answer is a mistake, too: the caller
// has its memory back and uses it for something else.
func ExampleBatcher_Do_incorrect() {
	var audit [][]byte
	run := func(_ context.Context, in [][]byte, out []batching.Slot[int]) error {
		audit = append(audit, in...) // incorrect; bytes.Clone each
		for i := range in {
			out[i].Set(len(in[i]))
		}
		return nil
	}
	b, err := batching.New(run, batching.Config[[]byte]{})
	if err != nil {
		fmt.Println(err)
		return
	}

	buf := []byte("first request")
	if _, err := b.Do(context.Background(), buf); err != nil {
		fmt.Println(err)
	}
	copy(buf, "next ") // buffers are pooled
	if err := b.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	fmt.Printf("audited: %s\n", audit[0])
	// Output:
	// audited: next  request
}

// A service with paying and free customers that promises an answer in 200 ms.
// What cannot keep that is refused at once, the free ones first.
func ExampleConfig() {
	type request struct {
		customer string
		paying   bool
		tokens   []int
	}
	run := func(_ context.Context, in []request, out []batching.Slot[int]) error {
		for i := range in {
			out[i].Set(len(in[i].tokens))
		}
		return nil
	}
	b, err := batching.New(run, batching.Config[request]{
		MaxBatchSize:  64,
		MaxBatchCost:  8192, // tokens that fit into the device's memory
		Cost:          func(r request) int { return len(r.tokens) },
		TargetLatency: 200 * time.Millisecond,
		BatchTimeout:  2 * time.Second,
		Priorities:    2,
		Priority: func(r request) int {
			if r.paying {
				return 0
			}
			return 1
		},
		Tenant: func(r request) string { return r.customer },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close(context.Background())

	n, err := b.Do(context.Background(), request{"acme", true, []int{17, 4, 2}})
	if shed, ok := errors.AsType[*batching.ShedError](err); ok {
		fmt.Println("come back in", shed.RetryAfter)
	}
	fmt.Println(n, err)
	// Output:
	// 3 <nil>
}

// Several items of one request share batches, and each has its own outcome.
func ExampleBatcher_DoMany() {
	run := func(_ context.Context, in []float64, out []batching.Slot[float64]) error {
		for i, x := range in {
			if x < 0 {
				out[i].Fail(errors.New("negative"))
				continue
			}
			out[i].Set(math.Sqrt(x))
		}
		return nil
	}
	b, err := batching.New(run, batching.Config[float64]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer b.Close(context.Background())
	roots, errs := b.DoMany(context.Background(), []float64{4, -1, 9})
	fmt.Println(roots, errs)
	// Output:
	// [2 0 3] [<nil> negative <nil>]
}

func ExampleWriteError() {
	run := func(_ context.Context, in []string, out []batching.Slot[string]) error {
		for i := range in {
			out[i].Set(strings.ToUpper(in[i]))
		}
		return nil
	}
	b, err := batching.New(run, batching.Config[string]{})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /upper", func(w http.ResponseWriter, r *http.Request) {
		upper, err := b.Do(r.Context(), r.FormValue("text"))
		if err != nil {
			batching.WriteError(w, r, err)
			return
		}
		_, _ = fmt.Fprintln(w, upper)
	})
}
