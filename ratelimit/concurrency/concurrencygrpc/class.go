package concurrencygrpc

import (
	"context"
	"net/netip"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/ballast-go/ballast/ratelimit/concurrency"
)

// defaultKey is the header field of concurrency.Middleware, in gRPC's case.
const defaultKey = "criticality"

// classify returns ctx, or one made from it that has the class of its metadata.
func (s *server) classify(ctx context.Context) context.Context {
	names := metadata.ValueFromIncomingContext(ctx, s.cfg.MetadataKey)
	if len(names) == 0 {
		return ctx
	}
	c, ok := concurrency.ParseCriticality(names[0])
	has := concurrency.CriticalityFromContext(ctx)
	if !ok || c == has || c > has && (s.cfg.Trusted == nil || !s.cfg.Trusted(ctx)) {
		return ctx
	}
	return concurrency.ContextWithCriticality(ctx, c)
}

// FromPrefixes returns a function for [ServerConfig] Trusted that trusts the
// peers whose own address, not one in any metadata, is in one of the prefixes.
func FromPrefixes(prefixes ...netip.Prefix) func(context.Context) bool {
	return func(ctx context.Context) bool {
		p, ok := peer.FromContext(ctx)
		if !ok || p.Addr == nil {
			return false
		}
		addr, err := netip.ParseAddrPort(p.Addr.String())
		if err != nil {
			return false
		}
		for _, prefix := range prefixes {
			if prefix.Contains(addr.Addr().Unmap()) {
				return true
			}
		}
		return false
	}
}
