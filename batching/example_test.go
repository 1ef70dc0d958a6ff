package batching_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"

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

// Keeping in after the answer is a mistake: the caller has its memory back and
// uses it for something else. What outlives the answer must be copied.
func ExampleNew_incorrect() {
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
