// Package retrygrpc makes gRPC calls again that failed for the moment, within
// the attempts, the budget and the deadline of a [retry.Retrier].
//
//	r, err := retry.New(retry.Config{Name: "models", PerAttempt: 2 * time.Second})
//	conn, err := grpc.NewClient(target,
//		grpc.WithChainUnaryInterceptor(retrygrpc.UnaryClientInterceptor(r, retrygrpc.ClientConfig{})),
//		grpc.WithChainStreamInterceptor(retrygrpc.StreamClientInterceptor(r, retrygrpc.ClientConfig{})),
//	)
//
// # Place in the chain
//
// On a client: after tracing and logging of calls, and outside breakers, limits
// and tracing of attempts, so that each attempt is judged, paced and traced. On
// a server: anywhere before the handler.
//
// # What is retried
//
//	the error of an attempt                                   retried
//	Unavailable                                               yes
//	ResourceExhausted with a google.rpc.RetryInfo or pushback  yes
//	DeadlineExceeded, of [retry.Config] PerAttempt            yes
//	one that states Retryable, such as another package's      as it says
//	all others                                                no
//	any, once the caller's context has ended                  no
//	any, with a pushback that forbids it                      no
//
// [ClientConfig] Retry replaces the codes. They are the choice that gRFC A6
// leaves to the service's owner. Unavailable may mean that the service did its
// work and that the answer was lost: exclude methods that must not be done twice.
//
// A server says when to come back by a google.rpc.RetryInfo or by the trailer
// grpc-retry-pushback-ms. The later counts, up to [retry.Config] MaxDelay. A
// pushback that is negative, no number or there twice forbids another attempt,
// as gRFC A6 has it.
//
// A stream is retried until its first message is there, or its header if that
// is looked at before. What was sent so far is kept until then and sent again,
// up to [ClientConfig] MaxBuffer. See [StreamClientInterceptor].
//
// # What the server sees
//
// Attempts beyond the first carry the metadata grpc-previous-rpc-attempts, as
// gRPC's own do. [UnaryServerInterceptor] and [StreamServerInterceptor] read it,
// so that the calls which serve a retry are not retried themselves
// ([retry.ErrNested]) and that an outage does not multiply along a chain of
// services. Deadlines travel by gRPC itself, those of unary attempts included.
//
// # Errors
//
// A call that was not retried fails with its own error. One that was given up is
// a *[retry.Error] to errors.As, and a status with the code and details of its
// last attempt; or Canceled or DeadlineExceeded, if its context has ended.
// errors.Is finds why it was given up and the causes. Another Retrier further out
// does not retry it, unless it was left to that one ([retry.ErrNested]).
//
// Header, Trailer and Peer of a caller's options are of the last attempt, or of
// the hedge that won, and OnFinish is called once.
//
// # gRPC's own retries
//
// gRPC repeats a call transparently that no server has seen, once, and below
// what is counted here. That is harmless. It repeats calls also where a service
// config has a retryPolicy, with a throttle of its own for each channel: attempts
// multiply. Have one of the two: grpc.WithDisableRetry switches gRPC's off, and a
// Retrier with MaxAttempts 1, or none, these.
//
// # Concurrency
//
// Interceptors are safe for concurrent use. A stream may be used as gRPC allows:
// by one goroutine that sends and one that receives. The package starts a
// goroutine to send again what is more than a window of gRPC's flow control; it
// ends with the attempt. Those of a [retry.Hedger] are its own: Close waits for
// them.
//
// # What it does not do
//
// It does not resume a stream that broke after its first message: only the
// application knows where. It does not hedge streams.
package retrygrpc
