package main

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// forwarded are what proxies add to a request that is somebody else's.
var forwarded = [...]string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"}

// isLocal reports whether a request comes from this machine, or this pod, and by
// itself: not through a proxy beside the service, and not from a page of somebody
// else's whose name was made to mean this machine (DNS rebinding).
func isLocal(r *http.Request) bool {
	for _, field := range forwarded {
		if r.Header.Get(field) != "" {
			return false
		}
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	return err == nil && peer.Addr().Unmap().IsLoopback() && isLocalName(r.Host)
}

func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback()
}
