// Package tracinggrpc gives gRPC calls OpenTelemetry spans, as package tracing does
// for HTTP requests, which says what both have in common: whose context is believed,
// what is recorded and what never is.
//
//	grpc.NewServer(
//		grpc.ChainUnaryInterceptor(tracinggrpc.UnaryServerInterceptor(tp, tracinggrpc.ServerConfig{Trust: tracinggrpc.TrustedPeers(mesh)})),
//		grpc.ChainStreamInterceptor(tracinggrpc.StreamServerInterceptor(tp, tracinggrpc.ServerConfig{…})))
//	grpc.NewClient(target, grpc.WithStatsHandler(tracinggrpc.NewClientHandler(tp, tracinggrpc.ClientConfig{})))
//
// # Servers
//
// A call's span is named "package.Service/Method", and is in its context and, by its
// ids, in Ballast's logs and metrics, sampled or not. It has rpc.system, rpc.service,
// rpc.method, rpc.grpc.status_code, network.peer.address and .port,
// user_agent.original and error.type, and for streams ballast.stream.* and
// ballast.stream.messages_received. It is an error for Unknown, DeadlineExceeded,
// Unimplemented, Internal, Unavailable and DataLoss, as in the semantic conventions,
// unless it was turned away to protect the service (ballast.reason), as over HTTP. A panic is an event. What the
// server refuses before any interceptor runs, such as an unknown method, has no span.
//
// # Clients
//
// [NewClientHandler] gives each attempt of a call a span and tells the server of it
// (traceparent, tracestate, and baggage if asked to): gRPC's own retries, which no
// interceptor sees, have one each. The interceptors are for the outside of
// a chain that retries by itself: their spans, of the kind "internal" and named
// "call package.Service/Method", are of whole calls, and nobody is told of them. With
// the handler alone, a call that is made once has one span.
//
// # Place in the chain
//
// First on a server, inside a recovery interceptor. On a client: call interceptor,
// logging, retry, breaker, ratelimit, auth; the handler is inside of all.
//
// # Concurrency
//
// Everything is safe for concurrent use and starts no goroutine.
package tracinggrpc
