package authkubernetes

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"github.com/ballast-go/ballast/auth"
)

const (
	// maxAnswer is how long an answer may be: room for the token, which the API
	// server repeats, and for thousands of groups. It bounds what is remembered.
	maxAnswer = 256 << 10

	// soon is when to try again, if nothing else is known. The middlewares say no
	// less.
	soon = time.Second
	// maxRetryAfter bounds what the API server says of that.
	maxRetryAfter = time.Minute
)

// client asks for reviews. It does it by HTTP and not by client-go's clients: they
// write the token into the log at verbosity 8, wait for QPS for as long as it takes
// and repeat what failed. How to reach the API server, and as whom, is client-go's.
type client struct {
	http    *http.Client
	url     string
	agent   string
	timeout time.Duration
	limiter *rate.Limiter
	slots   chan struct{}
	stats   counters
}

// newClient returns a client that posts to a resource of an API group's v1.
func newClient(cfg Client, group, resource string) (*client, error) {
	restConfig := rest.CopyConfig(cfg.REST)
	transport, err := rest.TransportFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("authkubernetes: Client.REST: %w", err)
	}
	base, _, err := rest.DefaultServerUrlFor(restConfig)
	if err != nil {
		return nil, fmt.Errorf("authkubernetes: Client.REST: %w", err)
	}
	agent := restConfig.UserAgent
	if agent == "" {
		agent = rest.DefaultKubernetesUserAgent()
	}
	return &client{
		http: &http.Client{
			Transport: transport,
			// A redirect would take the token to somebody else.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		url:     base.JoinPath("apis", group, "v1", resource).String(),
		agent:   agent,
		timeout: cfg.Timeout,
		limiter: rate.NewLimiter(rate.Limit(cfg.QPS), cfg.Burst),
		slots:   make(chan struct{}, cfg.MaxInFlight),
	}, nil
}

// post sends a review and decodes the answer into the same. It waits for its turn no
// longer than MaxInFlight reviews take at QPS, and for all of it as long as ctx.
func (c *client) post(ctx context.Context, review, answer runtime.Object) error {
	body, err := json.Marshal(review)
	if err != nil {
		return unavailable(soon, "cannot encode: %v", err)
	}
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	default:
		c.stats.shed.Add(1)
		return unavailable(c.backlog(), "%d reviews are under way already", cap(c.slots))
	}
	if err := c.limiter.Wait(ctx); err != nil {
		if ctx.Err() == nil { // it would take longer than there is
			c.stats.shed.Add(1)
			return unavailable(c.backlog(), "QPS is used up for longer than %v", c.timeout)
		}
		return ctx.Err()
	}
	c.stats.reviews.Add(1)
	err = c.send(ctx, body, answer)
	if err == nil && answer.GetObjectKind().GroupVersionKind() != review.GetObjectKind().GroupVersionKind() {
		err = unavailable(soon, "the answer is not a review")
	}
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		c.stats.failed.Add(1)
		return err
	}
	return nil
}

// backlog is how long QPS takes for what may be under way, at least soon.
func (c *client) backlog() time.Duration {
	return max(soon, time.Duration(float64(cap(c.slots))/float64(c.limiter.Limit())*float64(time.Second)))
}

func (c *client) send(ctx context.Context, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return unavailable(soon, "%v", err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", c.agent)
	res, err := c.http.Do(req)
	if err != nil {
		return unavailable(soon, "%v", err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return unavailable(soon, "the answer was cut: %v", err)
	case len(text) > maxAnswer:
		return unavailable(soon, "the answer is longer than %d bytes", maxAnswer)
	case res.StatusCode != http.StatusOK && res.StatusCode != http.StatusCreated:
		return refusal(res, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		// Not err: it may quote the answer, which repeats the token.
		return unavailable(soon, "the answer is not a review")
	}
	return nil
}

// refusal is the error of an answer without a review. The server's own words are
// not in it, for some repeat what they were sent.
func refusal(res *http.Response, text []byte) error {
	var status struct{ Reason string }
	_ = json.Unmarshal(text, &status) // a proxy's answer has none
	after := soon
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		after = min(time.Duration(s)*time.Second, maxRetryAfter)
	}
	hint := ""
	switch res.StatusCode {
	case http.StatusUnauthorized:
		hint = ": Client.REST's own credential is not good"
	case http.StatusForbidden:
		hint = ": Client.REST's user may not ask, and needs the ClusterRole system:auth-delegator"
	}
	return unavailable(after, "the API server answered %d %.64q%s", res.StatusCode, status.Reason, hint)
}

// unavailable is an [auth.ErrUnavailable].
func unavailable(after time.Duration, format string, args ...any) error {
	return &auth.Error{Cause: auth.ErrUnavailable, Reason: fmt.Sprintf("kubernetes: "+format, args...), RetryAfter: after}
}

// ask makes a call by way of flights, with the client's Timeout. What is late is
// unavailable; when ctx itself ends, its error is the answer.
func ask[V any](ctx context.Context, c *client, f *flights[V], key sum, call func(context.Context) (V, error)) (V, error) {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	v, shared, err := f.do(limited, key, call)
	if shared {
		c.stats.shared.Add(1)
	}
	if err != nil && limited.Err() != nil && errors.Is(err, limited.Err()) {
		if err := ctx.Err(); err != nil {
			return v, err
		}
		err = unavailable(soon, "no answer within %v", c.timeout)
	}
	return v, err
}
