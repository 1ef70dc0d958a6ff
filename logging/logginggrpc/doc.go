// Package logginggrpc writes package logging's records of gRPC calls, and turns a
// handler's panic into an answer.
//
//	grpc.NewServer(
//		grpc.ChainUnaryInterceptor(
//			logginggrpc.RecoverUnary(l),
//			logginggrpc.UnaryServerInterceptor(l, logginggrpc.ServerConfig{}), …),
//		grpc.ChainStreamInterceptor(
//			logginggrpc.RecoverStream(l),
//			logginggrpc.StreamServerInterceptor(l, logginggrpc.ServerConfig{}), …))
//
// # What a record holds
//
// The record of a call is that of an HTTP request, message "request", with rpc, the
// full method, code and messages_in in place of what only HTTP has. Messages that a
// stream's handler sent are its chunks: time_to_first_byte_ms, chunks and
// longest_gap_ms. Messages and metadata are never logged, nor is the text of an
// error, which is the client's. Records that are logged with a call's context have
// its ids.
//
//	outcome      code
//	complete     OK
//	client-gone  Canceled, whatever was returned, if the client canceled first
//	timeout      DeadlineExceeded, also where OK came too late for the client
//	panic        Internal
//	aborted      Internal: runtime.Goexit
//	error-event  what a stream ended with that had sent messages already
//	expired      Unauthenticated: package authgrpc's EndAtExpiry ended it
//
// Other calls are complete, with the code that they were answered with. The level is
// ERROR for what is a server's fault (Unknown, DeadlineExceeded, Unimplemented,
// Internal, Unavailable and DataLoss), WARN for an Unavailable that protects the
// service, such as of a full queue, else INFO or the method's own.
//
// # Place in the chain
//
// RecoverUnary and RecoverStream are the outermost, then tracing, then this,
// metrics, auth and limits. A server without a recovering interceptor dies of a
// handler's panic: grpc-go recovers nothing. What grpc-go refuses by itself, an
// unknown method or a message that is too large for one, reaches no interceptor
// and has no record.
//
// # Concurrency
//
// Everything is safe for concurrent use. The package starts no goroutine.
package logginggrpc
