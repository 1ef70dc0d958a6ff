package logging

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"
)

// A client on a Unix socket that calls itself by an address is none of the peers.
func TestTrustedPeersOnAUnixSocket(t *testing.T) {
	trusts := TrustedPeers(netip.MustParsePrefix("127.0.0.0/8"))
	for network, want := range map[string]bool{"tcp": true, "unix": false} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		var local net.Addr = &net.TCPAddr{}
		if network == "unix" {
			local = &net.UnixAddr{Net: network}
		}
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, local))
		if got := trusts(r); got != want {
			t.Errorf("%s: %v", network, got)
		}
	}
}
