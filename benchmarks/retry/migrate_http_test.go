package retrybench

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/hashicorp/go-retryablehttp"

	"github.com/ballast-go/ballast/retry"
)

// down is a service that is overloaded.
func down() (url string, requests *int, stop func()) {
	requests = new(int)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		*requests++
		http.Error(w, "come back later", http.StatusServiceUnavailable)
	}))
	return s.URL, requests, s.Close
}

// post sends a prompt, and returns what came of it.
func post(c *http.Client, url string, header ...string) string {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader("hello"))
	if err != nil {
		return err.Error()
	}
	for _, name := range header {
		r.Header.Set(name, "7f3c")
	}
	resp, err := c.Do(r)
	if err != nil {
		return strings.ReplaceAll(err.Error(), url, "http://service")
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(resp.StatusCode, " ", strings.TrimSpace(string(body)))
}

// From github.com/hashicorp/go-retryablehttp.
//
//	NewClient()                           &http.Client{Transport: NewTransport(nil, r, TransportConfig{})}
//	StandardClient(), RoundTripper        the same
//	HTTPClient.Transport                  NewTransport's base; nil is http.DefaultTransport
//	HTTPClient.Timeout, of each attempt   Config.PerAttempt, until the header is there; http.Client.Timeout is of all of them
//	RetryMax: 2                           Config.MaxAttempts: 3; the first one counts
//	RetryWaitMin, RetryWaitMax            Config.Backoff: FullJitter(min, max), with which clients do not come back together
//	LinearJitterBackoff, Backoff          Config.Backoff
//	CheckRetry                            TransportConfig.Status, Config.Retryable
//	a POST is sent again                  with an Idempotency-Key, or by TransportConfig.Idempotent
//	NewRequest, for bodies to send again  http.NewRequest; without GetBody, a body of up to MaxBody is kept
//	"giving up after 3 attempt(s)"        the last answer, as it came (here: ErrorHandler, PassthroughErrorHandler)
//	Retry-After: 86400, a day             at most Config.MaxDelay; never past the deadline of the request's context
//	PrepareRetry                          base: each attempt goes through it
//	RequestLogHook, ResponseLogHook       base; Stats
//	SetResponseHandler                    nothing: what has reached the caller is not called again
//	each request retries for itself       within a Budget
func Example_fromRetryableHTTP() {
	url, requests, stop := down()
	defer stop()

	// Before.
	c := retryablehttp.NewClient()
	c.Logger = nil
	c.RetryMax = 2
	c.RetryWaitMin, c.RetryWaitMax = time.Millisecond, 10*time.Millisecond
	fmt.Println(post(c.StandardClient(), url))
	fmt.Println("POST reached it", *requests, "times")

	// After.
	r, err := retry.New(retry.Config{
		MaxAttempts: 3,
		Backoff:     retry.FullJitter(time.Millisecond, 10*time.Millisecond),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: retry.NewTransport(nil, r, retry.TransportConfig{})}
	*requests = 0
	fmt.Println(post(client, url))
	fmt.Println("POST reached it", *requests, "time")
	*requests = 0
	fmt.Println(post(client, url, "Idempotency-Key"))
	fmt.Println("POST with an Idempotency-Key reached it", *requests, "times")

	// Output:
	// Post "http://service": POST http://service giving up after 3 attempt(s)
	// POST reached it 3 times
	// 503 come back later
	// POST reached it 1 time
	// 503 come back later
	// POST with an Idempotency-Key reached it 3 times
}

// Of requests that may be sent again although their method does not say so, and
// of what counts as a failure.
func Example_fromRetryableHTTP_checkRetry() {
	url, requests, stop := down()
	defer stop()
	only503 := func(status int) bool { return status == http.StatusServiceUnavailable }
	r, err := retry.New(retry.Config{Backoff: retry.FullJitter(time.Millisecond, 10*time.Millisecond)})
	if err != nil {
		fmt.Println(err)
		return
	}
	client := &http.Client{Transport: retry.NewTransport(nil, r, retry.TransportConfig{
		Idempotent: func(r *http.Request) bool { return r.URL.Path == "/v1/embeddings" }, // the same answer each time
		Status:     only503,
	})}
	for _, path := range []string{"/v1/embeddings", "/v1/jobs"} {
		*requests = 0
		post(client, url+path)
		fmt.Println(path, *requests)
	}

	// Output:
	// /v1/embeddings 3
	// /v1/jobs 1
}
