// Package authgrpc finds out who a gRPC call comes from, whether they may make it,
// and gives a client's calls their credential.
//
//	cfg := authgrpc.ServerConfig{Exempt: isHealthCheck}
//	may := authgrpc.RequireConfig{Resource: modelOf, Exempt: isHealthCheck}
//	server := grpc.NewServer(
//		grpc.ChainUnaryInterceptor(authgrpc.UnaryServerInterceptor(verifier, cfg), authgrpc.RequireUnary(policy, may)),
//		grpc.ChainStreamInterceptor(authgrpc.StreamServerInterceptor(verifier, cfg), authgrpc.RequireStream(policy, may)),
//	)
//
// A credential is what follows "Bearer" in the metadata authorization, an API key in
// x-api-key, or a client certificate that the handshake has verified. Two of one kind are
// refused. Both kinds of interceptors must be there: gRPC asks one for unary calls, and
// the other for streams.
//
// # Place in the chain
//
// On a server: after recovery, tracing, logging and metrics, before limits and breakers,
// which have a caller to count against then. gRPC has read and decoded the request of a
// unary call by that time: bound it with grpc.MaxRecvMsgSize. On a client, [Credentials]
// come in below all interceptors, for each attempt. As a stats.Handler they also have a
// token that a server refuses replaced.
//
// logginggrpc and metricsgrpc outside know the subject, or why a call was refused, in
// the words of HTTP: "invalid-credential". Right behind them, the principal costs no
// allocation.
//
// # Errors
//
// What [Status] makes of an error, for server and handlers:
//
//	error                            code               ErrorInfo.Reason      retry
//	auth.ErrNoCredential             Unauthenticated    NO_CREDENTIAL
//	auth.ErrInvalid, ErrExpired      Unauthenticated    INVALID_CREDENTIAL
//	auth.ErrAmbiguous                Unauthenticated    AMBIGUOUS_CREDENTIAL
//	auth.ErrForbidden                PermissionDenied   FORBIDDEN, INSUFFICIENT_SCOPE
//	ServerConfig.Admit's             ResourceExhausted  RATE_LIMITED          later, or never
//	auth.ErrUnavailable, Retryable   Unavailable        AUTH_UNAVAILABLE      later
//	DeadlineExceeded                 DeadlineExceeded
//	Canceled, and so is ctx          Canceled
//	all others                       Internal
//
// The texts are fixed, and tell no bad credential from another. Later is a
// google.rpc.RetryInfo and the trailer grpc-retry-pushback-ms (gRFC A6), jittered upward.
//
// # Concurrency
//
// Everything is safe for concurrent use. With ServerConfig.EndAtExpiry a message of a
// stream is waited for in a goroutine, which ends with the stream at the latest. A handler
// that gets an error must leave its message alone, which gRPC may still read or write.
// The client is told when the handler returns.
//
// # What it does not
//
// It does not authenticate messages: a stream is who opened it. It reads no address of a proxy's
// and no certificate in metadata. The threats that it is about are those of package auth.
package authgrpc
