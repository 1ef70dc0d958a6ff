// Package ratelimitgrpc puts a [ratelimit.Limiter] in front of a gRPC server,
// and paces a gRPC client.
//
//	limiter, err := ratelimit.New(ratelimit.Config{Limit: ratelimit.PerMinute(100)})
//	cfg := ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByPeerIP}
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(ratelimitgrpc.UnaryServerInterceptor(limiter, cfg)),
//		grpc.ChainStreamInterceptor(ratelimitgrpc.StreamServerInterceptor(limiter, cfg)),
//	)
//
// # Place in the chain
//
// On a server: after recovery, tracing, logging, metrics and authentication,
// and before everything that costs. Interceptors outside see, log and count
// the code that the client gets; [ServerConfig] Deny sees the error itself.
// gRPC has read and decoded the request of a unary call by then: bound it with
// grpc.MaxRecvMsgSize, and what is in flight with package concurrencygrpc.
//
// logginggrpc and metricsgrpc outside know why a call was turned away, in the words
// of HTTP: "rate-limited" or "cost-exceeds-limit".
//
// On a client: inside retries and circuit breakers, so that each attempt is
// paced, and before tracing of attempts.
//
// # Errors
//
// What [Status] makes of an error, for server and handlers:
//
//	error                              code               ErrorInfo.Reason    retry
//	*LimitedError                      ResourceExhausted  RATE_LIMITED        later
//	*LimitedError, more than a burst   ResourceExhausted  COST_EXCEEDS_LIMIT  never
//	others that state Retryable        Unavailable        UNAVAILABLE         later
//	DeadlineExceeded                   DeadlineExceeded
//	Canceled, and so is ctx            Canceled
//	all others                         Internal
//
// They are the rows of [ratelimit.WriteError]; the reasons are its reasons, in
// the spelling that google.rpc.ErrorInfo prescribes. Their domain is [Domain],
// and the metadata "rule" names the rule of [ratelimit.All] that bit.
//
// Later comes with how long to wait before another try, in seconds from 1 on,
// jittered upward so that clients that were turned away together do not come
// back together. It is in a google.rpc.RetryInfo, for clients that look, and in
// the trailer grpc-retry-pushback-ms, which gRPC's own retries obey (gRFC A6);
// never is -1 there. A channel retries only if its service config says so, for
// RESOURCE_EXHAUSTED and UNAVAILABLE.
//
// A call that a client's interceptor does not make has a status, too, of
// ResourceExhausted, Canceled or DeadlineExceeded, in which errors.Is finds
// [ratelimit.ErrLimited] or the context's error.
//
// # Concurrency
//
// Interceptors, [Status] and the keys are safe for concurrent use, and the
// package starts no goroutine. Interceptors made from the same limiter share
// its limits.
//
// # What it does not do
//
// It gives nothing back: a call that fails, or whose client leaves, has been
// made. To charge what a call turned out to use, take a [ratelimit.Reserve] in
// the handler. It does not limit how much happens at a time: that is package
// concurrencygrpc's. Wherever a client sits behind a proxy, ByPeerIP sees the
// proxy.
package ratelimitgrpc
