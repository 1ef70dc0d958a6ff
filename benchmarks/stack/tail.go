package stackbench

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// The service of the tail is what a model's server does on the CPU before and after
// its device has the request. Two processors, as a quota of two gives the Go runtime,
// are to do 70 % of what they can without a stack; what that is, each round finds
// out first, for a machine that is shared has more and less of them.
const (
	tailWork       = 300 * time.Microsecond
	tailProcessors = 2
	tailLoad       = 0.7
)

// burn works for as long as it takes alone, whoever else runs.
func burn(loops int) {
	x := uint64(1)
	for range loops {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
	}
	burnt.Store(x)
}

var burnt atomic.Uint64

// loopsIn is how many loops take d: of several tries the quickest counts, for the
// others were disturbed.
func loopsIn(d time.Duration) int {
	const loops = 200_000
	best := time.Duration(1<<63 - 1)
	for range 20 {
		begin := time.Now()
		burn(loops)
		best = min(best, time.Since(begin))
	}
	return int(float64(loops) * float64(d) / float64(max(best, 1)))
}

// A tail is what requests waited that came as they liked, from when they came.
type tail struct {
	p50, p99, p999 time.Duration
	late           time.Duration // 99.9 % of the arrivals themselves were no later
}

// openLoop sends requests for so long, at random intervals (Poisson) that do not
// depend on the answers, each in a goroutine of its own as in net/http.
func openLoop(h http.Handler, token string, perSecond float64, length time.Duration, seed uint64) (tail, error) {
	random := rand.New(rand.NewPCG(seed, 1))
	var due []time.Duration
	for at := time.Duration(0); at < length; {
		at += time.Duration(random.ExpFloat64() / perSecond * float64(time.Second))
		due = append(due, at)
	}
	took, late := make([]time.Duration, len(due)), make([]time.Duration, len(due))
	var failed atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for i, at := range due {
		for wait := at - time.Since(begin); wait > 0; wait = at - time.Since(begin) {
			time.Sleep(wait)
		}
		late[i] = time.Since(begin) - at
		all.Go(func() {
			w := &discard{header: http.Header{}, status: http.StatusOK}
			h.ServeHTTP(w, request(token))
			if w.status != http.StatusOK {
				failed.Add(1)
			}
			took[i] = time.Since(begin) - at
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		return tail{}, fmt.Errorf("%d of %d requests were not answered with 200", n, len(due))
	}
	slices.Sort(took)
	slices.Sort(late)
	at := func(sorted []time.Duration, q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	return tail{at(took, 0.5), at(took, 0.99), at(took, 0.999), at(late, 0.999)}, nil
}

// tails are everybody's, round by round; no stack's come first.
type tails struct {
	length time.Duration
	rates  []float64 // requests a second of each round
	names  []string
	all    [][]tail
}

// measureTails lets everybody take turns with the same arrivals in each round.
func measureTails(rounds int, length time.Duration) (*tails, error) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(tailProcessors))
	loops := loopsIn(tailWork)
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+route, func(w http.ResponseWriter, _ *http.Request) {
		burn(loops)
		w.Header()["Content-Type"] = jsonType
		_, _ = w.Write(answer)
	})
	contenders := append([]peer{{bare, "", none}}, everybody()...)
	t := &tails{length: length, all: make([][]tail, len(contenders))}
	heap := make([]byte, 64<<20) // as in Run
	defer runtime.KeepAlive(heap)
	for round := range rounds {
		most, err := capacity(mux, length/4)
		if err != nil {
			return nil, err
		}
		t.rates = append(t.rates, tailLoad*most)
		for i := range contenders {
			i := (i + round) % len(contenders)
			one, err := t.turn(contenders[i], mux, uint64(round))
			if err != nil {
				return nil, fmt.Errorf("tail: %s: %w", contenders[i].name, err)
			}
			t.all[i] = append(t.all[i], one)
		}
	}
	for _, c := range contenders {
		t.names = append(t.names, c.name)
	}
	return t, nil
}

func (t *tails) turn(p peer, service http.Handler, seed uint64) (tail, error) {
	w := world{signer: newSigner(), logs: io.Discard}
	token, err := w.signer.token(tenYears)
	if err != nil {
		return tail{}, err
	}
	st, closeIt, err := p.new(w)
	if closeIt != nil {
		defer closeIt()
	}
	if err != nil {
		return tail{}, err
	}
	h := st.chain(service)
	h.ServeHTTP(&discard{header: http.Header{}}, request(token)) // caches
	runtime.GC()
	return openLoop(h, token, t.rates[len(t.rates)-1], t.length, seed)
}

// capacity is how many requests a second h answers, one after the other on each
// processor.
func capacity(h http.Handler, length time.Duration) (perSecond float64, err error) {
	ops := make([]Op, tailProcessors)
	for i := range ops {
		ops[i] = call(h, request(""))
	}
	s, err := measure(func(worker, n int) error { return ops[worker](worker, n) }, tailProcessors, 1, length)
	return s.PerSecond(), err
}

// median is of the rounds' figures, of the i-th contender.
func (t *tails) median(i int, f func(tail) time.Duration) float64 {
	var values []float64
	for _, one := range t.all[i] {
		values = append(values, float64(f(one)))
	}
	v, _ := median(values)
	return v
}

// ratio is the median of the rounds' own ratios to no stack's.
func (t *tails) ratio(i int, f func(tail) time.Duration) float64 {
	var values []float64
	for round, one := range t.all[i] {
		values = append(values, float64(f(one))/float64(f(t.all[0][round])))
	}
	v, _ := median(values)
	return v
}

func p999(t tail) time.Duration { return t.p999 }

func (t *tails) write(w io.Writer) {
	rate, _ := median(t.rates)
	fmt.Fprintf(w, "\n**Latency in open loop at %.0f %% load: requests with %v of work, on %d processors**\n\n"+
		"Poisson arrivals for %v, the same for everybody in a round, at %.0f %% of what the processors did without a stack just\n"+
		"before: %s a second. Latency is from the intended arrival. The figures are the medians of %d rounds.\n\n",
		100*tailLoad, tailWork, tailProcessors, t.length, 100*tailLoad, number(rate), len(t.all[0]))
	fmt.Fprintln(w, "| | p50 µs | p99 µs | p99.9 µs | p99.9 over no stack's | arrivals late, p99.9 µs |")
	fmt.Fprintln(w, "|---|---:|---:|---:|---:|---:|")
	for i, name := range t.names {
		fmt.Fprintf(w, "| %s ", name)
		for _, f := range []func(tail) time.Duration{
			func(t tail) time.Duration { return t.p50 }, func(t tail) time.Duration { return t.p99 }, p999,
		} {
			fmt.Fprintf(w, "| %s ", number(t.median(i, f)/1e3))
		}
		fmt.Fprintf(w, "| %s | %s |\n", number(t.ratio(i, p999)), number(t.median(i, func(t tail) time.Duration { return t.late })/1e3))
	}
}
