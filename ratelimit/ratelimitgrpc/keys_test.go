package ratelimitgrpc_test

import (
	"context"
	"net"
	"net/http/httptest"
	"slices"
	"testing"

	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/ratelimit"
	"github.com/ballast-go/ballast/ratelimit/ratelimitgrpc"
)

// textAddr is an address of some transport's own.
type textAddr string

func (a textAddr) String() string  { return string(a) }
func (a textAddr) Network() string { return "own" }

func TestByPeerIP(t *testing.T) {
	for _, tt := range []struct {
		addr net.Addr
		want string
	}{
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1234}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("192.0.2.1").To4(), Port: 1}, "192.0.2.1"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 1}, "2001:db8:1:2::/64"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:ffff::"), Port: 2}, "2001:db8:1:2::/64"},
		{&net.TCPAddr{IP: net.ParseIP("2001:db8:1:3::1"), Port: 2}, "2001:db8:1:3::/64"},
		{&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"}, "fe80::/64"},
		{&net.TCPAddr{IP: net.ParseIP("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")}, "ffff:ffff:ffff:ffff::/64"},
		{&net.TCPAddr{}, "no-address"},
		{&net.UnixAddr{Name: "/run/socket", Net: "unix"}, "no-address"},
		{textAddr("[2001:db8::1%eth0]:80"), "2001:db8::/64"},
		{textAddr("[::ffff:192.0.2.7]:80"), "192.0.2.7"},
		{textAddr("anything the client says"), "no-address"},
		{nil, "no-address"},
	} {
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: tt.addr})
		if got := ratelimitgrpc.ByPeerIP(ctx, unaryMethod); got != tt.want {
			t.Errorf("%v: %q, want %q", tt.addr, got, tt.want)
		}
	}
	if got := ratelimitgrpc.ByPeerIP(context.Background(), unaryMethod); got != "no-address" {
		t.Errorf("no peer: %q", got)
	}
}

// Over HTTP, the same client has the same key.
func TestByPeerIPAgreesWithByClientIP(t *testing.T) {
	byClientIP := ratelimit.ByClientIP(nil)
	for _, addr := range []net.Addr{
		&net.TCPAddr{IP: net.ParseIP("192.0.2.1"), Port: 1234},
		&net.TCPAddr{IP: net.ParseIP("2001:db8:1:2:3:4:5:6"), Port: 1},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0"},
		&net.UnixAddr{Name: "@", Net: "unix"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = addr.String()
		ctx := peer.NewContext(context.Background(), &peer.Peer{Addr: addr})
		if got, want := ratelimitgrpc.ByPeerIP(ctx, unaryMethod), byClientIP(r); got != want {
			t.Errorf("%v: %q over gRPC, %q over HTTP", addr, got, want)
		}
	}
}

func TestByMethod(t *testing.T) {
	if got := ratelimitgrpc.ByMethod(t.Context(), unaryMethod); got != unaryMethod {
		t.Errorf("%q", got)
	}
}

// Over TCP, the peer is who has connected.
func TestByPeerIPOverLoopback(t *testing.T) {
	l := &fake{d: ratelimit.Decision{OK: true}}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	cc := serveOn(t, listener, echo, intercept(l, ratelimitgrpc.ServerConfig{Key: ratelimitgrpc.ByPeerIP}))
	for _, call := range kinds {
		if got := call(t.Context(), cc, 1); got.err != nil {
			t.Error(got.err)
		}
	}
	if want := []string{"127.0.0.1", "127.0.0.1"}; !slices.Equal(l.keys, want) {
		t.Errorf("keys %q, want %q", l.keys, want)
	}
}
