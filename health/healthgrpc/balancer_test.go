package healthgrpc_test

import (
	"net"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	_ "google.golang.org/grpc/health" // switches the client's health checks on
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
	"google.golang.org/protobuf/types/known/emptypb"

	"github.com/ballast-go/ballast/health"
)

// A gRPC client that balances and checks health leaves a replica that drains, and
// loses no call.
func TestClientLeavesWhatDrains(t *testing.T) {
	replicas := make(map[string]*server)
	var going *health.Health
	var gone *server
	var addresses []resolver.Address
	for range 2 {
		h := newHealth(t, health.Config{})
		s := grpc.NewServer()
		tokens(s, func(grpc.ServerStream) error { return nil })
		r := serveAs(t, h, config, s)
		replicas[r.addr] = r
		addresses = append(addresses, resolver.Address{Addr: r.addr})
		going, gone = h, r
	}
	builder := manual.NewBuilderWithScheme("replicas")
	builder.InitialState(resolver.State{Addresses: addresses})
	cc, err := grpc.Dial("replicas:///", grpc.WithResolvers(builder),
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(`{"loadBalancingConfig":[{"round_robin":{}}],"healthCheckConfig":{"serviceName":"`+predictor+`"}}`))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cc.Close() }()
	// call makes a call and says which replica had it.
	call := func() string {
		stream, err := cc.NewStream(t.Context(), &grpc.StreamDesc{ServerStreams: true}, "/test.Tokens/Generate", grpc.WaitForReady(true))
		if err != nil {
			t.Fatal(err)
		}
		if err := stream.SendMsg(new(emptypb.Empty)); err != nil {
			t.Fatal(err)
		}
		_ = stream.CloseSend()
		if err := stream.RecvMsg(new(emptypb.Empty)); err.Error() != "EOF" {
			t.Fatalf("a call was lost: %v", err)
		}
		p, _ := peer.FromContext(stream.Context())
		return p.Addr.(*net.TCPAddr).String()
	}
	late := time.Now().Add(time.Minute)
	// calls makes calls until the last 10 had so many replicas.
	calls := func(want int) map[string]bool {
		for time.Now().Before(late) {
			had := make(map[string]bool)
			for range 10 {
				had[call()] = true
			}
			if len(had) == want {
				return had
			}
		}
		t.Fatalf("not %d replicas within a minute", want)
		return nil
	}
	calls(2)
	if err := going.Drain(t.Context()); err != nil {
		t.Error(err)
	}
	if left := calls(1); left[gone.addr] {
		t.Errorf("%v is left, not the other", gone.addr)
	}
	gone.GracefulStop() // at once, though the client is there and asks again and again
	if left := calls(1); left[gone.addr] {
		t.Error("a call went where nothing is")
	}
}
