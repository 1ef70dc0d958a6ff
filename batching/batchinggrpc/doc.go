// Package batchinggrpc tells gRPC clients what an error of a
// [batching.Batcher] means to them: a code, whether and when to try again, and
// no text of the error's own.
//
//	func (s *server) Classify(ctx context.Context, in *pb.Image) (*pb.Label, error) {
//		label, err := s.batcher.Do(ctx, in)
//		if err != nil {
//			return nil, batchinggrpc.Status(ctx, err)
//		}
//		return label, nil
//	}
//
// # Errors
//
//	error                              code               ErrorInfo.Reason
//	ErrQueueFull                       Unavailable        QUEUE_FULL
//	ErrShed                            Unavailable        SHED
//	ErrClosed                          Unavailable        DRAINING
//	others that state Retryable        Unavailable        UNAVAILABLE
//	ErrBatchTimeout, DeadlineExceeded  DeadlineExceeded
//	Canceled, and so is ctx            Canceled
//	ErrTooLarge                        InvalidArgument
//	all others                         Internal
//
// They are the rows of [batching.WriteError]; the reasons are its reasons, in
// the spelling that google.rpc.ErrorInfo prescribes. Their domain is [Domain].
// An error is what errors.Is and errors.As take it for: wrapping is fine.
//
// Unavailable comes with how long to wait before another try, in seconds from
// 1 on, jittered upward so that clients that were turned away together do not
// come back together. It is in a google.rpc.RetryInfo, for clients that look,
// and in the trailer grpc-retry-pushback-ms, which gRPC's own retries obey
// (gRFC A6). A channel retries only if its service config says so:
//
//	{"methodConfig": [{"name": [{}], "retryPolicy": {
//		"maxAttempts": 3, "initialBackoff": "0.1s", "maxBackoff": "1s",
//		"backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
//
// # Place in the chain
//
// In the handler, where the batcher is called: interceptors outside see, log
// and count the code that the client gets. The error itself is lost from
// there on, so log it before.
//
// logginggrpc and metricsgrpc outside know why a call was turned away, in the words
// of HTTP: "queue-full", "shed" or "draining".
//
// # Concurrency
//
// [Status] is safe for concurrent use, and the package starts no goroutine.
//
// # What it does not do
//
// It is no interceptor: one would have to guess which errors came from a
// batcher. It passes on no status that run or [batching.Slot.Fail] gave; see
// Status for how to.
package batchinggrpc
