package limitbench

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// A fact is what a limiter did when it was put to the test. It is counted, not
// timed, and the same on any machine.
type fact struct {
	about string
	who   string
	saw   string
	right bool
}

// facts puts limiters to the tests that they differ in.
func facts() ([]fact, error) {
	var all []fact
	for _, try := range []func() ([]fact, error){victimFacts, backwardsFacts, retryAfterFacts, permitFacts} {
		f, err := try()
		if err != nil {
			return nil, err
		}
		all = append(all, f...)
	}
	return all, nil
}

func writeFacts(w io.Writer, all []fact) {
	about := ""
	for _, f := range all {
		if f.about != about {
			about = f.about
			fmt.Fprintf(w, "\n**%s**\n\n| | what happened | right |\n|---|---|---|\n", about)
		}
		right := "**no**"
		if f.right {
			right = "yes"
		}
		fmt.Fprintf(w, "| %s | %s | %s |\n", f.who, f.saw, right)
	}
}

// The throttled key that is let back in: a key uses up its limit, then so many
// others come along that a bounded table of the LRU kind forgets it.
const (
	victimLimit = 5     // an hour
	victimCap   = 1_000 // keys that there is room for
	victimFlood = 2_000 // other keys, before each time that the victim tries again
	victimTries = 25
)

// victim returns how many calls of one key are admitted although no time
// passes, and how many others are denied their first call.
func victim(allow func(key string) (bool, error)) (admitted, others int, err error) {
	try := func(key string, n int) {
		for range n {
			ok, e := allow(key)
			if e != nil {
				err = e
			}
			switch {
			case ok && key == "victim":
				admitted++
			case !ok && key != "victim":
				others++
			}
		}
	}
	for i := range victimTries {
		try("victim", 2*victimLimit)
		for j := range victimFlood {
			try(fmt.Sprintf("other-%d-%d", i, j), 1)
		}
	}
	try("victim", 2*victimLimit)
	return admitted, others, err
}

func victimFacts() ([]fact, error) {
	about := fmt.Sprintf("A key that may have %d an hour, in a table for %s keys, while %s others come along %d times",
		victimLimit, number(victimCap), number(victimFlood), victimTries)
	say := func(who string, admitted, others int) fact {
		saw := fmt.Sprintf("%d admitted; %s of %s others denied, for lack of room",
			admitted, number(float64(others)), number(victimTries*victimFlood))
		return fact{about, who, saw, admitted == victimLimit}
	}
	ours, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(victimLimit), MaxKeys: victimCap})
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	admitted, others, _ := victim(func(key string) (bool, error) { return ours.AllowAt(begin, key, 1).OK, nil })
	all := []fact{say(Ours, admitted, others)}

	store, err := memstore.New(victimCap)
	if err != nil {
		return nil, err
	}
	store.SetTimeNow(func() time.Time { return begin })
	theirs, err := throttled.NewGCRARateLimiterCtx(throttled.WrapStoreWithContext(store),
		throttled.RateQuota{MaxRate: throttled.PerHour(victimLimit), MaxBurst: victimLimit - 1})
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	admitted, others, err = victim(func(key string) (bool, error) {
		limited, _, err := theirs.RateLimitCtx(ctx, key, 1)
		return !limited, err
	})
	return append(all, say("throttled, LRU", admitted, others)), err
}

// backwardsFacts has two clocks take turns that differ by ten seconds, as those
// of two requests do whose times were taken on machines that disagree, or
// before and after the clock was set. No time passes.
func backwardsFacts() ([]fact, error) {
	const calls, burst, apart = 20, 2, 10 * time.Second
	about := fmt.Sprintf("%d calls a moment apart, of a key that may have %d at once and one each 5 s, with times that differ by %v in turns",
		calls, burst, apart)
	count := func(allow func(time.Time) bool) (admitted int) {
		begin := time.Now()
		for i := range calls {
			if allow(begin.Add(-apart * time.Duration(i%2))) {
				admitted++
			}
		}
		return admitted
	}
	say := func(who string, admitted int) fact {
		return fact{about, who, fmt.Sprintf("%d admitted", admitted), admitted == burst}
	}
	limit := ratelimit.Limit{Rate: 0.2, Burst: burst}
	ours, err := ratelimit.New(ratelimit.Config{Limit: limit})
	if err != nil {
		return nil, err
	}
	theirs := rate.NewLimiter(limit.Rate, limit.Burst)
	return []fact{
		say(Ours, count(func(t time.Time) bool { return ours.AllowAt(t, "key", 1).OK })),
		say("x/rate, AllowN(t)", count(func(t time.Time) bool { return theirs.AllowN(t, 1) })),
	}, nil
}

// retryAfterFacts turns 10,000 clients away at the same moment and looks at
// when they are told to come back.
func retryAfterFacts() ([]fact, error) {
	const clients = 10_000
	about := fmt.Sprintf("%s clients turned away within a moment, each of which may have one a minute: when they are told to come back", number(clients))
	var all []fact
	for _, p := range httpPeers() {
		m, err := p.new(allowance{burst: 1, per: time.Minute}, byAddress)
		if err != nil {
			return nil, err
		}
		answers, err := turnAway(m, clients)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.name, err)
		}
		all = append(all, answers.fact(about, p.name))
	}
	return all, nil
}

// answers are the values of Retry-After, and how many clients got each.
type answers map[string]int

// turnAway has every client come twice.
func turnAway(middleware func(http.Handler) http.Handler, clients int) (answers, error) {
	h := middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	got := answers{}
	w, r := &discard{header: http.Header{}}, request()
	for i := range clients {
		r.RemoteAddr = fmt.Sprintf("10.%d.%d.%d:1234", i>>16&255, i>>8&255, i&255)
		for _, want := range []int{http.StatusOK, http.StatusTooManyRequests} {
			w.reset()
			h.ServeHTTP(w, r)
			if w.status != want {
				return nil, fmt.Errorf("client %d: status %d, want %d", i, w.status, want)
			}
		}
		got[w.header.Get("Retry-After")]++
	}
	return got, nil
}

// fact says in how far the answers are of use: a client must be able to read
// them (RFC 9110, section 10.2.3: seconds or an HTTP date), and not all of them
// may be the same.
func (a answers) fact(about, who string) fact {
	most, readable, clients := 0, 0, 0
	for value, n := range a {
		clients += n
		most = max(most, n)
		if _, err := strconv.ParseUint(value, 10, 32); err == nil {
			readable += n
		} else if _, err := http.ParseTime(value); err == nil {
			readable += n
		}
	}
	f := fact{about: about, who: who}
	switch {
	case a[""] == clients:
		f.saw = "no Retry-After"
	case readable < clients:
		f.saw = "a Retry-After that is no HTTP date (" + a.any() + ")"
	default:
		f.saw = fmt.Sprintf("%d different values; the commonest goes to %s clients", len(a), number(float64(most)))
		f.right = most < clients/2
	}
	return f
}

func (a answers) any() string {
	for value := range a {
		return value
	}
	return ""
}
