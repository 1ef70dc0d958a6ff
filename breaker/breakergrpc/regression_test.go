package breakergrpc_test

import (
	"testing"
	"testing/synctest"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/ballast-go/ballast/breaker"
	"github.com/ballast-go/ballast/breaker/breakergrpc"
)

// A message that is none is Internal to gRPC, which a client could open the breaker
// with to everybody, but that gRPC cancels the stream.
func TestServerStreamOfNonsense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, breaker.Config{})
		cc := serve(t, numbers{stream: func(stream grpc.ServerStream) error {
			return stream.RecvMsg(new(wrapperspb.StringValue))
		}}, intercept(b, breakergrpc.ServerConfig{}))
		stream, err := cc.NewStream(t.Context(), &upload, service+upload.StreamName)
		if err != nil {
			t.Fatal(err)
		}
		_ = stream.SendMsg(wrapperspb.Bytes([]byte{0xff})) // no UTF-8
		if err := stream.RecvMsg(new(wrapperspb.Int64Value)); status.Code(err) != codes.Internal {
			t.Error(err)
		}
		synctest.Wait()
		counts{ignored: 1}.check(t, b)
	})
}
