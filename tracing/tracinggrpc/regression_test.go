package tracinggrpc_test

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/internal/spantest"
	"github.com/ballast-go/ballast/tracing/tracinggrpc"
)

// text is what grpc.Server.ServeHTTP has for an address.
type text string

func (text) Network() string  { return "tcp" }
func (a text) String() string { return string(a) }

// A client chooses the path that its end of a Unix socket is bound to.
func TestTrustedPeers(t *testing.T) {
	const address = "127.0.0.1:1"
	trusted := tracinggrpc.TrustedPeers(netip.MustParsePrefix("127.0.0.0/8"))
	if trusted(t.Context()) || trusted(peer.NewContext(t.Context(), &peer.Peer{})) {
		t.Error("nobody is trusted")
	}
	for want, addr := range map[bool]net.Addr{
		true:  &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 1},
		false: &net.UnixAddr{Net: "unix", Name: address},
	} {
		if trusted(peer.NewContext(t.Context(), &peer.Peer{Addr: addr})) != want {
			t.Errorf("%T: %v", addr, !want)
		}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, addr)
		if trusted(peer.NewContext(ctx, &peer.Peer{Addr: text(address)})) != want {
			t.Errorf("by HTTP, %T: %v", addr, !want)
		}
	}
}

// A call that is skipped, made with the context of another's stream, leaves the span of
// that alone.
func TestSkipInsideAStream(t *testing.T) {
	p := &spantest.Provider{}
	cc, stop := serve(t, numbers{}, recovers(&spantest.Provider{}, tracinggrpc.ServerConfig{}), grpc.WithStatsHandler(tracinggrpc.NewClientHandler(p, tracinggrpc.ClientConfig{
		Skip: func(method string) bool { return method == service+"Unary" },
	})))
	s, err := cc.NewStream(t.Context(), &chat, service+"Chat")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call(s.Context(), cc, 1); err != nil {
		t.Fatal(err)
	}
	if ended := p.Ended(); len(ended) != 0 {
		t.Errorf("the call has ended %v", ended)
	}
	if err := s.CloseSend(); err != nil {
		t.Fatal(err)
	}
	if _, err := receive(s); err != io.EOF {
		t.Fatal(err)
	}
	stop()
	want(t, only(t, p), "ballast.rpc.messages_sent", "0", "ballast.rpc.messages_received", "0")
}
