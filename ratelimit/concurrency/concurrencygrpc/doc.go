// Package concurrencygrpc gives gRPC calls the permits of a
// [concurrency.Limiter], on servers and on clients.
//
//	limiter, err := concurrency.New(concurrency.Config{Adaptive: &concurrency.Adaptive{}, MaxQueue: 100})
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(concurrencygrpc.UnaryServerInterceptor(limiter, concurrencygrpc.ServerConfig{})),
//		grpc.ChainStreamInterceptor(concurrencygrpc.StreamServerInterceptor(limiter, concurrencygrpc.ServerConfig{})),
//	)
//
// # Place in the chain
//
// On a server: after recovery, tracing, logging, metrics, authentication and
// limits of rate, next to the handler. Interceptors outside see, log and count
// the code that the client gets; [ServerConfig] Deny sees the error itself. gRPC
// has read and decoded the request of a unary call by then: bound it with
// grpc.MaxRecvMsgSize, and how many there are on a connection with
// grpc.MaxConcurrentStreams.
//
// logginggrpc and metricsgrpc outside know why a call was turned away, in the words
// of HTTP: "queue-full" or "shed", or "refused" with a Deny of its own.
//
// On a client: inside retries, so that no permit is held while nothing is going
// on and that each attempt has its own.
//
// # Errors
//
// What [Status] makes of an error, for server and handlers:
//
//	error                         code               ErrorInfo.Reason
//	ErrQueueFull                  Unavailable        QUEUE_FULL
//	ErrShed                       Unavailable        SHED
//	ErrTimeout                    Unavailable        QUEUE_TIMEOUT
//	others that state Retryable   Unavailable        UNAVAILABLE
//	ErrTooLarge                   InvalidArgument
//	DeadlineExceeded              DeadlineExceeded
//	Canceled, and so is ctx       Canceled
//	all others                    Internal
//
// They are the rows of [concurrency.WriteError]; the reasons are its reasons, in
// the spelling that google.rpc.ErrorInfo prescribes. Their domain is [Domain].
//
// Unavailable comes with how long to wait before another try, in seconds from
// 1 on, jittered upward so that clients that were turned away together do not
// come back together. It is in a google.rpc.RetryInfo, for clients that look,
// and in the trailer grpc-retry-pushback-ms, which gRPC's own retries obey
// (gRFC A6).
//
// # Concurrency
//
// Interceptors, [Status] and the functions of [FromPrefixes] are safe for
// concurrent use, and the package starts no goroutine but, for a moment, that
// of a WriteTimeout that has passed. Interceptors made from the same limiter
// share its limit: servers of both kinds of calls should, and a client has a
// limiter for each server that it calls.
//
// # What it does not do
//
// It bounds what handlers do, and not what connections hold: that is the
// server's options'. It ends no stream whose client sends too slowly: deadlines
// do. It does not end a send that hangs; see [ServerConfig] WriteTimeout.
package concurrencygrpc
