package spans

import (
	"net"
	"net/netip"
	"slices"
)

// TrustedAddr returns a function that reports whether remote, an address with a port,
// is in one of prefixes.
func TrustedAddr(prefixes []netip.Prefix) func(remote string) bool {
	trusted := make([]netip.Prefix, len(prefixes))
	for i, p := range prefixes {
		if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
			p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
		}
		trusted[i] = p
	}
	return func(remote string) bool {
		at, err := netip.ParseAddrPort(remote)
		if err != nil {
			return false
		}
		addr := at.Addr().Unmap().WithZone("") // a prefix has no zone, and contains nothing that has
		return slices.ContainsFunc(trusted, func(p netip.Prefix) bool { return p.Contains(addr) })
	}
}

// IsUnix reports whether addr is a Unix socket's: that of a client is the path that it
// has bound, which may read "10.0.0.1:80".
func IsUnix(addr net.Addr) bool {
	_, ok := addr.(*net.UnixAddr)
	return ok
}
