package rpcstate

import (
	"net"
	"testing"
)

func TestTextOf(t *testing.T) {
	for _, a := range []net.Addr{
		&net.TCPAddr{IP: net.IPv4(203, 0, 113, 77), Port: 41234},
		&net.TCPAddr{IP: net.IPv4(203, 0, 113, 77).To4(), Port: 1},
		&net.TCPAddr{IP: net.ParseIP("2001:db8::1"), Port: 65535},
		&net.TCPAddr{IP: net.ParseIP("fe80::1"), Zone: "eth0", Port: 2},
		&net.TCPAddr{IP: net.IPv6zero}, &net.TCPAddr{Port: 3}, &net.TCPAddr{IP: net.IP{1, 2, 3}, Port: 4},
		&net.UnixAddr{Name: "@", Net: "unix"},
	} {
		if got := textOf(a); got != a.String() {
			t.Errorf("%q, want %q", got, a)
		}
	}
	a := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 77), Port: 41234}
	if n := testing.AllocsPerRun(100, func() { sink = textOf(a) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

var sink string
