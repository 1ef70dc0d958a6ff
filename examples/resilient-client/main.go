package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/retry"
)

func main() {
	if err := run(context.Background(), os.Stdout, 1500*time.Millisecond); err != nil {
		log.Fatal(err)
	}
}

// A client calls servers through what helps against their bad times.
type client struct {
	http     http.Client
	breakers *breaker.Group[string] // by host
	retrier  *retry.Retrier
	last     atomic.Pointer[string] // good answer
}

func newClient(onStateChange func(host string, from, to breaker.State)) (*client, error) {
	breakers, err := breaker.NewGroup(breaker.GroupConfig[string]{
		Breaker: breaker.Config{
			SlowAfter: 250 * time.Millisecond, Window: 2 * time.Second,
			OpenFor: 500 * time.Millisecond, MaxOpenFor: time.Second,
		},
		OnStateChange: onStateChange,
	})
	if err != nil {
		return nil, err
	}
	retrier, err := retry.New(retry.Config{Backoff: retry.FullJitter(10*time.Millisecond, 100*time.Millisecond)})
	if err != nil {
		return nil, err
	}
	byHost := func(r *http.Request) *breaker.Breaker { return breakers.Get(r.URL.Host) }
	c := &client{breakers: breakers, retrier: retrier}
	c.http.Transport = http.DefaultTransport.(*http.Transport).Clone()
	c.http.Transport = breaker.NewTransport(c.http.Transport, nil, breaker.TransportConfig{Pick: byHost}) // counts each attempt
	c.http.Transport = retry.NewTransport(c.http.Transport, retrier, retry.TransportConfig{})
	return c, nil
}

// get returns the server's answer, or the last one there was.
func (c *client) get(ctx context.Context, url string) (answer string, live bool, err error) {
	answer, err = breaker.Fallback(ctx,
		func(ctx context.Context) (string, error) {
			text, err := c.fetch(ctx, url)
			live = err == nil
			return text, err
		},
		func(ctx context.Context) (string, error) {
			if last := c.last.Load(); last != nil {
				return *last, nil
			}
			return "", errors.New("no answer is known yet")
		})
	return answer, live, err
}

func (c *client) fetch(ctx context.Context, url string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("the server says %s", resp.Status)
	}
	if err != nil {
		return "", err
	}
	answer := string(text)
	c.last.Store(&answer)
	return answer, nil
}
