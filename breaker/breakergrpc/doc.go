// Package breakergrpc puts a [breaker.Breaker] around gRPC calls, on servers and
// on clients: what is broken is not called, until it is well again.
//
//	b, err := breaker.New(breaker.Config{Name: "models"})
//	conn, err := grpc.NewClient(target,
//		grpc.WithChainUnaryInterceptor(breakergrpc.UnaryClientInterceptor(b, breakergrpc.ClientConfig{})),
//		grpc.WithChainStreamInterceptor(breakergrpc.StreamClientInterceptor(b, breakergrpc.ClientConfig{})),
//	)
//
// # Place in the chain
//
// On a client: inside retries, so that each attempt is judged and none is made
// that an open breaker would refuse, and outside limits and authentication,
// which a call that is not made must not use up.
//
// On a server: after recovery, tracing, logging, metrics, authentication and
// limits of rate, next to the handler. It sheds while the handlers fail, as they
// do when what they need is down. Interceptors outside see, log and count the
// code that the client gets; [ServerConfig] Deny sees the error itself.
//
// logginggrpc and metricsgrpc outside know why a call was turned away, in the words
// of HTTP: "breaker-open", or "refused" with a Deny of its own.
//
// # What counts
//
// The end of a call is judged by its code, unless Judge of the configuration
// does:
//
//	code                                                       outcome
//	Unavailable, DeadlineExceeded, Internal, Unknown, DataLoss  Failure
//	Canceled, ResourceExhausted                                Ignore
//	others, OK among them                                      Success
//
// A call that its own client canceled is Ignore whatever its code, and so is one
// that another breaker refused or, on a server, that something of Ballast's
// further in turned away: it says nothing of what is behind. A call whose
// deadline passed is a Failure, and so is one that is left by a panic or by
// runtime.Goexit, which go on. [breaker.Config] Classify is not asked.
//
// A stream is judged when it ends, and what it is worth to a breaker that tries
// whether things are better is known at its first message: [breaker.Permit]
// FirstByte. Its service time ends there, too. If the client streams as well, it
// begins at the client's last message before: how long clients think is no
// slowness of a server's. (While the breaker is not closed it begins when the
// stream does.)
//
// # Errors
//
// What [Status] makes of an error, for server and handlers:
//
//	error                         code               ErrorInfo.Reason
//	*OpenError, ErrOpen           Unavailable        BREAKER_OPEN
//	others that state Retryable   Unavailable        UNAVAILABLE
//	DeadlineExceeded              DeadlineExceeded
//	Canceled, and so is ctx       Canceled
//	all others                    Internal
//
// They are the rows of [breaker.WriteError]; the reasons are its reasons, in the
// spelling that google.rpc.ErrorInfo prescribes. Their domain is [Domain].
//
// Unavailable comes with how long to wait before another try, in seconds from 1
// on, jittered upward so that clients that were turned away together do not come
// back together. It is in a google.rpc.RetryInfo, for clients that look, and in
// the trailer grpc-retry-pushback-ms, which gRPC's own retries obey (gRFC A6).
//
// A call that a client's interceptor does not make fails with a status of
// Unavailable in which errors.Is finds [breaker.ErrOpen] and errors.As the
// *[breaker.OpenError]: not retryable here, with a delay for who may go
// elsewhere or come back.
//
// # Concurrency
//
// Interceptors and [Status] are safe for concurrent use, and the package starts
// no goroutine. Interceptors made from the same breaker share it: those of unary
// calls and of streams should.
//
// # What it does not do
//
// A channel hides which of a service's replicas it calls: a breaker sees them as
// one, and a bad one of eight is an eighth of failures to it. To leave out the
// bad one, have a channel and a breaker of a [breaker.Group] for each, or gRPC's
// own outlier detection (gRFC A50). gRPC's transparent retries and those of a
// service config happen further in: it judges what comes of them.
package breakergrpc
