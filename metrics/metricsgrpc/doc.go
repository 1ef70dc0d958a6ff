// Package metricsgrpc counts gRPC calls in the place, and within the bounds, of a
// Metrics of package metrics.
//
//	m, err := metrics.New(metrics.Config{})
//	…
//	grpc.NewServer(
//		grpc.ChainUnaryInterceptor(metricsgrpc.UnaryServerInterceptor(m, metricsgrpc.ServerConfig{}), …),
//		grpc.ChainStreamInterceptor(metricsgrpc.StreamServerInterceptor(m, metricsgrpc.ServerConfig{}), …))
//
// # Series
//
// With metrics.Guide they are those that dashboards know from go-grpc-prometheus,
// and for clients the same with client for server:
//
//	grpc_server_started_total{grpc_type,grpc_service,grpc_method}
//	grpc_server_handled_total{grpc_type,grpc_service,grpc_method,grpc_code,reason}
//	grpc_server_handling_seconds{grpc_type,grpc_service,grpc_method}     histogram
//	grpc_server_msg_received_total{grpc_type,grpc_service,grpc_method}
//	grpc_server_msg_sent_total{grpc_type,grpc_service,grpc_method}
//	grpc_server_msg_received_bytes{grpc_service,grpc_method}             histogram
//	grpc_server_msg_sent_bytes{grpc_service,grpc_method}                 histogram
//
// With metrics.OTel they are those of OpenTelemetry's conventions for RPC, 1.42.0:
//
//	rpc_server_call_duration_seconds{rpc_system_name,rpc_method,rpc_response_status_code,error_type}
//	rpc_server_request_size_bytes{rpc_system_name,rpc_method}            histogram
//	rpc_server_response_size_bytes{rpc_system_name,rpc_method}           histogram
//
// (the sizes as in 1.39.0, the last that had any).
//
// Sizes come from [NewServerHandler] and [NewClientHandler], which grpc-go's
// statistics cost some allocations a message; the rest costs none. Messages of a
// stream are counted when it ends.
//
// The code is what the client got or, if it had canceled, Canceled; of a panic,
// Internal. reason says why a call was turned away, "queue-full" or "breaker-open",
// so that an alert on Unavailable can leave it out; it is empty for all others, and for
// clients. error_type is the reason, the code for what is a server's fault (of a client,
// for all that fails but what it canceled), else empty.
//
// # Bounds
//
// A quarter of metrics.Config.MaxSeries methods have series of their own, each for the
// codes that it ends with, and 31 reasons. Other methods, and names above 256 bytes, are
// "_other", which metrics_overflow_total{of="grpc"} counts, and so are other reasons. A
// client can name methods as it likes only where there is a grpc.UnknownServiceHandler:
// ServerConfig.Services keeps it to those that exist.
//
// # Place in the chain
//
// logginggrpc.RecoverUnary, tracing, logging, this, auth, limits: what they turn
// away is counted. What grpc-go refuses by itself, such as an unknown method, reaches
// no interceptor.
//
// # Concurrency
//
// Everything is safe for concurrent use. The package starts no goroutine.
package metricsgrpc
