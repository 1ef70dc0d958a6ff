package limitbench

import (
	"net/http"
	"time"

	"golang.org/x/time/rate"

	"github.com/ballast-go/ballast/ratelimit"
)

// ownHTTP is ballast's middleware.
func ownHTTP() []httpPeer { return []httpPeer{{Ours, "", ballastHTTP}} }

func ballastHTTP(a allowance, by keyOf) (func(http.Handler) http.Handler, error) {
	l, err := ratelimit.New(ratelimit.Config{
		Limit: ratelimit.Limit{Rate: rate.Every(a.per / time.Duration(a.burst)), Burst: a.burst},
	})
	if err != nil {
		return nil, err
	}
	key := ratelimit.KeyFunc(by.key)
	if by == byAddress {
		key = ratelimit.ByClientIP(ratelimit.TrustedProxies{})
	}
	return ratelimit.Middleware(l, ratelimit.MiddlewareConfig{Key: key}), nil
}
