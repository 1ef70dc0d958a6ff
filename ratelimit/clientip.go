package ratelimit

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// TrustedProxies are the addresses of the reverse proxies and load balancers in
// front of the service, each of which appends to X-Forwarded-For the address
// that it was called from. List the proxies' own addresses and not a network
// that clients are in, too: whoever is trusted can name any address.
type TrustedProxies []netip.Prefix

const (
	// noAddress is the key of every peer that has no IP address, such as those
	// of a Unix socket.
	noAddress = "no-address"

	// maxHops bounds the work on one request. No chain of proxies is that long.
	maxHops = 64
)

// ByClientIP returns a [KeyFunc] by the address of the client: an IPv4 address,
// or the /64 of an IPv6 address, because a single host may use all of it and
// often has one of its own.
//
// The client is the peer of the connection, whatever the request's header says,
// unless the peer is a trusted proxy. Then it is the rightmost address in
// X-Forwarded-For that is not a trusted proxy's. What stands further left is
// the client's word for it, and is not looked at: a client that sends a new
// address with each request wins nothing. If an entry cannot be read, the last
// trusted proxy before it is the client. A port after an address and a zone in
// it are ignored, and IPv4 in IPv6 (::ffff:192.0.2.1) is IPv4.
//
// Without a proxy in front, p is nil. The other way round, with a proxy that is
// not in p, all clients share that proxy's budget: too little rather than too
// much is let through.
//
// All peers without an IP address, such as those of a Unix socket, share one
// key. It panics if an element of p is invalid or covers every address, when
// the chain is built.
func ByClientIP(p TrustedProxies) KeyFunc {
	proxies := make(TrustedProxies, len(p))
	for i, prefix := range p {
		proxies[i] = unmapped(prefix)
		if proxies[i].Bits() <= 0 {
			panic(fmt.Sprintf("ratelimit: TrustedProxies[%d] is %v: X-Forwarded-For would be anybody's word", i, prefix))
		}
	}
	return func(r *http.Request) string {
		peer, text, ok := parseHop(r.RemoteAddr)
		switch {
		case !ok:
			return noAddress
		case proxies.trust(peer):
			return clientKey(proxies.client(peer, r.Header["X-Forwarded-For"]))
		case text != "":
			return text // allocates nothing
		}
		return clientKey(peer)
	}
}

// unmapped is p for addresses that were unmapped.
func unmapped(p netip.Prefix) netip.Prefix {
	if p.Addr().Is4In6() {
		return netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96) // invalid if it was wider
	}
	return p
}

func (p TrustedProxies) trust(a netip.Addr) bool {
	for _, prefix := range p {
		if prefix.Contains(a) {
			return true
		}
	}
	return false
}

// client walks from the trusted peer on, from right to left through the lines
// of X-Forwarded-For as if they were joined (RFC 9110 §5.3), and returns the
// first address that is not trusted, or the last that is.
func (p TrustedProxies) client(peer netip.Addr, lines []string) netip.Addr {
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		line, more := lines[i], true
		for more {
			var hop string
			line, hop, more = cutLast(line)
			a, _, ok := parseHop(hop)
			if hops++; !ok || hops > maxHops {
				return peer
			}
			if !p.trust(a) {
				return a
			}
			peer = a
		}
	}
	return peer
}

// cutLast cuts line around its last comma.
func cutLast(line string) (before, last string, more bool) {
	if i := strings.LastIndexByte(line, ','); i >= 0 {
		return line[:i], line[i+1:], true
	}
	return "", line, false
}

// parseHop reads an address with or without a port, brackets and a zone. text
// is the address as it stands in s, if it is IPv4, which has one spelling only.
//
// The zone is cut off because netip keeps every zone that it meets, and they are
// the client's choice.
func parseHop(s string) (a netip.Addr, text string, ok bool) {
	s = trimBlanks(s)
	if rest, bracket := strings.CutPrefix(s, "["); bracket {
		host, port, closed := strings.Cut(rest, "]")
		if !closed || port != "" && port[0] != ':' || !strings.Contains(host, ":") {
			return a, "", false
		}
		s, _, _ = strings.Cut(host, "%")
	} else {
		s, _, _ = strings.Cut(s, "%")
		if i := strings.IndexByte(s, ':'); i >= 0 && i == strings.LastIndexByte(s, ':') {
			s = s[:i]
		}
	}
	a, err := netip.ParseAddr(s)
	if a.Is4() {
		text = s
	}
	return a.Unmap(), text, err == nil
}

// trimBlanks is strings.Trim(s, " \t"), which makes a set of them at each call.
func trimBlanks(s string) string {
	for s != "" && (s[0] == ' ' || s[0] == '\t') {
		s = s[1:]
	}
	for s != "" && (s[len(s)-1] == ' ' || s[len(s)-1] == '\t') {
		s = s[:len(s)-1]
	}
	return s
}

// clientKey names a's budget.
func clientKey(a netip.Addr) string {
	if a.Is4() {
		return a.String()
	}
	p, _ := a.Prefix(64) // of an IPv6 address: it cannot fail
	var buf [len("ffff:ffff:ffff:ffff::/64")]byte
	return string(p.AppendTo(buf[:0])) // p.String() allocates twice
}
