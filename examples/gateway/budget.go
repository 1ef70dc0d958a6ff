package main

import (
	"net/http"
	"net/http/httputil"

	"github.com/ballast-go/ballast/ratelimit"
)

// budget has proxy answer calls for completions within what their keys may have.
// The README shows it as a diff: what is new around a proxy.
func (g *gateway) budget(proxy *httputil.ReverseProxy, requests, tokens ratelimit.Limiter, keyOf ratelimit.KeyFunc) http.Handler {
	// README: begin
	proxy.ModifyResponse = meter // reads the answer's usage; ends a stream that is out of tokens
	limits := ratelimit.All(
		ratelimit.Rule{Name: "requests", Limiter: requests, Cost: func(int) int { return 1 }},
		ratelimit.Rule{Name: "tokens", Limiter: tokens})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prompt, err := readPrompt(w, r, g.cfg.maxBody) // its size, max_tokens, stream
		if err != nil {
			writeProblem(w, err)
			return
		}
		call := g.newCall(r, prompt)
		held, left, err := ratelimit.Reserve(r.Context(), limits, keyOf(r), call.estimate())
		left.SetHeaders(w.Header()) // RateLimit, RateLimit-Policy
		if err != nil {
			ratelimit.WriteError(w, r, err) // 429 and when to come again
			return
		}
		defer call.settle(held.Commit, held.Cancel) // what it was, on every way out
		proxy.ServeHTTP(w, call.metered(r, held.Extend))
	})
	// README: end
}
