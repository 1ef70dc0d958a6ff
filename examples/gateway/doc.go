// Command gateway gives each API key a budget of requests and of tokens, in front
// of any server that speaks OpenAI's chat completions.
//
//	go run ./examples/gateway                                    # in front of a parrot of its own
//	go run ./examples/gateway -upstream http://localhost:8000    # in front of yours
//
// A request passes
//
//	write deadlines → logging.Recover → logging → metrics → mux → API key → budget → proxy
//
// and what there was before the budget is proxy, in gateway.go: an ordinary
// net/http/httputil.ReverseProxy. What is new around it is in budget.go, 20
// lines; they need request.go (what a body asks for), call.go (what is reserved
// and settled), and meter.go, chunk.go and sse.go (what an answer was). Copy
// those.
//
// # What is charged
//
// Before anything goes upstream a call reserves its prompt, at four bytes of the
// body to a token, and its max_tokens or max_completion_tokens for each of its n
// choices for each of its prompts, or -default-output. (An image inside the body
// counts as its bytes, and so as far too much, until the usage is known.) If its
// key has not got that, the answer is 429 with RateLimit and Retry-After, as a
// problem document.
//
// When the call is over it is charged what it was, and the rest is returned:
//
//	2xx with usage                   the usage: input, cached input, output, by their weights
//	2xx without                      the estimate of the prompt, and the output as counted
//	a stream that broke off          the same, as far as it came
//	4xx of the upstream's            no tokens, but the request
//	5xx, no answer, a bad answer     nothing
//	client left before the answer    the estimate of the prompt; and of an answer in
//	                                 one piece all that was reserved, for how much of
//	                                 it was computed nobody knows
//	an answer of more than 8 MiB     all that was reserved, likewise; the client gets 502
//
// Counted is a token for each chunk with a text, or one for each four bytes of a
// text of more than 16. What a model thinks without saying is only in the usage,
// at a stream's end: who leaves before that has it for free. The usage may be more
// than was reserved; then the key is in debt, and waits longer.
//
// A stream that outgrows what it reserved is charged on, 64 tokens at a time. If
// there are none left it ends as one that has reached its max_tokens: with a
// finish_reason of "length" and [DONE]; and the upstream is told to stop.
//
// # What is changed
//
// A stream is always asked for its usage (stream_options.include_usage), since
// without it nobody knows what it was. A client that did not ask does not see the
// chunk that has it, which has no choices, and which not every client can take.
// Nothing else of a request's body changes, not even its spaces.
//
// The upstream does not get Accept-Encoding, since compressed answers cannot be
// read, nor cookies. The client does not get the upstream's X-RateLimit fields,
// which are about the operator's account, nor its 1xx answers.
//
// # API keys
//
// GATEWAY_API_KEYS names those that are let in. Without it every bearer token is
// let in, has a budget of its own, and is passed on: that is for an upstream that
// checks it. Otherwise whoever invents a key has a fresh budget. Keys are compared
// and kept as SHA-256, and are in no log or metric. Authentication that deserves
// the name will be package auth's.
//
// # What it does not do
//
// A body is read, up to -max-body, before it is known whether its key has anything
// left: what it asks for stands in it. An upstream that refuses stream_options,
// as few still do, refuses all streams here.
//
// Nothing bounds how many calls there are at a time, each with -max-body of a
// request and 8 MiB of an answer in memory: concurrency.Middleware would. /metrics
// is for everybody who can reach -listen.
//
// Budgets are this process's: behind a load balancer take ratelimitredis for the
// limiters. Requests other than completions and the list of models get 404, for
// nothing here counts them.
package main
