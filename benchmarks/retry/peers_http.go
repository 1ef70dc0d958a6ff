package retrybench

import (
	"net/http"

	"github.com/failsafe-go/failsafe-go/failsafehttp"
	"github.com/hashicorp/go-retryablehttp"

	"github.com/ballast-go/ballast/retry"
)

// httpPeer is a library's transport.
type httpPeer struct {
	name   string
	note   string
	new    func(base http.RoundTripper, s settings) (http.RoundTripper, error)
	server func(http.Handler) http.Handler // what the library has for servers; nil: nothing
}

const (
	retryablehttpName = "retryablehttp"
	failsafehttpName  = "failsafehttp"
)

func httpPeers() []httpPeer {
	return []httpPeer{
		{Ours, "budget on", ballastHTTP, ballastServer},
		{retryablehttpName, "its RoundTripper, over an http.Client; without a log", retryableHTTP, nil},
		{failsafehttpName, "", failsafeHTTP, nil},
	}
}

func ballastHTTP(base http.RoundTripper, s settings) (http.RoundTripper, error) {
	r, err := newRetrier(s)
	if err != nil {
		return nil, err
	}
	return retry.NewTransport(base, r, retry.TransportConfig{}), nil
}

// ballastServer lets a server know of its caller's retries.
func ballastServer(h http.Handler) http.Handler {
	return retry.Middleware(retry.MiddlewareConfig{})(h)
}

func retryableHTTP(base http.RoundTripper, s settings) (http.RoundTripper, error) {
	c := retryablehttp.NewClient()
	c.HTTPClient = &http.Client{Transport: base}
	c.Logger = nil
	c.RetryMax, c.RetryWaitMin, c.RetryWaitMax = s.attempts-1, s.base, s.most
	return &retryablehttp.RoundTripper{Client: c}, nil
}

func failsafeHTTP(base http.RoundTripper, s settings) (http.RoundTripper, error) {
	policy := failsafehttp.NewRetryPolicyBuilder().WithMaxAttempts(s.attempts).WithBackoff(s.base, s.most).Build()
	return failsafehttp.NewRoundTripper(base, policy), nil
}
