package limitbench

// Coming from another limiter: the same small service before and after. These
// examples are compiled and run, so they cannot rot.

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"time"

	"github.com/go-chi/httprate"
	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// ok is the service.
var ok = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprintln(w, "ok") })

// statuses is what a client at 192.0.2.1 gets, one request after the other.
func statuses(h http.Handler, n int) (codes []int, last http.Header) {
	for range n {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "192.0.2.1:1234"
		h.ServeHTTP(w, r)
		codes, last = append(codes, w.Code), w.Header()
	}
	return codes, last
}

// From a map of golang.org/x/time/rate's limiters, with the middleware that one
// writes around it.
//
//	map[string]*rate.Limiter, its mutex   New; MaxKeys bounds the memory, and nobody gets a new burst by it
//	the goroutine that deletes idle keys  nothing: a key that has recovered gives its place away
//	rate.NewLimiter(10, 20)               Config.Limit: Limit{Rate: 10, Burst: 20}; the unit is the same
//	rate.Every(d)                         Limit{Rate: rate.Every(d), …}, or PerMinute, PerHour, PerDay
//	rate.Inf                              no limiter; a cost of 0 exempts a request
//	a Limit or Burst of 0                 a config error; Middleware's Key and Deny say who may not come in
//	a limiter of its own for a key        Config.LimitFor, asked at every call
//	SetLimit, SetBurst on each            SetLimit, once
//	Allow()                               Allow(key), or Middleware
//	AllowN(t, n)                          AllowAt(t, key, n), which tells when to come back; a t that goes backwards admits no more
//	n above Burst                         RetryAfter is rate.InfDuration: never
//	Tokens()                              Decision.Remaining of AllowN(ctx, key, 0)
//	Reserve, Delay, Cancel                Decision.RetryAfter; Reserve is for costs that are not known yet, and never waits
//	Wait, WaitN                           stay: a client that waits is NewTransport, with a *rate.Limiter
//	429 and no more                       429, Retry-After, RateLimit, RateLimit-Policy, application/problem+json
func Example_fromRate() {
	// Before.
	var mu sync.Mutex
	clients := make(map[string]*rate.Limiter)
	limiter := func(key string) *rate.Limiter {
		mu.Lock()
		defer mu.Unlock()
		l, ok := clients[key]
		if !ok {
			l = rate.NewLimiter(rate.Every(time.Minute), 2)
			clients[key] = l // and a goroutine deletes it some day
		}
		return l
	}
	old := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !limiter(r.RemoteAddr).Allow() { // with the port: a connection each
			http.Error(w, http.StatusText(http.StatusTooManyRequests), http.StatusTooManyRequests)
			return
		}
		ok(w, r)
	})
	codes, _ := statuses(old, 3)
	fmt.Println(codes)

	// After.
	l, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.Limit{Rate: rate.Every(time.Minute), Burst: 2}})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})(ok)
	codes, header := statuses(h, 3)
	fmt.Println(codes, header.Get("RateLimit"))

	// Output:
	// [200 200 429]
	// [200 200 429] "default";r=0;t=60
}

// From github.com/go-chi/httprate.
//
//	LimitBy(100, time.Minute, key)  New with PerMinute(100), Middleware with Key
//	a window of 100, then 100 more  a burst of 100, then one each 600 ms: never more than 100 + t/600 ms in any t
//	  at its edges, smoothed over      (httprate estimates the window before from its count alone)
//	Key("*")                        Key: func(*http.Request) string { return "" }
//	CanonicalizeIP, with chi's      ByClientIP(TrustedProxies{…}): nothing else to resolve the address,
//	  middleware.ClientIPFrom…         and an IPv6 client is its /64 as well
//	KeyByEndpoint: r.URL.Path       ByRoute(mux): the pattern, of which there are finitely many
//	JoinKeys(a, b)                  a Key that joins them, or All with a Rule for each
//	several Limiters in a chain     All: a request that one denies is not charged by the others
//	an error of the key function    Key decides: "" is a key as any other
//	WithIncrement(ctx, n)           MiddlewareConfig.Cost
//	WithRequestLimit(ctx, n)        Config.LimitFor
//	WithLimitHandler                MiddlewareConfig.Deny
//	WithErrorHandler                MiddlewareConfig.Deny as well; without it 503 or 500, and never the error's text
//	WithLimitCounter, Redis         ratelimitredis.New
//	RespondOnLimit, OnLimit         AllowN in the handler, WriteError
//	X-RateLimit-Limit, -Remaining   RateLimit-Policy: q and w; RateLimit: r and t
//	X-RateLimit-Reset               RateLimit's t, in seconds from now and not a date
//	Retry-After: the whole window   until that very call can succeed, and a little more, each client another
//	as many keys as come            MaxKeys at most
func Example_fromHTTPRate() {
	byIP := func(r *http.Request) (string, error) {
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		return httprate.CanonicalizeIP(host), err
	}

	// Before.
	codes, header := statuses(httprate.LimitBy(2, time.Minute, byIP)(ok), 3)
	fmt.Println(codes, header.Get("X-RateLimit-Limit"), header.Get("X-RateLimit-Remaining"))

	// After.
	l, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(2)})
	if err != nil {
		fmt.Println(err)
		return
	}
	h := ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: ratelimit.ByClientIP(nil)})(ok)
	codes, header = statuses(h, 3)
	fmt.Println(codes, header.Get("RateLimit-Policy"), header.Get("RateLimit"))

	// Output:
	// [200 200 429] 2 0
	// [200 200 429] "default";q=2;w=60 "default";r=0;t=30
}

// Of httprate's increments, and two of its limiters in a chain.
func Example_fromHTTPRate_costs() {
	tokens := func(*http.Request) int { return 40 }

	// Before: the request that the second limiter denies has used up the first.
	old := func(h http.Handler) http.Handler {
		all := httprate.Key("*")
		h = httprate.LimitBy(100, time.Minute, all)(h)
		h = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				next.ServeHTTP(w, r.WithContext(httprate.WithIncrement(r.Context(), tokens(r))))
			})
		}(h)
		return httprate.LimitBy(4, time.Hour, all)(h)
	}
	codes, _ := statuses(old(ok), 5)
	fmt.Println(codes)

	// After: what is denied costs nothing.
	requests, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerHour(4)})
	if err != nil {
		fmt.Println(err)
		return
	}
	perMinute, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(100)})
	if err != nil {
		fmt.Println(err)
		return
	}
	both := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: requests, Cost: func(int) int { return 1 }},
		ratelimit.Rule{Name: "tokens", Limiter: perMinute},
	)
	all := func(*http.Request) string { return "" }
	codes, _ = statuses(ratelimit.Middleware(both, ratelimit.MiddlewareConfig{Key: all, Cost: tokens})(ok), 5)
	fmt.Println(codes)
	d, err := requests.AllowN(context.Background(), "", 0)
	fmt.Println(d.Remaining, "requests left", err)

	// Output:
	// [200 200 429 429 429]
	// [200 200 429 429 429]
	// 2 requests left <nil>
}
