package limitbench

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/didip/tollbooth/v7"
	"github.com/didip/tollbooth/v7/limiter"
	"github.com/go-chi/httprate"
	"github.com/sethvargo/go-limiter/httplimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	"github.com/ulule/limiter/v3/drivers/middleware/stdlib"
	"github.com/ulule/limiter/v3/drivers/store/memory"
)

// allowance is what the middlewares let each key have: per is how long it takes
// until all of it is there again.
type allowance struct {
	burst int
	per   time.Duration
}

// apiKey is the header that requests are told apart by, in the form that
// net/http stores it in.
const apiKey = "X-Api-Key"

// keyOf says what a request is limited by: its API key, or the address that it
// comes from.
type keyOf int

const (
	byAPIKey keyOf = iota
	byAddress
)

// key is what peers are given that do not look for the address themselves.
func (k keyOf) key(r *http.Request) string {
	if k == byAPIKey {
		return r.Header.Get(apiKey)
	}
	ip, _, _ := net.SplitHostPort(r.RemoteAddr)
	return ip
}

// httpPeer is a library's middleware, with headers on.
type httpPeer struct {
	name string
	note string
	new  func(allowance, keyOf) (func(http.Handler) http.Handler, error)
}

func httpPeers() []httpPeer {
	return append(ownHTTP(), []httpPeer{
		{"sethvargo", "", sethvargoHTTP},
		{"httprate", "", httprateHTTP},
		{"throttled", "no cap", throttledHTTP},
		{"ulule", "", ululeHTTP},
		{"tollbooth", "", tollboothHTTP},
	}...)
}

func sethvargoHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	store, err := memorystore.New(&memorystore.Config{Tokens: uint64(a.burst), Interval: a.per})
	if err != nil {
		return nil, err
	}
	headers := []string{apiKey}
	if by == byAddress {
		headers = nil
	}
	m, err := httplimit.NewMiddleware(store, httplimit.IPKeyFunc(headers...))
	if err != nil {
		return nil, err
	}
	return m.Handle, nil
}

// httprateHTTP has the key functions that its documentation shows: IPv6
// addresses count by /64.
func httprateHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	return httprate.LimitBy(a.burst, a.per, func(r *http.Request) (string, error) {
		if by == byAddress {
			return httprate.CanonicalizeIP(by.key(r)), nil
		}
		return by.key(r), nil
	}), nil
}

func throttledHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	store, err := memstore.NewCtx(0)
	if err != nil {
		return nil, err
	}
	l, err := throttled.NewGCRARateLimiterCtx(store, throttled.RateQuota{
		MaxRate: throttled.PerDuration(1, a.per/time.Duration(a.burst)), MaxBurst: a.burst - 1,
	})
	if err != nil {
		return nil, err
	}
	m := throttled.HTTPRateLimiterCtx{RateLimiter: l, VaryBy: &throttled.VaryBy{Custom: by.key}}
	return m.RateLimit, nil
}

func ululeHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	store := memory.NewStoreWithOptions(ulule.StoreOptions{Prefix: ulule.DefaultPrefix, CleanUpInterval: period})
	l := ulule.New(store, ulule.Rate{Period: a.per, Limit: int64(a.burst)})
	if by == byAddress {
		return stdlib.NewMiddleware(l).Handler, nil
	}
	return stdlib.NewMiddleware(l, stdlib.WithKeyGetter(by.key)).Handler, nil
}

// tollboothHTTP always has the address in its key; it takes the API key into it
// by being told to which headers it applies. Paths are left out of the key, as
// everyone's are.
func tollboothHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	l := tollbooth.NewLimiter(float64(a.burst)/a.per.Seconds(), &limiter.ExpirableOptions{DefaultExpirationTTL: period}).
		SetBurst(a.burst).SetIPLookups([]string{"RemoteAddr"}).SetIgnoreURL(true)
	if by == byAPIKey {
		l.SetHeader(apiKey, nil)
	}
	return func(next http.Handler) http.Handler { return tollbooth.LimitHandler(l, next) }, nil
}

// discard is a response of which only the headers and the status are kept.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }

func (d *discard) reset() {
	clear(d.header)
	d.status = http.StatusOK
}

// request is what every middleware is given.
func request() *http.Request {
	r, err := http.NewRequest(http.MethodPost, "http://models.example/v1/completions", http.NoBody)
	if err != nil {
		panic(err) // of a constant
	}
	r.RemoteAddr = "203.0.113.77:41234"
	r.Header.Set(apiKey, "tenant-0000001")
	return r
}

// hasLimitHeaders reports whether a client was told what its limit is, by
// whatever name.
func hasLimitHeaders(h http.Header) bool {
	for name := range h {
		if strings.Contains(strings.ReplaceAll(strings.ToLower(name), "-", ""), "ratelimit") {
			return true
		}
	}
	return false
}

const (
	tableHTTPKey     = "http, API key"
	tableHTTPAddress = "http, address"
)

func httpTables() []Table {
	return []Table{
		httpTable(tableHTTPKey, "HTTP middleware, headers on, one API key", byAPIKey),
		httpTable(tableHTTPAddress, "HTTP middleware, headers on, one client address", byAddress),
	}
}

func httpTable(name, title string, by keyOf) Table {
	t := Table{Name: name, Title: title, Workers: 1, Batch: 64}
	t.Contenders = append(t.Contenders, Contender{
		Name: noMiddleware, Note: "part of every line", Open: func() (Op, func(), error) {
			return serve(func(next http.Handler) http.Handler { return next }, false)
		},
	})
	for _, p := range httpPeers() {
		t.Contenders = append(t.Contenders, Contender{Name: p.name, Note: p.note, Open: func() (Op, func(), error) {
			m, err := p.new(allowance{burst: plenty, per: plenty * time.Second}, by)
			if err != nil {
				return nil, nil, err
			}
			return serve(m, true)
		}})
	}
	return t
}

const noMiddleware = "no middleware"

// serve sends a request again and again.
func serve(middleware func(http.Handler) http.Handler, headers bool) (Op, func(), error) {
	served := 0
	h := middleware(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }))
	w, r := &discard{header: http.Header{}}, request()
	h.ServeHTTP(w, r)
	if hasLimitHeaders(w.header) != headers {
		return nil, nil, fmt.Errorf("headers %v", w.header)
	}
	return func(_, n int) error {
		before := served
		for range n {
			w.reset()
			h.ServeHTTP(w, r)
		}
		if served != before+n {
			return errDenied
		}
		return nil
	}, nil, nil
}
