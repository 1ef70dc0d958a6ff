package ratelimitgrpc

import (
	"context"
	"net"
	"net/netip"

	"google.golang.org/grpc/peer"
)

// noAddress is the key of every peer that has no IP address.
const noAddress = "no-address"

// ByMethod is a [ServerConfig] Key that gives each method its own limit, for
// all clients together. The server must know its methods: with
// grpc.UnknownServiceHandler, whatever a client makes up is a key.
func ByMethod(_ context.Context, fullMethod string) string { return fullMethod }

// ByPeerIP is a [ServerConfig] Key that gives each address its own limit: IPv4
// by address, IPv6 by /64, which is what one customer gets. All peers without an
// IP address, such as those of a Unix socket, share one. The keys are those of
// [ratelimit.ByClientIP]: with one Limiter for both, a client has one limit over
// gRPC and HTTP together.
//
// It is the address of whoever opened the connection. Behind a proxy that is
// the proxy, and so all clients are one: take a Key there that is in what the
// proxy authenticated. Metadata such as x-forwarded-for is not looked at,
// since a client may send what it likes.
func ByPeerIP(ctx context.Context, _ string) string {
	p, ok := peer.FromContext(ctx)
	if !ok || p.Addr == nil {
		return noAddress
	}
	ip, ok := addr(p.Addr)
	if !ok {
		return noAddress
	}
	var text [43]byte // an IPv6 prefix at its longest
	if ip.Is4() {
		return string(ip.AppendTo(text[:0]))
	}
	prefix, _ := ip.Prefix(64) // without the zone; it has 64 bits
	return string(prefix.AppendTo(text[:0]))
}

func addr(a net.Addr) (netip.Addr, bool) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ip, ok := netip.AddrFromSlice(tcp.IP)
		return ip.Unmap(), ok
	}
	ap, err := netip.ParseAddrPort(a.String())
	return ap.Addr().Unmap(), err == nil
}
