package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/ballast-go/ballast/ratelimit"
)

// config is what flags say, and the secrets that the environment has.
type config struct {
	listen        string
	upstream      *url.URL        // nil: the parrot
	requests      ratelimit.Limit // of each key
	tokens        ratelimit.Limit // of each key, weighted
	weights       ratelimit.Weights
	defaultOutput int
	maxBody       int64
	writeTimeout  time.Duration

	keys        keys
	upstreamKey string
}

// Secrets are not flags, which every user of a machine can see.
const (
	keysVariable        = "GATEWAY_API_KEYS"
	upstreamKeyVariable = "GATEWAY_UPSTREAM_API_KEY"
)

// parseConfig returns everything that is wrong at once, or flag.ErrHelp.
func parseConfig(args []string, getenv func(string) string, stderr io.Writer) (*config, error) {
	c := new(config)
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.Usage = func() { help(fs, stderr) }
	var upstream string
	var requests, tokens float64
	fs.StringVar(&c.listen, "listen", "127.0.0.1:8081", "`address` to listen on")
	fs.StringVar(&upstream, "upstream", "", "`URL` of the server, such as http://localhost:8000; without one a parrot answers")
	fs.Float64Var(&requests, "requests", 60, "`number` of requests a minute for each key")
	fs.Float64Var(&tokens, "tokens", 100_000, "`number` of tokens a minute for each key, weighted")
	fs.Float64Var(&c.weights.Input, "input-weight", 1, "`number` of tokens that one of input counts for")
	fs.Float64Var(&c.weights.CachedInput, "cached-input-weight", 1, "`number` that one of input counts for that the upstream had in its cache")
	fs.Float64Var(&c.weights.Output, "output-weight", 1, "`number` that one of output counts for")
	fs.IntVar(&c.defaultOutput, "default-output", 1024, "`number` of tokens of output that are reserved for a request without max_tokens")
	fs.Int64Var(&c.maxBody, "max-body", 1<<20, "most `bytes` of a request's body")
	fs.DurationVar(&c.writeTimeout, "write-timeout", 30*time.Second, "how long each write to a client may take")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	c.requests, c.tokens = ratelimit.PerMinute(requests), ratelimit.PerMinute(tokens)
	errs := c.check()
	if fs.NArg() > 0 {
		errs = append(errs, fmt.Errorf("unexpected argument %q", fs.Arg(0)))
	}
	var err error
	if c.upstream, err = parseUpstream(upstream); err != nil {
		errs = append(errs, err)
	}
	if c.keys, err = parseKeys(getenv(keysVariable)); err != nil {
		errs = append(errs, fmt.Errorf("%s: %w", keysVariable, err))
	}
	c.upstreamKey = getenv(upstreamKeyVariable)
	return c, errors.Join(errs...)
}

func help(fs *flag.FlagSet, w io.Writer) {
	fmt.Fprintf(w, "gateway gives each API key a budget of tokens in front of an OpenAI-compatible server.\n\nFlags:\n")
	fs.PrintDefaults()
	fmt.Fprintf(w, "\nEnvironment:\n"+
		"  %s\n    \tname=key,name=key: the API keys that are let in; without any the upstream must check them\n"+
		"  %s\n    \tthe key that the upstream gets instead\n", keysVariable, upstreamKeyVariable)
}

// check returns what is wrong with numbers.
func (c *config) check() []error {
	var errs []error
	wrong := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if err := c.requests.Validate(); err != nil {
		wrong("-requests: %w", err)
	}
	if err := c.tokens.Validate(); err != nil {
		wrong("-tokens: %w", err)
	}
	for _, w := range []struct {
		flag  string
		value float64
	}{{"input", c.weights.Input}, {"cached-input", c.weights.CachedInput}, {"output", c.weights.Output}} {
		if !(w.value >= 0 && w.value <= 1e6) {
			wrong("-%s-weight: %v is not between 0 and 1e6", w.flag, w.value)
		}
	}
	if c.defaultOutput < 1 || c.defaultOutput > maxTokens {
		wrong("-default-output: %d is not between 1 and %d", c.defaultOutput, maxTokens)
	}
	if c.maxBody < 1 || c.maxBody > 1<<30 {
		wrong("-max-body: %d is not between 1 and %d", c.maxBody, 1<<30)
	}
	if c.writeTimeout <= 0 {
		wrong("-write-timeout: %v is not above 0", c.writeTimeout)
	}
	return errs
}

// parseUpstream returns nil for no URL.
func parseUpstream(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil {
		return nil, fmt.Errorf("-upstream: it is not a URL with http or https, or names a user")
	}
	u.Path = strings.TrimSuffix(strings.TrimSuffix(u.Path, "/"), "/v1") // requests have it
	return u, nil
}
