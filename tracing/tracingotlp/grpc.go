package tracingotlp

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// exportMethod is OTLP's TraceService.Export.
const exportMethod = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"

// grpcSender is OTLP/gRPC.
type grpcSender struct {
	target  string
	options []grpc.DialOption
	header  metadata.MD
	secret  map[string]string
	conn    *grpc.ClientConn
}

func newGRPCSender(s settings) (*grpcSender, error) {
	creds := insecure.NewCredentials()
	if !s.target.plaintext {
		creds = credentials.NewTLS(s.TLS.Clone())
	}
	call := []grpc.CallOption{grpc.ForceCodec(rawCodec{}), grpc.MaxCallRecvMsgSize(maxAnswer)}
	if s.Gzip {
		call = append(call, grpc.UseCompressor(gzip.Name))
	}
	g := &grpcSender{
		target: "dns:///" + s.target.host,
		options: []grpc.DialOption{
			grpc.WithTransportCredentials(creds),
			grpc.WithUserAgent(userAgent),
			grpc.WithDefaultCallOptions(call...),
			// Neither a resolver's service config nor its retries: what is tried
			// again is the queue's to say.
			grpc.WithDisableServiceConfig(),
			grpc.WithDisableRetry(),
			// By default it stays away for up to 2 min after an outage.
			grpc.WithConnectParams(grpc.ConnectParams{
				Backoff:           backoff.Config{BaseDelay: minWait, Multiplier: 1.6, Jitter: 0.2, MaxDelay: maxWait},
				MinConnectTimeout: s.ExportTimeout,
			}),
		},
		header: metadata.New(s.Headers),
		secret: s.Headers,
	}
	var err error
	g.conn, err = grpc.NewClient(g.target, g.options...)
	return g, err
}

func (g *grpcSender) send(ctx context.Context, request []byte) reply {
	ctx = metadata.NewOutgoingContext(ctx, g.header)
	var response []byte
	err := g.conn.Invoke(ctx, exportMethod, request, &response)
	if err == nil {
		return accepted(response)
	}
	s := status.Convert(err)
	failed := reply{err: fmt.Errorf("%v: %s", s.Code(), excerpt(s.Message(), g.secret))}
	if ctx.Err() != nil {
		failed.err = explain(ctx, err)
		g.redial()
	}
	delay, told := retryInfo(s)
	switch failed.after = delay; s.Code() {
	case codes.Canceled, codes.DeadlineExceeded, codes.Aborted, codes.OutOfRange, codes.Unavailable, codes.DataLoss:
		failed.again = true
	case codes.ResourceExhausted:
		failed.again = told
	}
	return failed
}

// redial leaves a connection behind on which an answer did not come: it may be
// one that nobody is at the other end of, and gRPC finds out only much later.
func (g *grpcSender) redial() {
	if conn, err := grpc.NewClient(g.target, g.options...); err == nil {
		g.conn.Close()
		g.conn = conn
	}
}

func (g *grpcSender) close() { g.conn.Close() }

// retryInfo returns when the collector wants to be asked again, if it says so.
func retryInfo(s *status.Status) (time.Duration, bool) {
	for _, detail := range s.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

// rawCodec passes messages on that are encoded already.
type rawCodec struct{}

func (rawCodec) Name() string                  { return "proto" }
func (rawCodec) Marshal(v any) ([]byte, error) { return v.([]byte), nil }

func (rawCodec) Unmarshal(data []byte, v any) error {
	*v.(*[]byte) = bytes.Clone(data)
	return nil
}
